"""Packs trained in fresh processes of this machine, each with its share of the cores.

The processes are spawned, because a forked one would inherit torch's threads. The pool is our own, because a standard
one is lost as a whole when one of its processes dies.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from workbench.core import signals
from workbench.core.errors import ConfigError, Terminated
from workbench.runs.train_pack import Result
from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask
from workbench.sweeps.executors.remote import SECONDS_TO_END, WorkerSettings, brief, full, settle, shared
from workbench.tracking.base import Sink

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _WorkerProcess:
    """A worker process, its pipe, its present task, and how many epochs of that it has reported."""

    process: BaseProcess
    pipe: Connection
    task: PackTask | None = None
    reported: int = 0


class Processes(Executor):
    """The executor of ``hydra/launcher=packed_processes``: `workers` processes (None: one per core)."""

    def __init__(self, workers: int | None = None) -> None:
        """Raise ConfigError for fewer than one worker."""
        if workers is not None and workers < 1:
            raise ConfigError(
                f"hydra.launcher.executor.workers: must be at least 1, or null for one per core, got {workers}"
            )
        self.parallel = workers or cores()
        self._workers: list[_WorkerProcess] = []
        self._settings: WorkerSettings | None = None

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Send packs to workers as they come free; a worker that dies is replaced, and its pack is lost."""
        shared_sink = shared(sink, "packed_processes")
        waiting = list(reversed(tasks))
        try:
            count = max(1, min(self.parallel, len(tasks)))
            settings = WorkerSettings(shared_sink.store.uri, shared_sink.experiment_id, max(1, cores() // count))
            self._start(settings, count)
            while waiting or any(worker.task for worker in self._workers):
                for worker in self._workers:
                    if worker.task is None and waiting:
                        worker.task, worker.reported = waiting.pop(), 0
                        worker.pipe.send(worker.task)
                yield from self._listen(settings, shared_sink, on_progress)
        except BaseException as error:
            signals.ending(error)
            self.close()
            raise

    def close(self) -> None:
        """End the workers, which otherwise serve the next call of `run`."""
        _end(self._workers)
        self._workers = []

    def _start(self, settings: WorkerSettings, count: int) -> None:
        """Have `count` living workers with these settings."""
        if settings != self._settings:
            self.close()
        living = [worker for worker in self._workers if worker.process.is_alive()]
        self._settings, self._workers = settings, living + [_start_worker(settings) for _ in range(count - len(living))]

    def _listen(self, settings: WorkerSettings, sink: "MlflowSink", on_progress: OnProgress) -> Ends:
        ready = wait([worker.pipe for worker in self._workers if worker.task])
        for number, worker in enumerate(self._workers):
            if worker.pipe not in ready or worker.task is None:
                continue
            try:
                kind, content = worker.pipe.recv()
            except (EOFError, OSError):
                task, self._workers[number] = worker.task, _start_worker(settings)
                on_progress(task.epochs - worker.reported)
                yield _lost(worker, task, sink)
                continue
            if kind == "progress":
                worker.reported += content
                on_progress(content)
            else:
                task, worker.task = worker.task, None
                yield task, full(task, content)


def _start_worker(settings: WorkerSettings) -> _WorkerProcess:
    context = multiprocessing.get_context("spawn")
    own_end, worker_end = context.Pipe()
    process = context.Process(target=_work, args=(worker_end, settings), daemon=True)
    resource_tracker.ensure_running()  # starting it unblocks SIGINT, which the first worker would receive
    with signals.held_back():  # Ctrl-C reaches the whole group; the parent says when to end
        process.start()
    worker_end.close()
    return _WorkerProcess(process, own_end)


def _lost(worker: _WorkerProcess, task: PackTask, sink: "MlflowSink") -> tuple[PackTask, list[Result]]:
    worker.process.join(SECONDS_TO_END)
    reason = f"its worker process {worker.process.pid} ended with exit code {worker.process.exitcode}"
    return task, settle(sink, task, reason)


def _end(workers: Sequence[_WorkerProcess]) -> None:
    """End idle workers by closing their pipes, busy ones by SIGTERM, which lets them close their runs."""
    for worker in workers:
        if worker.task is not None:
            worker.process.terminate()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(SECONDS_TO_END)
        if worker.process.is_alive():
            worker.process.kill()


def _work(pipe: Connection, settings: WorkerSettings) -> None:
    """Main function of a worker: run tasks from the pipe until it is closed."""
    signals.listen(signal.SIGTERM)
    signals.end_with_parent()

    def on_progress(epochs: int) -> None:
        try:
            pipe.send(("progress", epochs))
        except OSError as error:  # the pack itself did not fail
            raise Terminated from error

    try:
        worker = settings.worker()
        while True:
            task: PackTask = pipe.recv()
            results = worker.do(task, on_progress)
            pipe.send(("done", [brief(result) for result in results]))
    except (EOFError, OSError, Terminated):
        return  # the parent has closed the pipe, or is gone
