"""Forecast of a sweep before it starts: runs, packs, metric rows, time and memory.

The time is measured on a few real steps of each program and scaled; the cost of a run beside its training is added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from workbench.config.prepare import GIB, build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.data.batches import PackData
from workbench.engine.epoch_plan import Batch, Plan
from workbench.engine.evaluate import evaluate
from workbench.engine.stages import STAGE_METRICS
from workbench.engine.threads import one_thread
from workbench.engine.train import Trainer, step
from workbench.nn.pretraining_stages import stages
from workbench.runs.train_pack import Job, is_small
from workbench.sweeps.packing import by_program, group, pack_bytes

MANY = 20  # runs: more than these are announced in full
SECONDS = 1.0  # of steps that are measured for a whole sweep, at most
SHARE = 0.01  # of a program's expected time that its measurement may take
LEAST_STEPS = 3
MEASURED_TOGETHER = 32  # replicas: a step of more costs each about as much
SECONDS_PER_RUN = 0.005  # composing, beginning, describing and ending a run, on an AMD EPYC
SECONDS_PER_ROW = 0.00002
START_SECONDS = 4.0  # imports and the store


@dataclass(frozen=True)
class Program:
    """Cost of one run of a program: seconds to train it in a pack, and its rows of metrics."""

    seconds: float
    rows: int


@dataclass(frozen=True)
class Forecast:
    """Cost of a sweep's runs: `seconds` with `parallel` packs at a time, `bytes` of the largest pack."""

    runs: int
    packs: int
    rows: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Outlook:
    """Runs of a sweep, and the forecast of those that are left to train; `expected` is None where none is left."""

    runs: int
    arms: int
    seeds: int
    done: int
    left: int
    expected: Forecast | None

    @property
    def lines(self) -> list[str]:
        """Lines for a terminal."""
        of = f"{self.arms} arms and {self.seeds} seeds"
        described = [f"runs: {self.runs} of {of}; {self.done} done before, {self.left} to do"]
        if self.expected is not None:
            described += [
                f"packs: {self.expected.packs}, the largest of {self.expected.bytes / GIB:.2f} GiB",
                f"expected: {_duration(self.expected.seconds)} and {self.expected.rows} rows of metrics",
            ]
        return described


@dataclass(frozen=True)
class SearchOutlook:
    """At most `trials` trials of `runs` runs, chosen `batch` at a time, with the least and most that they may take."""

    trials: int
    runs: int
    batch: int
    least_seconds: float
    most_seconds: float
    most_rows: int

    @property
    def lines(self) -> list[str]:
        """Lines for a terminal."""
        least, most = map(_duration, (self.least_seconds, self.most_seconds))
        time = least if least == most else f"{least} to {most}"
        return [
            f"search: at most {self.trials} trials of {self.runs} runs, chosen {self.batch} at a time",
            f"expected: {time} and at most {self.most_rows} rows of metrics",
        ]


def forecast(specs: Sequence[RunSpec], parallel: int = 1) -> Forecast:
    """Measure each program of these runs, and add up."""
    packs = group(specs, parallel)
    programs = by_program(specs)
    budget = SECONDS / max(1, len(programs))
    rows, seconds = 0, 0.0
    for positions in programs:
        program = measure([specs[position] for position in positions], budget)
        rows += program.rows * len(positions)
        seconds += (program.seconds + SECONDS_PER_RUN + SECONDS_PER_ROW * program.rows) * len(positions)
    largest = max((pack_bytes(specs, pack) for pack in packs), default=0)
    at_once = max(1, min(parallel, len(packs)))
    return Forecast(len(specs), len(packs), rows, START_SECONDS + seconds / at_once, largest)


def measure(specs: Sequence[RunSpec], budget: float = SECONDS) -> Program:
    """Time a few steps of runs that share a program, for `budget` seconds or a share of their expected time."""
    measured = specs[:MEASURED_TOGETHER]
    epochs, batch_size = specs[0].config.train.epochs, specs[0].config.train.batch_size
    diagnostics = prepare(specs[0]).diagnostics
    trainer = Trainer(build_pack(measured), batch_size, diagnostics)
    pack, data, count = trainer.pack, trainer.pack.data, len(measured)
    with one_thread(is_small(pack, trainer.batch_size)):
        per_step = _seconds_per_step(trainer, budget, SHARE * len(specs) / count * epochs * trainer.steps_per_epoch)
        names = evaluate(pack.objective, trainer.params, data, data.valid, diagnostics.units)  # and finds its memory
        started = perf_counter()
        scores = evaluate(pack.objective, trainer.params, data, data.valid)
        per_example = (perf_counter() - started) / data.valid.size
    examples = (epochs + 1) * (data.train.size + data.valid.size) + data.test.size
    seconds = epochs * trainer.steps_per_epoch * per_step + examples * per_example
    moment_metrics = len(trainer.observed_step(next(_batches(trainer)), 0)[1])
    counts, moments = diagnostics.looks(epochs, trainer.steps_per_epoch)
    rows = (
        (2 * (epochs + 1) + 1) * len(scores)
        + 2 * (data.unit is not None)
        + counts * (len(names) - len(scores))
        + moments * moment_metrics
    )
    rows += bool(diagnostics.units or moment_metrics)  # their share of the time
    rows += sum(len(STAGE_METRICS) * (stage.epochs + 1) for stage in stages(pack.objective.model, pack.pretraining))
    return Program(seconds / count * passes(specs[0], data) / epochs, rows)


def passes(spec: RunSpec, data: PackData) -> float:
    """Epochs of all stages, as if of the whole net; a language model's count by how many examples it sees."""
    more = 0.0 if data.unlabeled is None else data.unlabeled.shape[1] / data.train.size - 1
    return spec.epochs + more * float(spec.resolved["pretraining"].get("epochs", 0))


def _seconds_per_step(trainer: Trainer, budget: float, share_of_steps: float) -> float:
    """Median duration of as many steps as `budget` seconds, or a share of all steps, allow."""
    times: list[float] = []
    for batch in _batches(trainer):
        started = perf_counter()
        step(trainer.pack, trainer.params, trainer.grads, trainer.state, batch.x, batch.y, batch.number, batch.lr)
        times.append(perf_counter() - started)
        if len(times) >= LEAST_STEPS and (sum(times) > budget or len(times) > share_of_steps):
            break
    return sorted(times)[len(times) // 2]


def _batches(trainer: Trainer) -> Iterator[Batch]:
    """Yield the batches of a first epoch."""
    rates = trainer.pack.learning_rates(0, trainer.steps_per_epoch, 1)
    data = trainer.pack.data
    return Plan(0, data.epoch_rows(trainer.orders), rates).batches(data, trainer.sizes)


def outlook(jobs: Sequence[Job], to_train: Sequence[int], parallel: int = 1) -> Outlook:
    """Forecast a sweep over these jobs, of which those at `to_train` are left."""
    arms, seeds = {job.arm for job in jobs}, {job.spec.config.seed for job in jobs}
    expected = forecast([jobs[position].spec for position in to_train], parallel) if to_train else None
    return Outlook(len(jobs), len(arms), len(seeds), len(jobs) - len(to_train), len(to_train), expected)


def search_outlook(corners: Sequence[Sequence[RunSpec]], trials: int, batch: int, parallel: int = 1) -> SearchOutlook:
    """Forecast a search whose trials cost as much as those at the corners of its space."""
    runs, together = len(corners[0]), min(batch, trials)
    forecasts = [forecast([*corner] * together, parallel) for corner in corners]
    least, most = (
        START_SECONDS + (take(cost.seconds for cost in forecasts) - START_SECONDS) * trials / together
        for take in (min, max)
    )
    rows = max(cost.rows for cost in forecasts) * trials // together
    return SearchOutlook(trials, runs, together, least, most, rows)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
