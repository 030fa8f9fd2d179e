"""Interface and worker of all executors, and the task of one pack."""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from workbench.certificates.trained import SpotChecks
from workbench.engine.history import Record
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.runs.train_pack import Job, Result, train_pack
from workbench.sweeps.callbacks import call_back
from workbench.sweeps.checkpoints import Checkpoints
from workbench.sweeps.pruning import Pruning
from workbench.tracking.base import Sink
from workbench.tracking.store import Store

OnProgress = Callable[[int], None]
Ends = Generator[tuple["PackTask", list[Result]], None, None]


@dataclass(frozen=True)
class PackTask:
    """Runs to train as one pack; `positions` are theirs in the sweep, and `pruning` selects those to give up.

    Runs at the positions `done` are trained only because the others' numbers depend on them.
    """

    positions: tuple[int, ...]
    jobs: tuple[Job, ...]
    pruning: Pruning | None = None
    checkpoints: Checkpoints | None = None
    done: frozenset[int] = frozenset()

    @property
    def silent(self) -> frozenset[int]:
        """Replicas that are trained only because the others' numbers depend on them."""
        return frozenset(number for number, position in enumerate(self.positions) if position in self.done)

    def without(self, positions: Collection[int]) -> "PackTask | None":
        """The task without the runs at these positions; None where nothing is left to train."""
        remaining = [
            (position, job)
            for position, job in zip(self.positions, self.jobs, strict=True)
            if position not in positions
        ]
        if self.done.issuperset(position for position, _ in remaining):
            return None
        return replace(
            self, positions=tuple(position for position, _ in remaining), jobs=tuple(job for _, job in remaining)
        )

    @property
    def epochs(self) -> int:
        """Total epochs of the runs that are to be trained."""
        silent = self.silent
        return sum(job.spec.epochs for number, job in enumerate(self.jobs) if number not in silent)

    def checkpoint_writer(self) -> AbstractContextManager[CheckpointWriter | None]:
        """Context of the pack's training that yields its checkpoint writer, or None."""
        if self.checkpoints is None:
            return nullcontext()
        return self.checkpoints.writer([job.tags["key"] for job in self.jobs], self.silent)


class Executor(Protocol):
    """Trains packs, `parallel` of them at once."""

    parallel: int = 1

    def ready(self, store: Store) -> None:
        """Raise ConfigError for what cannot run, before anything is written to the store."""
        return

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Yield each pack's results as it ends; `on_progress` receives numbers of epochs of runs that are done.

        A worker that dies costs its pack alone: its runs fail, the others go on. Closing the generator ends the packs
        that are left.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release what several calls of `run` share."""
        return


@dataclass
class Worker:
    """Trains packs one after the other in one process."""

    sink: Sink
    spot_checks: SpotChecks = field(default_factory=SpotChecks)

    def do(self, task: PackTask, on_progress: OnProgress) -> list[Result]:
        """Train one pack, without the runs that other commands hold; returns the results in the task's order.

        `on_progress` receives all epochs of the task in the end, whether they were needed or not.
        """
        results_by_position: dict[int, Result] = {}
        remaining: PackTask | None = task
        while remaining is not None:
            results = self._train(remaining, on_progress)
            results_by_position |= zip(remaining.positions, results, strict=True)
            taken = {position for position, result in zip(remaining.positions, results, strict=True) if result.taken}
            remaining = remaining.without(taken) if taken else None
        return [results_by_position[position] for position in task.positions]

    def _train(self, task: PackTask, on_progress: OnProgress) -> list[Result]:
        config, silent = task.jobs[0].spec.config, task.silent
        epochs_left = {number: job.spec.epochs for number, job in enumerate(task.jobs) if number not in silent}
        epoch, names = 0, [job.name for job in task.jobs]

        def ends(replicas: Iterable[int]) -> None:
            on_progress(sum(epochs_left.pop(replica, 0) for replica in replicas))

        def on_record(record: Record) -> None:
            nonlocal epoch
            if record.epoch > epoch:  # other records are within an epoch, at a stage's beginning, or of the test part
                epoch = record.epoch
                trained = epochs_left.keys() & record.replicas
                epochs_left.update({replica: epochs_left[replica] - 1 for replica in trained})
                on_progress(len(trained))
            ends(divergence.replica for divergence in record.diverged)
            if "test/loss" in record.metrics:
                ends(record.replicas)
            call_back(record, names)

        spot_checks = self.spot_checks if config.certificate else None
        prune = task.pruning.watch(task.jobs) if task.pruning else lambda record: ()

        def give_up(record: Record) -> Sequence[int]:
            replicas = prune(record)
            ends(replicas)
            return replicas

        with task.checkpoint_writer() as checkpoints:
            results = train_pack(task.jobs, self.sink, on_record, spot_checks, give_up, checkpoints).results
        taken = [number for number, result in enumerate(results) if result.taken]
        ends(taken or list(epochs_left))
        return results
