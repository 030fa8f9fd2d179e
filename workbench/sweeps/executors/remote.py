"""Shared by the executors whose workers are other processes: what a worker is told, what it answers, and its loss."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch

from workbench.errors import ConfigError, TrackingError
from workbench.run import Result
from workbench.sweeps.executors.base import PackTask, Worker
from workbench.tracking.base import Sink
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.tracking.mlflow import MlflowSink
    from workbench.tracking.reader import KeptRun

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
    from workbench.tracking.mlflow import MlflowSink

    store = Store(place.uri)
    if store.file is not None and not store.file.exists():  # it would be made, and nobody would look there
        raise TrackingError(
            f"tracking: there is no {store.file} on {platform.node()}; name a server: tracking.uri=http"
        )
    torch.set_num_threads(place.threads)
    return Worker(MlflowSink(store, experiment_id=place.experiment_id))


def shared(sink: Sink, who: str) -> "MlflowSink":
    """The sink, if other processes can open its store too; else raise TrackingError."""
    from workbench.tracking.mlflow import MlflowSink

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
    return result.run, result.outcome, result.metrics, result.divergence, result.error


def full(task: PackTask, answer: Sequence[Brief]) -> list[Result]:
    """The results of a task from what its worker answered."""
    return [Result(job, *kept) for job, kept in zip(task.jobs, answer, strict=True)]


def settle(sink: "MlflowSink", task: PackTask, reason: str, again: bool = False) -> dict[int, Result]:
    """What is done of a pack whose worker is lost, by position; the rest of its runs is ended.

    With `again`, the rest is of the sweep no longer.
    """
    from workbench.tracking import lost

    done = lost.settle(sink, task.jobs[0].tags["sweep"], keys_of(task), reason, again)
    return {
        position: _kept(task, number, done[job.tags["key"]])
        for number, (position, job) in enumerate(zip(task.positions, task.jobs, strict=True))
        if job.tags["key"] in done
    }


def _kept(task: PackTask, number: int, kept: "KeptRun") -> Result:
    return Result(task.jobs[number], kept.id, kept.outcome, dict(kept.metrics))


def keys_of(task: PackTask) -> set[str]:
    """The run keys of a task's jobs."""
    return {job.tags["key"] for job in task.jobs}


def epochs_of(task: PackTask) -> int:
    """Epochs of runs in a task."""
    return sum(job.spec.config.train.epochs for job in task.jobs)


@dataclass
class Pack:
    """A pack on its way: what is `left` to train of it, the results so far, and how often its worker was lost."""

    task: PackTask
    left: PackTask
    results: dict[int, Result] = field(default_factory=dict)
    losses: int = 0

    def take(self, results: Mapping[int, Result]) -> None:
        """Some runs are done, by position."""
        self.results |= results
        rest = [pair for pair in zip(self.task.positions, self.task.jobs, strict=True) if pair[0] not in self.results]
        self.left = replace(
            self.task, positions=tuple(position for position, _ in rest), jobs=tuple(job for _, job in rest)
        )

    def end(self, answer: Sequence[Result]) -> tuple[PackTask, list[Result]]:
        """The whole pack's results, with those of what was left."""
        self.results |= dict(zip(self.left.positions, answer, strict=True))
        return self.task, [self.results[position] for position in self.task.positions]


def give_up(sink: "MlflowSink", pack: Pack, reason: str) -> tuple[PackTask, list[Result]]:
    """The results of a pack that is lost: what is done is kept, the rest has failed."""
    pack.take(settle(sink, pack.left, reason))
    return pack.end(pack.left.lost(reason))


def end_all(sink: "MlflowSink", tasks: Sequence[PackTask], reason: str) -> None:
    """End every run of these tasks that is still open."""
    from workbench.tracking import lost

    lost.settle(sink, tasks[0].jobs[0].tags["sweep"], set().union(*map(keys_of, tasks)), reason)


def forget_strays(sink: "MlflowSink", packs: Sequence[Pack], reason: str) -> None:
    """Take the runs of these packs that are none of their results out of their sweep, and end them."""
    from workbench.tracking import lost

    known = {result.run for pack in packs for result in pack.results.values()}
    keys = set().union(*(keys_of(pack.task) for pack in packs))
    lost.supersede_strays(sink, packs[0].task.jobs[0].tags["sweep"], keys, known, reason)
