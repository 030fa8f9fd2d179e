"""Shared by the executors whose workers are other processes: what a worker is told, what it answers, and its loss."""

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
class Place:
    """Where a worker keeps its runs, and on how many threads it computes."""

    uri: str
    experiment_id: str
    threads: int

    def worker(self) -> Worker:
        """The worker of this process for this place."""
        return _worker(self)


@lru_cache(maxsize=1)
def _worker(place: Place) -> Worker:
    from workbench.tracking.mlflow_sink import MlflowSink

    store = Store(place.uri)
    if store.file is not None and not store.file.exists():  # it would be made, and nobody would look there
        raise TrackingError(
            f"tracking: there is no {store.file} on {platform.node()}; write tracking.uri=http://... to name a server"
        )
    torch.set_num_threads(place.threads)
    return Worker(MlflowSink(store, experiment_id=place.experiment_id))


def shared(sink: Sink, who: str) -> "MlflowSink":
    """The sink, if other processes can open its store too; else raise TrackingError."""
    from workbench.tracking.mlflow_sink import MlflowSink

    if not isinstance(sink, MlflowSink):
        raise TrackingError(f"{who}: needs a store that several processes can write to")
    return sink


def check_reach(store: Store, hosts: Iterable[str]) -> None:
    """Raise ConfigError where workers on these hosts could not write to the store."""
    here = platform.node().partition(".")[0]
    away = sorted({host for host in hosts if host.partition(".")[0] != here})
    if away and (store.file is not None or urlsplit(store.uri).hostname in LOOPBACK):
        raise ConfigError(
            f"tracking.uri: must be a server or database that workers on {', '.join(away[:5])} can reach, got "
            f"{store.shown}; start `mlflow server` on a host they know and write tracking.uri=http://HOST:5000"
        )


def brief(result: Result) -> Brief:
    """A result without its job, which whoever asked has."""
    how = result.outcome, result.metrics, result.divergence
    return result.run, *how, result.error, result.taken, result.disagreement


def full(task: PackTask, answer: Sequence[Brief]) -> list[Result]:
    """The results of a task from what its worker answered."""
    return [Result(job, *kept) for job, kept in zip(task.jobs, answer, strict=True)]


def settle(sink: "MlflowSink", task: PackTask, reason: str) -> list[Result]:
    """What the store knows of a pack whose worker is gone: its runs are ended, and not done is failed."""
    from workbench.tracking import lost_runs

    runs = lost_runs.settle(sink, _sweep_of(task), _keys_of(task), reason)
    results = []
    for job in task.jobs:
        tries = runs.get(job.tags["key"])
        if not tries:
            results.append(Result(job, "", Outcome.failed, error=reason))
            continue
        kept = tries.pop()
        error = reason if kept.outcome is Outcome.failed else ""
        results.append(as_result(job, kept, error))
    return results


def end_all(sink: "MlflowSink", tasks: Iterable[PackTask], reason: str) -> None:
    """End every run of these tasks, which are of one sweep, that is still open."""
    from workbench.tracking import lost_runs

    tasks = list(tasks)
    lost_runs.settle(sink, _sweep_of(tasks[0]), set().union(*map(_keys_of, tasks)), reason)


def _sweep_of(task: PackTask) -> str:
    return task.jobs[0].tags["sweep"]


def _keys_of(task: PackTask) -> set[str]:
    return {job.tags["key"] for job in task.jobs}


@dataclass
class SubmittedPack:
    """A task on its way: what workers that were lost had done of it, by position, and how many they were."""

    task: PackTask
    results: dict[int, Result] = field(default_factory=dict)
    losses: int = 0

    @property
    def left(self) -> PackTask:
        """The task for the next worker: as a whole, because a replica's last bits depend on who trains with it."""
        return replace(self.task, done=self.task.done | self.results.keys())

    def lose(self, known: Sequence[Result]) -> bool:
        """Keep what a lost worker had done, of what is `known` of the pack's runs; whether something is left."""
        self.losses += 1
        pairs = zip(self.task.positions, known, strict=True)
        self.results |= {position: result for position, result in pairs if result.outcome is not Outcome.failed}
        return any(position not in self.left.done for position in self.task.positions)

    def end(self, answer: Sequence[Result]) -> tuple[PackTask, list[Result]]:
        """The task and all its results, with what its last worker answered."""
        pairs = zip(self.task.positions, answer, strict=True)
        return self.task, [self.results.get(position, result) for position, result in pairs]
