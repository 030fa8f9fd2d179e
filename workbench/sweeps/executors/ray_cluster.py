"""Packs trained as tasks of a Ray cluster: one of this machine alone, or any by its address.

A task that is lost with its node is tried again here, never by Ray, which would begin its runs a second time, and would
also repeat a finished task whose answer was lost: the store tells what of a pack is done.
"""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from workbench.core import signals
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask
from workbench.sweeps.executors.ray_board import Board
from workbench.sweeps.executors.remote import (
    SECONDS_TO_END,
    Brief,
    SubmittedPack,
    WorkerSettings,
    brief,
    check_reach,
    end_all,
    full,
    settle,
    shared,
)
from workbench.tracking.base import Sink
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_WITHOUT_NODE = 60.0
KEY = "hydra.launcher.executor"


def load_ray() -> Any:
    """Import Ray, silenced; raises ConfigError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "hydra/launcher=packed_ray: needs Ray, which is not installed; write pip install 'workbench[ray]'"
        ) from error
    return ray


class Ray(Executor):
    """The executor of ``hydra/launcher=packed_ray``: a pack takes `cpus` and `gpus` of a node of the cluster."""

    def __init__(self, address: str | None = None, cpus: int = 1, gpus: float = 0.0, max_retries: int = 2) -> None:
        """Raise ConfigError for an address or numbers that cannot be."""
        if address is not None and not re.fullmatch(r"auto|[^/\s]+:\d+", address):
            raise ConfigError(f"{KEY}.address: must be HOST:PORT, auto, or null for this machine, got {address!r}")
        for name, value, least in (("cpus", cpus, 1), ("gpus", gpus, 0), ("max_retries", max_retries, 0)):
            if value < least:
                raise ConfigError(f"{KEY}.{name}: must be at least {least}, got {value}")
        self.ray = load_ray()
        self.address, self.cpus, self.gpus, self.max_retries = address, cpus, gpus, max_retries
        self._ours = False

    def ready(self, store: Store) -> None:
        """Connect to the cluster; raises ConfigError where no node has room for a pack, or none reaches the store."""
        if not self.ray.is_initialized():
            self._connect()
            self._ours = True
        nodes = self._nodes()
        self.parallel = self.room()
        if not self.parallel:
            largest = max(node["Resources"].get("CPU", 0) for node in nodes)
            gpus = max(node["Resources"].get("GPU", 0) for node in nodes)
            raise ConfigError(
                f"{KEY}: some node must have cpus={self.cpus} and gpus={self.gpus:g}, got nodes with at most "
                f"{largest:g} and {gpus:g}; write for example {KEY}.cpus=1 {KEY}.gpus=0"
            )
        check_reach(store, [node["NodeManagerHostname"] for node in nodes])

    def _connect(self) -> None:
        """Start or join the cluster; raises ConfigError where none answers."""
        wanted = {"include_dashboard": False} if self.address is None else {}
        with _own_handlers():
            try:
                if self.address not in (None, "auto"):
                    host, _, port = self.address.rpartition(":")
                    socket.create_connection((host, int(port)), timeout=10).close()  # Ray would try for minutes
                self.ray.init(self.address or "local", log_to_driver=False, logging_level="ERROR", **wanted)
            except (OSError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"{KEY}.address: must be that of a running cluster, got {self.address!r}: "
                    f"{str(error).splitlines()[0]}; start one with `ray start --head`"
                ) from error

    def room(self) -> int:
        """Number of packs that the living nodes train at once."""
        return sum(self._fitting(node) for node in self._nodes())

    def _nodes(self) -> list[Any]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _fitting(self, node: Any) -> int:
        """Number of packs that a node trains at once."""
        has = node["Resources"]
        by_gpu = has.get("GPU", 0) // self.gpus if self.gpus else float("inf")
        return int(min(has.get("CPU", 0) // self.cpus, by_gpu))

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Submit all packs; what is left of one whose worker is lost is submitted again, `max_retries` times."""
        if tasks:
            yield from _SubmittedPacks(self, shared(sink, "packed_ray"), on_progress).run(tasks)

    def close(self) -> None:
        if self._ours:
            self.ray.shutdown()
            self._ours = False


class _SubmittedPacks:
    """The packs of one call of `Ray.run` until they end."""

    def __init__(self, executor: Ray, sink: "MlflowSink", on_progress: OnProgress) -> None:
        from workbench.tracking.client import undivided

        self.undivided = undivided  # what a signal handler raises within Ray's own code surfaces as SystemError
        self.executor, self.sink, self.on_progress = executor, sink, on_progress
        self.ray = executor.ray
        self.settings = WorkerSettings(sink.store.uri, sink.experiment_id, executor.cpus)
        self.train = self.ray.remote(num_cpus=executor.cpus, num_gpus=executor.gpus, max_retries=0)(_train)
        self.board = self._board()
        self.pending: dict[Any, tuple[str, SubmittedPack]] = {}
        self.shown: dict[str, int] = {}  # epochs that the bar has, by the name of a try
        self.retried: list[PackTask] = []
        self.node_seen = monotonic()  # when a node with room for a pack was last alive

    def _board(self) -> Any:
        """Start the board on this node: on another it could be lost."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        this_node = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=True)
        return self.ray.remote(num_cpus=0, scheduling_strategy=this_node)(Board).remote()

    def run(self, tasks: Sequence[PackTask]) -> Ends:
        """Yield packs as they end."""
        try:
            for task in tasks:
                self._send(SubmittedPack(task))
            while self.pending:
                for ref in self._wait():
                    yield from self._take(ref)
            if self.retried:  # a lost worker may have lived on, and begun further runs
                end_all(self.sink, self.retried, "its worker was lost")
        finally:
            signals.ending()
            if self.pending:
                with self.undivided():
                    self._cancel()

    def _send(self, pack: SubmittedPack) -> None:
        name = f"{pack.task.positions[0]}.{pack.losses}"
        with self.undivided():
            self.pending[self.train.remote(pack.left, self.settings, self.board, name)] = (name, pack)
        self.shown[name] = 0

    def _wait(self) -> Sequence[Any]:
        """Packs that have ended, after a moment at most."""
        with self.undivided():
            ended, _ = self.ray.wait(list(self.pending), timeout=SECONDS_BETWEEN_LOOKS)
            self._look()
        return list(ended)

    def _take(self, ref: Any) -> Ends:
        """Yield the answer of a worker; where it was lost, submit what it had not done again."""
        name, pack = self.pending[ref]
        submitted, is_lost = pack.left, False
        try:
            with self.undivided():
                answer = full(pack.task, self.ray.get(ref))
        except self.ray.exceptions.RayError as error:
            # what the pack's own code raised would come again
            is_lost = not isinstance(error, self.ray.exceptions.RayTaskError)
            answer = settle(self.sink, pack.task, _reason(error))
        del self.pending[ref]
        if is_lost and pack.lose(answer) and pack.losses <= self.executor.max_retries:
            self._show(name, submitted.epochs - pack.left.epochs)
            self.retried.append(pack.task)
            self._send(pack)
        else:
            self._show(name, submitted.epochs)
            yield pack.end(answer)

    def _look(self) -> None:
        """Show progress from the board; raises WorkbenchError where no node is left to wait for."""
        if self.executor.room():
            self.node_seen = monotonic()
        elif monotonic() - self.node_seen > SECONDS_WITHOUT_NODE:
            raise WorkbenchError(
                f"packed_ray: no node with cpus={self.executor.cpus} and gpus={self.executor.gpus:g} is left in the "
                "cluster; the same command trains the rest once there is one"
            )
        with suppress(self.ray.exceptions.RayError):  # without a board the bar moves by whole packs
            reported = self.ray.get(self.board.read.remote(), timeout=SECONDS_BETWEEN_LOOKS)
            for name, pack in self.pending.values():
                self._show(name, min(reported.get(name, 0), pack.task.epochs))

    def _show(self, name: str, epochs: int) -> None:
        self.on_progress(epochs - self.shown[name])
        self.shown[name] = epochs

    def _cancel(self) -> None:
        """End packs in training as Ctrl-C would, so that their runs are closed."""
        for ref in self.pending:
            self.ray.cancel(ref)
        _, running = self.ray.wait(list(self.pending), num_returns=len(self.pending), timeout=SECONDS_TO_END)
        for ref in running:
            self.ray.cancel(ref, force=True)
        end_all(self.sink, (pack.task for _, pack in self.pending.values()), "its sweep was ended")


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    return f"its worker was lost: {str(error).splitlines()[0]}" if cause is None else f"{type(cause).__name__}: {cause}"


def _train(task: PackTask, settings: WorkerSettings, board: Any, name: str) -> list[Brief]:
    """Train one pack in a worker of the cluster."""
    waiting, reported_at = 0, monotonic()

    def on_progress(epochs: int) -> None:
        nonlocal waiting, reported_at
        waiting += epochs
        if monotonic() - reported_at > SECONDS_BETWEEN_LOOKS:
            board.add.remote(name, waiting)
            waiting, reported_at = 0, monotonic()

    return [brief(result) for result in settings.worker().do(task, on_progress)]


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep this process's signal handlers: Ray replaces that of SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
