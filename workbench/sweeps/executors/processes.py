"""Packs in fresh processes of this machine, each with its share of the cores.

Fresh, because a forked process would inherit torch's threads; a pool of our own, because a standard one is lost as a
whole when one of its processes dies.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from workbench.errors import ConfigError, Terminated, TrackingError
from workbench.run import Result
from workbench.sweeps.executors.base import Ends, OnProgress, PackTask, Worker
from workbench.tracking.base import Sink

SECONDS_TO_END = 20.0
Told = tuple[str, Any]  # ("progress", epochs) or ("done", what `_brief` keeps of each result)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Hand:
    """A worker process, its pipe, and what it is doing."""

    process: BaseProcess
    pipe: Connection
    task: PackTask | None = None


class Processes:
    """The executor of ``hydra/launcher=packed_processes``: `workers` processes (None: one per core)."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ConfigError(
                f"hydra.launcher.executor.workers: must be at least 1, or null for one per core, got {workers}"
            )
        self.workers = workers

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Hand out packs as workers come free; one that dies is replaced, its pack is lost."""
        from workbench.tracking.mlflow import MlflowSink

        if not isinstance(sink, MlflowSink):
            raise TrackingError("packed_processes: needs a store that several processes can write to")
        count = min(self.workers or cores(), len(tasks))
        waiting = list(reversed(tasks))
        hands: list[_Hand] = []
        try:
            hands += [self._start(sink, count) for _ in range(count)]
            while waiting or any(hand.task for hand in hands):
                for hand in hands:
                    if hand.task is None and waiting:
                        hand.task = waiting.pop()
                        hand.pipe.send(hand.task)
                yield from self._listen(hands, sink, on_progress, count)
        finally:
            _end(hands)

    def _start(self, sink: Any, count: int) -> _Hand:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        address = (sink.store.uri, sink.experiment_id, max(1, cores() // count))
        process = context.Process(target=_work, args=(theirs, *address), daemon=True)
        process.start()
        theirs.close()
        return _Hand(process, ours)

    def _listen(self, hands: list[_Hand], sink: Any, on_progress: OnProgress, count: int) -> Ends:
        ready = wait([hand.pipe for hand in hands if hand.task])
        for place, hand in enumerate(hands):
            if hand.pipe not in ready or hand.task is None:
                continue
            try:
                kind, content = hand.pipe.recv()
            except (EOFError, OSError):
                task, hands[place] = hand.task, self._start(sink, count)
                yield task, _lost(hand, task, sink)
                continue
            if kind == "progress":
                on_progress(content)
            else:
                task, hand.task = hand.task, None
                yield task, [Result(job, *kept) for job, kept in zip(task.jobs, content, strict=True)]


def _lost(hand: _Hand, task: PackTask, sink: Any) -> list[Result]:
    hand.process.join(SECONDS_TO_END)
    reason = f"its worker process {hand.process.pid} ended with exit code {hand.process.exitcode}"
    sink.close_left({job.tags["key"] for job in task.jobs}, reason)
    return task.lost(reason)


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


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _work(pipe: Connection, uri: str, experiment_id: str, threads: int) -> None:
    """The life of a worker: tasks from the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to end
    signal.signal(signal.SIGTERM, _terminate)
    import torch

    from workbench.tracking.mlflow import MlflowSink
    from workbench.tracking.store import Store

    torch.set_num_threads(threads)
    try:
        worker = Worker(MlflowSink(Store(uri), experiment_id=experiment_id))
        while True:
            task: PackTask = pipe.recv()
            results = worker.do(task, lambda epochs: pipe.send(("progress", epochs)))
            pipe.send(("done", [_brief(result) for result in results]))
    except (EOFError, OSError, Terminated):
        return  # the parent has closed the pipe, or is gone


def _brief(result: Result) -> tuple[Any, ...]:
    """A result without its job, which the parent has."""
    return result.run, result.outcome, result.metrics, result.divergence, result.error
