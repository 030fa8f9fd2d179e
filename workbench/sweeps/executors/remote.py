"""Shared by executors with workers in other processes: settings of a worker, its answer, and its loss."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch

from workbench.core.errors import ConfigError, TrackingError
from workbench.runs.train_pack import Result
from workbench.sweeps.executors.base import PackTask, Worker
from workbench.sweeps.finished_runs import as_result
from workbench.tracking.base import Outcome, Sink
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink

Brief = tuple[Any, ...]
SECONDS_TO_END = 20.0  # for workers to close their runs
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of a worker: the store and experiment of its runs, and its number of threads."""

    uri: str
    experiment_id: str
    threads: int

    def worker(self) -> Worker:
        """The worker of this process with these settings; raises TrackingError where the store is out of reach."""
        return _worker(self)


@lru_cache(maxsize=1)
def _worker(settings: WorkerSettings) -> Worker:
    """Make the worker; raises TrackingError for a database file that does not exist on this host."""
    from workbench.tracking.mlflow_sink import MlflowSink

    store = Store(settings.uri)
    if store.file is not None and not store.file.exists():  # sqlite would create one that no other process reads
        raise TrackingError(
            f"tracking: there is no {store.file} on {platform.node()}; write tracking.uri=http://... to name a server"
        )
    torch.set_num_threads(settings.threads)
    return Worker(MlflowSink(store, experiment_id=settings.experiment_id))


def shared(sink: Sink, who: str) -> "MlflowSink":
    """The sink, if other processes can open its store too; raises TrackingError otherwise."""
    from workbench.tracking.mlflow_sink import MlflowSink

    if not isinstance(sink, MlflowSink):
        raise TrackingError(f"{who}: needs MLflow's store, which several processes share, got {type(sink).__name__}")
    return sink


def check_reach(store: Store, hosts: Iterable[str]) -> None:
    """Raise ConfigError where workers on these hosts could not write to the store."""
    this_host = platform.node().partition(".")[0]
    other_hosts = sorted({host for host in hosts if host.partition(".")[0] != this_host})
    if other_hosts and (store.file is not None or urlsplit(store.uri).hostname in LOOPBACK):
        raise ConfigError(
            f"tracking.uri: must be a server or database that workers on {', '.join(other_hosts[:5])} can reach, got "
            f"{store.shown}; start `mlflow server` on a host they know and write tracking.uri=http://HOST:5000"
        )


def brief(result: Result) -> Brief:
    """A result without its job, which the receiver has."""
    reached = result.outcome, result.metrics, result.divergence
    return result.run, *reached, result.error, result.taken, result.disagreement


def full(task: PackTask, answer: Sequence[Brief]) -> list[Result]:
    """Restore the results of a task from its worker's answer."""
    return [Result(job, *fields) for job, fields in zip(task.jobs, answer, strict=True)]


def settle(sink: "MlflowSink", task: PackTask, reason: str) -> list[Result]:
    """Results of a pack whose worker is gone, from the store: its open runs are ended, and unfinished ones failed."""
    from workbench.tracking import lost_runs

    runs = lost_runs.settle(sink, _sweep_of(task), _keys_of(task), reason)
    results = []
    for job in task.jobs:
        tries = runs.get(job.tags["key"])
        if not tries:
            results.append(Result(job, "", Outcome.failed, error=reason))
            continue
        newest = tries.pop()
        error = reason if newest.outcome is Outcome.failed else ""
        results.append(as_result(job, newest, error))
    return results


def end_all(sink: "MlflowSink", tasks: Iterable[PackTask], reason: str) -> None:
    """End every open run of these tasks, which are of one sweep."""
    from workbench.tracking import lost_runs

    tasks = list(tasks)
    lost_runs.settle(sink, _sweep_of(tasks[0]), set().union(*map(_keys_of, tasks)), reason)


def _sweep_of(task: PackTask) -> str:
    return task.jobs[0].tags["sweep"]


def _keys_of(task: PackTask) -> set[str]:
    return {job.tags["key"] for job in task.jobs}


@dataclass
class SubmittedPack:
    """A submitted task, the results that lost workers reached, by position, and the number of lost workers."""

    task: PackTask
    results: dict[int, Result] = field(default_factory=dict)
    losses: int = 0

    @property
    def left(self) -> PackTask:
        """The task for the next worker: the whole pack, because a replica's last bits depend on the others."""
        return replace(self.task, done=self.task.done | self.results.keys())

    def lose(self, known: Sequence[Result]) -> bool:
        """Note the results that a lost worker reached, among those `known`; returns whether runs are left."""
        self.losses += 1
        pairs = zip(self.task.positions, known, strict=True)
        self.results |= {position: result for position, result in pairs if result.outcome is not Outcome.failed}
        return any(position not in self.left.done for position in self.task.positions)

    def end(self, answer: Sequence[Result]) -> tuple[PackTask, list[Result]]:
        """The task and all its results, with those of its last worker."""
        pairs = zip(self.task.positions, answer, strict=True)
        return self.task, [self.results.get(position, result) for position, result in pairs]
