"""Parts of a run of the sweep that `bench sweep` times: composing, building, training, evaluating, tracking.

All are timed in this process, by the processor's clock. Building is that of a pack, of which drawing splits is most;
tracking is what the sink takes of a pack in training, with its writer's thread. The rest is what is left of one more
run's processor time. The floor is the time of the matrix products of training and evaluating alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time, thread_time
from typing import Any

import torch
from rich.table import Table

from workbench.bench.steps import LR, BenchmarkCase, floor
from workbench.config.compose import configure_each
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.engine.epoch_plan import Plan
from workbench.engine.evaluate import evaluate
from workbench.engine.threads import one_thread
from workbench.engine.train import Trainer, step
from workbench.runs.train_pack import train_pack
from workbench.sweeps.jobs import make_jobs
from workbench.sweeps.packing import group
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import Store

EPOCHS, REPLICAS, ROUNDS = 20, 100, 5
SETTINGS = [
    *("architecture.hidden=[64,64]", f"optimizer.lr={LR}", f"train.epochs={EPOCHS}", "device=cpu"),
    "diagnostics.spacing=1",
]
CHUNK = 256  # examples of a product in evaluation


@dataclass(frozen=True)
class Parts:
    """Processor milliseconds of one run; `floor` is the time of the products in `train` and `evaluate`."""

    compose: float
    build: float
    train: float
    evaluate: float
    track: float
    rest: float
    floor: float


def parts(one_more_ms: float, runs: int = REPLICAS, rounds: int = ROUNDS) -> Parts:
    """Time the parts of a run whose marginal cost, in a sweep, is `one_more_ms`."""
    composing = 1000 * _seconds(lambda: make_jobs(configure_each(SETTINGS, [{"seed": seed} for seed in range(runs)])))
    specs = configure_each(SETTINGS, [{"seed": seed} for seed in range(runs)])
    specs = [specs[position] for position in group(specs)[0]]
    tracked = 1000 * _tracking(specs) / len(specs)
    with one_thread():
        building = 1000 * _seconds(lambda: _trainer(specs)) / len(specs)
        trainer = _trainer(specs)
        pack, data, count = trainer.pack, trainer.pack.data, len(specs)
        plan = Plan(0, data.epoch_rows(trainer.orders), pack.learning_rates(0, trainer.steps_per_epoch, 1))

        def train() -> None:
            for one in plan.batches(data, trainer.sizes):
                step(pack, trainer.params, trainer.grads, trainer.state, one.x, one.y, one.number, one.lr)

        def measure() -> None:
            evaluate(pack.objective, trainer.params, data, data.train, units=True)
            evaluate(pack.objective, trainer.params, data, data.valid)

        training, evaluating = (1000 * median(_seconds(one) for _ in range(rounds)) / count for one in (train, measure))
        products = _floor(count, trainer.batch_size, trainer.steps_per_epoch, data.train.size + data.valid.size, rounds)
    composed, trained, measured = composing / runs, EPOCHS * training, (EPOCHS + 1) * evaluating
    known = composed, building, trained, measured, tracked
    return Parts(*known, one_more_ms - sum(known), products)


class _Timed:
    """A sink, and the processor seconds of its methods and its writer's thread."""

    def __init__(self, sink: MlflowSink) -> None:
        self.sink, self.seconds = sink, 0.0
        sink.writer.write = self._timed(sink.writer.write)

    def __getattr__(self, name: str) -> Any:
        return self._timed(getattr(self.sink, name))

    def _timed(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            begun = thread_time()
            try:
                return do(*arguments)
            finally:
                self.seconds += thread_time() - begun

        return timed


def _tracking(specs: Sequence[RunSpec]) -> float:
    """Seconds to store a pack of these runs."""
    with TemporaryDirectory() as folder:
        sink = _Timed(MlflowSink(Store(f"sqlite:///{folder}/mlflow.db"), "bench"))
        train_pack(make_jobs(specs), sink)
    return sink.seconds


def _trainer(specs: Sequence[RunSpec]) -> Trainer:
    return Trainer(build_pack(specs), specs[0].config.train.batch_size)


def _floor(replicas: int, batch: int, steps: int, examples: int, rounds: int) -> float:
    """Milliseconds of the products of one run."""
    sizes = (64, 64, 64, 10)
    training = floor(BenchmarkCase("mlp", sizes, batch, replicas), torch.device("cpu"))
    evaluating = floor(BenchmarkCase("mlp", sizes, CHUNK, max(1, 2048 // CHUNK)), torch.device("cpu"), backward=False)
    per_step = median(_seconds(training) for _ in range(10 * rounds)) / replicas
    per_chunk = median(_seconds(evaluating) for _ in range(10 * rounds)) / max(1, 2048 // CHUNK)
    return 1000 * (EPOCHS * steps * per_step + (EPOCHS + 1) * examples / CHUNK * per_chunk)


def _seconds(do: Callable[[], object]) -> float:
    start = process_time()
    do()
    return process_time() - start


def table(measured: Parts) -> Table:
    """Table for a terminal."""
    shown = Table(title="what one more run is made of, ms of the processor", caption="floor: the matrix products alone")
    for heading in ("compose", "build", "train", "evaluate", "track", "rest", "floor of train and evaluate"):
        shown.add_column(heading, justify="right")
    values = (
        measured.compose,
        measured.build,
        measured.train,
        measured.evaluate,
        measured.track,
        measured.rest,
        measured.floor,
    )
    shown.add_row(*(f"{value:.1f}" for value in values))
    return shown
