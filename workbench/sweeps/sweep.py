"""A sweep from composed configurations to finished runs: checked, named, packed, trained, and said in the end."""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.certificates.trained import disagreements
from workbench.config.schema import NOT_RESULT, Config, OnError, Rerun, RunSpec
from workbench.config.validate import validate_all
from workbench.core import signals
from workbench.core.errors import ConfigError, StoreAway
from workbench.core.quoting import override
from workbench.runs.train_pack import Job, Result
from workbench.sweeps import preflight
from workbench.sweeps.concurrent_runs import wait
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.executors.inline import Inline
from workbench.sweeps.finished_runs import find_finished, sweep_key
from workbench.sweeps.jobs import in_sweep, make_jobs, sweep_info
from workbench.sweeps.progress import SweepProgress
from workbench.sweeps.pruning import Pruning
from workbench.sweeps.tasks import make_tasks
from workbench.tracking.base import Outcome, RunInfo, outcome_of
from workbench.tracking.liveness import alone, owner_tags
from workbench.tracking.store import Store, find_store, member_tag, run_link, sweep_link, ui_base

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink
    from workbench.tracking.reader import ReusableRun

INLINE = Inline()


@dataclass(frozen=True)
class Finished:
    """A trained sweep (`sweep` is empty for a single run): where it is kept, what came of its runs, and of it all."""

    sweep: str
    experiment_id: str
    store: Store
    results: list[Result]
    link: str
    notes: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether a run failed, or has gradients that disagree with autograd and no ``certificate=off``."""
        return any(
            result.outcome is Outcome.failed or (result.disagreement and result.job.spec.config.certificate)
            for result in self.results
        )


def train_one(spec: RunSpec, command: Sequence[str], console: Console) -> Finished:
    """Train a single run: a pack of one, without a sweep around it."""
    _check([spec])
    store = find_store(spec.config.tracking.uri)
    jobs = make_jobs([spec])
    console.print(f"1 run: {jobs[0].name}; kept in {store.shown}", highlight=False, soft_wrap=True)
    sink = open_sink(store, spec)
    sink.end_gone()
    (result,) = train_jobs([replace(jobs[0], known=sink.done())], sink, console)
    with suppress(StoreAway):  # else it keeps the id that was made here
        result.run = sink.known(result.run) if result.run else ""
    link = run_link(ui_base(store), sink.experiment_id, result.run)
    return Finished("", sink.experiment_id, store, [result], link)


def train_sweep(
    specs: Sequence[RunSpec], command: Sequence[str], console: Console, executor: Executor = INLINE
) -> Finished:
    """Train the runs of a multirun that are not done yet, and keep a run of the sweep itself beside them.

    A sweep over the same runs as one before goes on with that one.
    """
    _check(specs)
    config = specs[0].config
    store = find_store(config.tracking.uri)
    executor.ready(store)
    jobs = make_jobs(specs)
    sink = open_sink(store, specs[0])
    known = sink.done() if config.sweep.rerun is Rerun["all"] else frozenset()
    key = sweep_key(jobs)
    sweep, own = begin(sink, config, key, lambda sweep: sweep_info(jobs, sweep, key, command))
    with in_own_run(sink, own) as results:
        results += train_members(jobs, sweep, sink, console, executor, known=known)
        saved = sink.save_view(own, sweep, {name for result in results for name in result.metrics})
    link = sweep_link(ui_base(store), sink.experiment_id, sweep, saved)
    return Finished(sweep, sink.experiment_id, store, results, link)


@contextmanager
def in_own_run(sink: "MlflowSink", own: str) -> Iterator[list[Result]]:
    """A list for the results of a sweep whose own run is `own`; in the end the own run is closed as they say."""
    results: list[Result] = []
    try:
        yield results
    except BaseException as error:
        signals.ending(error)
        sink.close(own, outcome_of(error))
        raise
    failed = any(result.outcome is Outcome.failed for result in results)
    sink.close(own, Outcome.failed if failed else Outcome.finished)


def train_members(
    jobs: Sequence[Job],
    sweep: str,
    sink: "MlflowSink",
    console: Console,
    executor: Executor,
    pruning: Pruning | None = None,
    known: frozenset[str] = frozenset(),
) -> list[Result]:
    """Train what is not done yet of the jobs, as members of a sweep; the results of all, in their order.

    Runs that are `known` do not count as done by another command.
    """
    config = jobs[0].spec.config
    kept = reusable_by_key(sink.store, config.tracking.experiment)
    ledger = find_finished(jobs, kept, config.sweep.rerun)
    jobs = [replace(job, known=known) for job in in_sweep(jobs, sweep)]
    own = [position for position in ledger.results if kept[jobs[position].tags["key"]].sweep == sweep]
    sink.tag(ledger.superseded, member_tag(sweep), "superseded")
    sink.tag([result.run for result in ledger.results.values()], member_tag(sweep), "run")
    console.print(_opening(jobs, len(ledger.results), sink.store), highlight=False, soft_wrap=True)
    if len(ledger.to_train) > preflight.MANY:
        for line in preflight.lines(jobs, ledger.to_train, executor.parallel):
            console.print(line, highlight=False, soft_wrap=True)
    total = len(ledger.to_train) + len(own)
    results = train_jobs(jobs, sink, console, executor, pruning, ledger.results, total)
    trained = {result.run for result in results if result.run}
    ids = sink.show_only(sweep, {job.tags["key"] for job in jobs}, trained)
    return [replace(result, run=ids.get(result.run, result.run)) for result in results]


def open_sink(store: Store, spec: RunSpec) -> "MlflowSink":
    """The sink that keeps runs like this one, once the store has what others have left for it."""
    from workbench.tracking.mlflow_sink import MlflowSink  # seconds of imports, once everything is checked
    from workbench.tracking.recover import recover
    from workbench.tracking.sqlite import seen

    seen.clear()  # by commands before this one in the same process
    sink = MlflowSink(store, spec.config.tracking.experiment)
    for sent in recover(store):
        logging.getLogger(__name__).warning(sent.said)
    return sink


def reusable_by_key(store: Store, experiment: str) -> dict[str, "ReusableRun"]:
    """The ended runs of an experiment by run key."""
    from workbench.tracking.reader import reusable_runs

    return reusable_runs(store, experiment)


def begin(sink: "MlflowSink", config: Config, key: str, describe: Callable[[str], RunInfo]) -> tuple[str, str]:
    """(id, own run) of the sweep with this key, which `describe` describes: the one before, if it may be used."""
    from workbench.tracking.reader import own_run

    with alone(sink.store):
        sink.end_gone()
        anew = config.sweep.rerun is Rerun["all"]
        before = None if anew else own_run(sink.store, config.tracking.experiment, key)
        if before is not None:
            sink.open_again({before[1]: owner_tags()})
            return before
    sweep = new_sweep()
    (own,) = sink.open([describe(sweep)])
    return sweep, own


def new_sweep() -> str:
    """An id that no other sweep has: when it began, and four random digits."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def train_jobs(
    jobs: Sequence[Job],
    sink: "MlflowSink",
    console: Console,
    executor: Executor = INLINE,
    pruning: Pruning | None = None,
    done: Mapping[int, Result] = MappingProxyType({}),
    total: int = 0,
) -> list[Result]:
    """Train the jobs that are not `done` in packs, with a bar; the results of all, in their order.

    Packs that were left by a process that is gone are gone on with. What other commands train is waited for, and
    trained here where those leave it. `total` is that of `group`.
    """
    first: dict[str, int] = {}
    for position, job in enumerate(jobs):
        first.setdefault(job.tags["key"], position)
    own = {position: first[job.tags["key"]] for position, job in enumerate(jobs)}
    twins = {position: _not_begun(jobs[position]) for position, one in own.items() if one != position}
    jobs = [job if job.known is not None else replace(job, known=frozenset()) for job in jobs]
    results = dict(done)
    taken: dict[int, str] = {}
    while True:
        new = _train(jobs, sink, console, executor, pruning, {**twins, **results}, total)
        results |= {position: result for position, result in new.items() if not result.taken}
        taken = {position: result.taken for position, result in new.items() if result.taken}
        if not taken or _stops(jobs, new):
            break
        kept_now = partial(reusable_by_key, sink.store, jobs[0].spec.config.tracking.experiment)
        results |= wait(jobs, taken, sink, console, kept_now, searching=pruning is not None)
    return [
        replace(results[own[position]], job=job) if own[position] in results else _not_begun(job)
        for position, job in enumerate(jobs)
    ]


def _train(
    jobs: Sequence[Job],
    sink: "MlflowSink",
    console: Console,
    executor: Executor,
    pruning: Pruning | None,
    done: Mapping[int, Result],
    total: int,
) -> dict[int, Result]:
    """Try once to train what is not done."""
    tasks = make_tasks(jobs, sink, executor.parallel, pruning, done, total)
    results: dict[int, Result] = {}
    with SweepProgress(sum(task.epochs for task in tasks), console) as progress:
        ended = executor.run(tasks, sink, progress.advance)
        for task, found in ended:
            new = {place: result for place, result in zip(task.positions, found, strict=True) if place not in done}
            results |= new
            if _stops(jobs, new):
                ended.close()
    return results


def _stops(jobs: Sequence[Job], new: Mapping[int, Result]) -> bool:
    """Whether no more is to be trained after these results."""
    failed = any(result.outcome is Outcome.failed and not result.taken for result in new.values())
    return failed and jobs[0].spec.config.sweep.on_error is OnError["stop"]


def rehearse(specs: Sequence[RunSpec], console: Console, executor: Executor = INLINE) -> None:
    """Say what these runs will take; check them as if they were trained, but train and write nothing."""
    _check(specs)
    config = specs[0].config
    store = find_store(config.tracking.uri)
    jobs = make_jobs(specs)
    ledger = find_finished(jobs, reusable_by_key(store, config.tracking.experiment), config.sweep.rerun)
    for line in preflight.lines(jobs, ledger.to_train, executor.parallel):
        console.print(line, highlight=False, soft_wrap=True)


def _check(specs: Sequence[RunSpec]) -> None:
    check_together(specs)
    validate_all(specs)


def check_together(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for a sweep without runs, or over settings that belong to the sweep as a whole."""
    if not specs:
        raise ConfigError("sweep: must have at least one run, got none; write for example 'seed=range(5)'")
    for key, first in specs[0].settings.items():
        values = {str(spec.settings.get(key)) for spec in specs}
        if key.partition(".")[0] in NOT_RESULT and len(values) > 1:
            shown, same = ", ".join(sorted(values)), override(key, first)
            raise ConfigError(f"{key}: must be the same for all runs of a sweep, got {shown}; write {same}")


def _not_begun(job: Job) -> Result:
    return Result(job, "", Outcome.failed, error="not begun, because a run before it failed and sweep.on_error=stop")


def summary(finished: Finished) -> list[str]:
    """How the runs ended, and those that did not finish by name."""
    results = finished.results
    counts = Counter(result.outcome.value for result in results)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))
    lines = [counted] if counted else []
    for result in results:
        if gone := result.divergence:
            where = f" in the {gone.quantity} of {gone.layer}" if gone.layer else ""
            lines.append(f"  diverged: {result.job.name} at step {gone.step}{where}")
        elif result.error:
            lines.append(f"  {result.outcome.value}: {result.job.name}: {result.error}")
    return [*lines, *finished.notes, *disagreements((one.job.spec, one.job.name, one.disagreement) for one in results)]


def _opening(jobs: Sequence[Job], done: int, store: Store) -> str:
    arms = len({job.arm for job in jobs})
    before = f", {done} of them done before" if done else ""
    return f"{len(jobs)} runs of {arms} arms{before}; kept in {store.shown}"
