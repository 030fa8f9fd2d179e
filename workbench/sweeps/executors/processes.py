"""Packs in fresh processes of this machine, each with its share of the cores.

Fresh, because a forked process would inherit torch's threads; a pool of our own, because a standard one is lost as a
whole when one of its processes dies.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from workbench.core import signals
from workbench.core.errors import ConfigError, Terminated
from workbench.runs.train_pack import Result
from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask
from workbench.sweeps.executors.remote import SECONDS_TO_END, Place, brief, full, settle, shared
from workbench.tracking.base import Sink

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Hand:
    """A worker process, its pipe, what it is doing, and how many epochs of that it has told of."""

    process: BaseProcess
    pipe: Connection
    task: PackTask | None = None
    told: int = 0


class Processes(Executor):
    """The executor of ``hydra/launcher=packed_processes``: `workers` processes (None: one per core)."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ConfigError(
                f"hydra.launcher.executor.workers: must be at least 1, or null for one per core, got {workers}"
            )
        self.parallel = workers or cores()
        self._hands: list[_Hand] = []
        self._place: Place | None = None

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Hand out packs as workers come free; one that dies is replaced, its pack is lost."""
        ours = shared(sink, "packed_processes")
        waiting = list(reversed(tasks))
        try:
            count = max(1, min(self.parallel, len(tasks)))
            place = Place(ours.store.uri, ours.experiment_id, max(1, cores() // count))
            self._start(place, count)
            while waiting or any(hand.task for hand in self._hands):
                for hand in self._hands:
                    if hand.task is None and waiting:
                        hand.task, hand.told = waiting.pop(), 0
                        hand.pipe.send(hand.task)
                yield from self._listen(place, ours, on_progress)
        except BaseException as error:
            signals.ending(error)
            self.close()
            raise

    def close(self) -> None:
        """End the workers, which go on from one call of `run` to the next."""
        _end(self._hands)
        self._hands = []

    def _start(self, place: Place, count: int) -> None:
        """Have as many workers, all at this place."""
        if place != self._place:
            self.close()
        living = [hand for hand in self._hands if hand.process.is_alive()]
        self._place, self._hands = place, living + [_worker_at(place) for _ in range(count - len(living))]

    def _listen(self, place: Place, sink: "MlflowSink", on_progress: OnProgress) -> Ends:
        ready = wait([hand.pipe for hand in self._hands if hand.task])
        for number, hand in enumerate(self._hands):
            if hand.pipe not in ready or hand.task is None:
                continue
            try:
                kind, content = hand.pipe.recv()
            except (EOFError, OSError):
                task, self._hands[number] = hand.task, _worker_at(place)
                on_progress(task.epochs - hand.told)
                yield _lost(hand, task, sink)
                continue
            if kind == "progress":
                hand.told += content
                on_progress(content)
            else:
                task, hand.task = hand.task, None
                yield task, full(task, content)


def _worker_at(place: Place) -> _Hand:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, place), daemon=True)
    with signals.held_back():  # Ctrl-C reaches the whole group; the parent says when to end
        process.start()
    theirs.close()
    return _Hand(process, ours)


def _lost(hand: _Hand, task: PackTask, sink: "MlflowSink") -> tuple[PackTask, list[Result]]:
    hand.process.join(SECONDS_TO_END)
    reason = f"its worker process {hand.process.pid} ended with exit code {hand.process.exitcode}"
    return task, settle(sink, task, reason)


def _end(hands: Sequence[_Hand]) -> None:
    """End idle workers by closing their pipes, busy ones by SIGTERM, which lets them close their runs."""
    for hand in hands:
        if hand.task is not None:
            hand.process.terminate()
        hand.pipe.close()
    for hand in hands:
        hand.process.join(SECONDS_TO_END)
        if hand.process.is_alive():
            hand.process.kill()


def _end_with_parent() -> None:
    """A parent that was killed cannot say when to end; what trains on would only disturb whoever goes on with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(pipe: Connection, place: Place) -> None:
    """The life of a worker: tasks from the pipe until it is closed."""
    signals.listen(signal.SIGTERM)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def on_progress(epochs: int) -> None:
        try:
            pipe.send(("progress", epochs))
        except OSError as error:  # no fault of the pack's
            raise Terminated from error

    try:
        worker = place.worker()
        while True:
            task: PackTask = pipe.recv()
            results = worker.do(task, on_progress)
            pipe.send(("done", [brief(result) for result in results]))
    except (EOFError, OSError, Terminated):
        return  # the parent has closed the pipe, or is gone
