"""What executors share: the task of one pack, and how a worker does it."""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from workbench.certificates.trained import SpotChecks
from workbench.engine.history import Record
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.runs.train_pack import Job, Result, train_pack
from workbench.sweeps.checkpoints import Checkpoints
from workbench.sweeps.pruning import Pruning
from workbench.tracking.base import Sink
from workbench.tracking.store import Store

OnProgress = Callable[[int], None]
Ends = Generator[tuple["PackTask", list[Result]], None, None]


@dataclass(frozen=True)
class PackTask:
    """Runs to train as one pack; `positions` are theirs in the sweep. `pruning` says which of them to give up.

    Those at the positions `done` are trained for the others' sake only.
    """

    positions: tuple[int, ...]
    jobs: tuple[Job, ...]
    pruning: Pruning | None = None
    checkpoints: Checkpoints | None = None
    done: frozenset[int] = frozenset()

    @property
    def silent(self) -> frozenset[int]:
        """Replicas that are trained for the others' sake only."""
        return frozenset(number for number, position in enumerate(self.positions) if position in self.done)

    def without(self, positions: Collection[int]) -> "PackTask | None":
        """The task without these runs; None where nothing is left to train."""
        kept = [(place, job) for place, job in zip(self.positions, self.jobs, strict=True) if place not in positions]
        if self.done.issuperset(place for place, _ in kept):
            return None
        return replace(self, positions=tuple(place for place, _ in kept), jobs=tuple(job for _, job in kept))

    @property
    def epochs(self) -> int:
        """Epochs of runs that are to be trained."""
        silent = self.silent
        return sum(job.spec.epochs for number, job in enumerate(self.jobs) if number not in silent)

    def keeper(self) -> AbstractContextManager[CheckpointWriter | None]:
        """What keeps its checkpoint while it is trained."""
        if self.checkpoints is None:
            return nullcontext()
        return self.checkpoints.keeper([job.tags["key"] for job in self.jobs], self.silent)


class Executor(Protocol):
    """Trains packs, `parallel` of them at once."""

    parallel: int = 1

    def ready(self, store: Store) -> None:
        """Raise ConfigError for what cannot run, before anything is written to the store."""
        return

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Each pack's results as it ends; `on_progress` is told of epochs of runs that are done.

        A worker that dies costs its pack alone: its runs fail, the others go on. Closing the generator ends what is
        left.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back what several calls of `run` share."""
        return


@dataclass
class Worker:
    """Does tasks one after the other in one process."""

    sink: Sink
    spot_checks: SpotChecks = field(default_factory=SpotChecks)

    def do(self, task: PackTask, on_progress: OnProgress) -> list[Result]:
        """Train one pack, without the runs that others hold; `on_progress` is told of all epochs, needed or not."""
        found: dict[int, Result] = {}
        rest: PackTask | None = task
        while rest is not None:
            results = self._train(rest, on_progress)
            found |= zip(rest.positions, results, strict=True)
            taken = {position for position, one in zip(rest.positions, results, strict=True) if one.taken}
            rest = rest.without(taken) if taken else None
        return [found[position] for position in task.positions]

    def _train(self, task: PackTask, on_progress: OnProgress) -> list[Result]:
        config, silent = task.jobs[0].spec.config, task.silent
        left = {number: job.spec.epochs for number, job in enumerate(task.jobs) if number not in silent}
        epoch = 0

        def ends(replicas: Iterable[int]) -> None:
            on_progress(sum(left.pop(replica, 0) for replica in replicas))

        def on_record(record: Record) -> None:
            nonlocal epoch
            if record.epoch > epoch:  # others are of moments inside one, of a stage's beginning, of the test part
                epoch = record.epoch
                trained = left.keys() & record.replicas
                left.update({replica: left[replica] - 1 for replica in trained})
                on_progress(len(trained))
            ends(one.replica for one in record.diverged)

        spot_checks = self.spot_checks if config.certificate else None
        prune = task.pruning.watch(task.jobs) if task.pruning else lambda record: ()

        def give_up(record: Record) -> Sequence[int]:
            replicas = prune(record)
            ends(replicas)
            return replicas

        with task.keeper() as keeper:
            results = train_pack(task.jobs, self.sink, on_record, spot_checks, give_up, keeper).results
        taken = [number for number, result in enumerate(results) if result.taken]
        ends(taken or list(left))
        return results
