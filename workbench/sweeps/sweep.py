"""A sweep from composed configurations to finished runs: check, name, pack, train, summarize."""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.config.schema import Config, OnError, Rerun, RunSpec
from workbench.core import signals
from workbench.core.errors import StoreAway
from workbench.runs.train_pack import Job, Result
from workbench.sweeps import preflight
from workbench.sweeps.checks import check
from workbench.sweeps.concurrent_runs import wait
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.executors.inline import Inline
from workbench.sweeps.finished_runs import find_finished, sweep_key
from workbench.sweeps.jobs import in_sweep, make_jobs, sweep_info
from workbench.sweeps.naming import announcement
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
    """A trained sweep (`sweep` is empty for a single run): its store, results, link, and lines to print."""

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
    """Train a single run: a pack of one, without a sweep around it. Raises ConfigError before step 0."""
    check([spec])
    store = find_store(spec.config.tracking.uri)
    jobs = make_jobs([spec])
    sink = open_sink(store, spec)
    console.print(announcement([spec], store.shown), highlight=False, soft_wrap=True)
    sink.end_gone()
    (result,) = train_jobs([replace(jobs[0], known=sink.done())], sink, console)
    with suppress(StoreAway):  # else the id stays the one that was made here
        result.run = sink.known(result.run) if result.run else ""
    saved = bool(result.run and result.metrics) and sink.save_view(result.run, "", result.metrics)
    link = run_link(ui_base(store), sink.experiment_id, result.run, saved)
    return Finished("", sink.experiment_id, store, [result], link)


def train_sweep(
    specs: Sequence[RunSpec], command: Sequence[str], console: Console, executor: Executor = INLINE
) -> Finished:
    """Train the runs of a multirun that are not done yet, beside a run for the sweep itself.

    A sweep over the same runs as an earlier one continues that one. Raises ConfigError before step 0.
    """
    check(specs)
    config = specs[0].config
    store = find_store(config.tracking.uri)
    executor.ready(store)
    jobs = make_jobs(specs)
    sink = open_sink(store, specs[0])
    console.print(announcement(specs, store.shown), highlight=False, soft_wrap=True)
    known = sink.done() if config.sweep.rerun is Rerun["all"] else frozenset()
    key = sweep_key(jobs)
    sweep, own_run = begin(sink, config, key, lambda sweep: sweep_info(jobs, sweep, key, command))
    with in_own_run(sink, own_run) as results:
        results += train_members(jobs, sweep, sink, console, executor, known=known)
        saved = sink.save_view(own_run, sweep, {name for result in results for name in result.metrics})
    link = sweep_link(ui_base(store), sink.experiment_id, sweep, saved)
    return Finished(sweep, sink.experiment_id, store, results, link)


@contextmanager
def in_own_run(sink: "MlflowSink", own_run: str) -> Iterator[list[Result]]:
    """Yield a list for the results of a sweep, and close the sweep's own run with their outcome."""
    results: list[Result] = []
    try:
        yield results
    except BaseException as error:
        signals.ending(error)
        sink.close(own_run, outcome_of(error))
        raise
    failed = any(result.outcome is Outcome.failed for result in results)
    sink.close(own_run, Outcome.failed if failed else Outcome.finished)


def train_members(
    jobs: Sequence[Job],
    sweep: str,
    sink: "MlflowSink",
    console: Console,
    executor: Executor,
    pruning: Pruning | None = None,
    known: frozenset[str] = frozenset(),
) -> list[Result]:
    """Train those jobs that are not done yet, as members of a sweep; returns the results of all, in their order.

    Runs that are `known` do not count as done by another command.
    """
    config = jobs[0].spec.config
    ended = reusable_by_key(sink.store, config.tracking.experiment)
    finished = find_finished(jobs, ended, config.sweep.rerun)
    jobs = [replace(job, known=known) for job in in_sweep(jobs, sweep)]
    resumed = [position for position in finished.results if ended[jobs[position].tags["key"]].sweep == sweep]
    sink.tag(finished.superseded, member_tag(sweep), "superseded")
    sink.tag([result.run for result in finished.results.values()], member_tag(sweep), "run")
    if finished.results:
        console.print(f"{len(finished.results)} of {len(jobs)} runs were done before", highlight=False, soft_wrap=True)
    if len(finished.to_train) > preflight.MANY:
        for line in preflight.outlook(jobs, finished.to_train, executor.parallel).lines:
            console.print(line, highlight=False, soft_wrap=True)
    total = len(finished.to_train) + len(resumed)
    results = train_jobs(jobs, sink, console, executor, pruning, finished.results, total)
    trained = {result.run for result in results if result.run}
    ids = sink.show_only(sweep, {job.tags["key"] for job in jobs}, trained)
    return [replace(result, run=ids.get(result.run, result.run)) for result in results]


def open_sink(store: Store, spec: RunSpec) -> "MlflowSink":
    """Open the sink for runs like this one, once the store has received what interrupted commands left for it."""
    from workbench.tracking.mlflow_sink import MlflowSink  # seconds of imports, once everything is checked
    from workbench.tracking.recover import recover
    from workbench.tracking.sqlite import seen

    seen.clear()  # of earlier commands in the same process
    sink = MlflowSink(store, spec.config.tracking.experiment)
    for sent in recover(store):
        logging.getLogger(__name__).warning(sent.summary)
    return sink


def reusable_by_key(store: Store, experiment: str) -> dict[str, "ReusableRun"]:
    """Ended runs of an experiment by run key."""
    from workbench.tracking.reader import reusable_runs

    return reusable_runs(store, experiment)


def begin(sink: "MlflowSink", config: Config, key: str, describe: Callable[[str], RunInfo]) -> tuple[str, str]:
    """(id, own run) of the sweep with this key: an earlier one, if it may be continued, else a new one.

    `describe` makes the description of a new sweep from its id.
    """
    from workbench.tracking.reader import own_run

    with alone(sink.store):
        sink.end_gone()
        from_start = config.sweep.rerun is Rerun["all"]
        earlier = None if from_start else own_run(sink.store, config.tracking.experiment, key)
        if earlier is not None:
            sink.open_again({earlier[1]: owner_tags()})
            return earlier
    sweep = new_sweep()
    (run,) = sink.open([describe(sweep)])
    return sweep, run


def new_sweep() -> str:
    """A unique id: when the sweep began, and four random digits."""
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
    """Train the jobs that are not `done` in packs, with a bar; returns the results of all, in their order.

    Packs left by a process that is gone are resumed. Runs that other commands train are waited for, and trained here
    where those leave them. `total` is that of `group`.
    """
    first: dict[str, int] = {}
    for position, job in enumerate(jobs):
        first.setdefault(job.tags["key"], position)
    first_of = {position: first[job.tags["key"]] for position, job in enumerate(jobs)}
    twins = {
        position: _not_begun(jobs[position])
        for position, first_position in first_of.items()
        if first_position != position
    }
    jobs = [job if job.known is not None else replace(job, known=frozenset()) for job in jobs]
    results = dict(done)
    taken: dict[int, str] = {}
    while True:
        new = _train(jobs, sink, console, executor, pruning, {**twins, **results}, total)
        results |= {position: result for position, result in new.items() if not result.taken}
        taken = {position: result.taken for position, result in new.items() if result.taken}
        if not taken or _stops(jobs, new):
            break
        read_ended = partial(reusable_by_key, sink.store, jobs[0].spec.config.tracking.experiment)
        results |= wait(jobs, taken, sink, console, read_ended, searching=pruning is not None)
    with suppress(StoreAway):  # a command that was killed since this one looked may have left runs, and its sweep's own
        sink.end_gone()
    return [
        replace(results[first_of[position]], job=job) if first_of[position] in results else _not_begun(job)
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
    """Try once to train the jobs that are not done; returns new results by position."""
    tasks = make_tasks(jobs, sink, executor.parallel, pruning, done, total)
    results: dict[int, Result] = {}
    epochs = sum(task.epochs for task in tasks)
    with signals.going_on(lambda: _rest(jobs, {**done, **results})), SweepProgress(epochs, console) as progress:
        ended = executor.run(tasks, sink, progress.advance)
        for task, pack_results in ended:
            new = {
                position: result
                for position, result in zip(task.positions, pack_results, strict=True)
                if position not in done
            }
            results |= new
            if _stops(jobs, new):
                ended.close()
    return results


def _rest(jobs: Sequence[Job], done: Mapping[int, Result]) -> str:
    """How to train what a signal left; empty where the same command would train all again."""
    if jobs[0].spec.config.sweep.rerun is Rerun["all"]:
        return ""
    return f"repeat the command to train the rest: {len(done)} of {len(jobs)} runs are done"


def _stops(jobs: Sequence[Job], new: Mapping[int, Result]) -> bool:
    """Whether nothing more is to be trained after these results."""
    failed = any(result.outcome is Outcome.failed and not result.taken for result in new.values())
    return failed and jobs[0].spec.config.sweep.on_error is OnError["stop"]


def rehearse(specs: Sequence[RunSpec], executor: Executor = INLINE) -> preflight.Outlook:
    """Forecast what these runs will take, and check them as if they were trained; train and write nothing."""
    check(specs)
    config = specs[0].config
    store = find_store(config.tracking.uri)
    jobs = make_jobs(specs)
    finished = find_finished(jobs, reusable_by_key(store, config.tracking.experiment), config.sweep.rerun)
    return preflight.outlook(jobs, finished.to_train, executor.parallel)


def _not_begun(job: Job) -> Result:
    return Result(job, "", Outcome.failed, error="not begun, because a run before it failed and sweep.on_error=stop")
