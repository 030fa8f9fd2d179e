"""Packs as tasks of a Ray cluster: one of this machine alone, or any by its address.

A task that is lost with its node is tried again by us, never by Ray, which would begin its runs a second time, and
would also repeat a finished task whose answer was lost: what of a pack is done, the store knows.
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
    Place,
    SubmittedPack,
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
    """Ray, quiet; raise ConfigError where it is not installed."""
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
        if address is not None and not re.fullmatch(r"auto|[^/\s]+:\d+", address):
            raise ConfigError(f"{KEY}.address: must be HOST:PORT, auto, or null for this machine, got {address!r}")
        for name, value, least in (("cpus", cpus, 1), ("gpus", gpus, 0), ("max_retries", max_retries, 0)):
            if value < least:
                raise ConfigError(f"{KEY}.{name}: must be at least {least}, got {value}")
        self.ray = load_ray()
        self.address, self.cpus, self.gpus, self.max_retries = address, cpus, gpus, max_retries
        self._ours = False

    def ready(self, store: Store) -> None:
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
        """How many packs the nodes that are alive train at once."""
        return sum(self._fitting(node) for node in self._nodes())

    def _nodes(self) -> list[Any]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _fitting(self, node: Any) -> int:
        """How many packs a node trains at once."""
        has = node["Resources"]
        by_gpu = has.get("GPU", 0) // self.gpus if self.gpus else float("inf")
        return int(min(has.get("CPU", 0) // self.cpus, by_gpu))

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        """Give Ray all packs; what of one is left when its worker is lost goes to another, `max_retries` times."""
        if tasks:
            yield from _Flight(self, shared(sink, "packed_ray"), on_progress).run(tasks)

    def close(self) -> None:
        if self._ours:
            self.ray.shutdown()
            self._ours = False


class _Flight:
    """The packs of one call of `Ray.run` on their way."""

    def __init__(self, executor: Ray, sink: "MlflowSink", on_progress: OnProgress) -> None:
        from workbench.tracking.client import undivided

        self.undivided = undivided  # what a signal's handler raises within Ray's own code comes out as SystemError
        self.executor, self.sink, self.on_progress = executor, sink, on_progress
        self.ray = executor.ray
        self.place = Place(sink.store.uri, sink.experiment_id, executor.cpus)
        self.train = self.ray.remote(num_cpus=executor.cpus, num_gpus=executor.gpus, max_retries=0)(_train)
        self.board = self._board()
        self.going: dict[Any, tuple[str, SubmittedPack]] = {}
        self.shown: dict[str, int] = {}  # epochs that the bar has, by the name of a try
        self.retried: list[PackTask] = []
        self.seen = monotonic()  # when a node with room for a pack was last alive

    def _board(self) -> Any:
        """On this node: it would be lost with another."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=True)
        return self.ray.remote(num_cpus=0, scheduling_strategy=here)(Board).remote()

    def run(self, tasks: Sequence[PackTask]) -> Ends:
        """Yield packs as they end."""
        try:
            for task in tasks:
                self._send(SubmittedPack(task))
            while self.going:
                for ref in self._wait():
                    yield from self._take(ref)
            if self.retried:  # a worker that was lost, but lived on, may have begun runs that nobody knows of
                end_all(self.sink, self.retried, "its worker was lost")
        finally:
            signals.ending()
            if self.going:
                with self.undivided():
                    self._cancel()

    def _send(self, pack: SubmittedPack) -> None:
        name = f"{pack.task.positions[0]}.{pack.losses}"
        with self.undivided():
            self.going[self.train.remote(pack.left, self.place, self.board, name)] = (name, pack)
        self.shown[name] = 0

    def _wait(self) -> Sequence[Any]:
        """The packs that have ended, after a moment at most."""
        with self.undivided():
            ended, _ = self.ray.wait(list(self.going), timeout=SECONDS_BETWEEN_LOOKS)
            self._look()
        return list(ended)

    def _take(self, ref: Any) -> Ends:
        """The answer of a worker; another try of what it had not done, where it was lost."""
        name, pack = self.going[ref]
        before, is_lost = pack.left, False
        try:
            with self.undivided():
                answer = full(pack.task, self.ray.get(ref))
        except self.ray.exceptions.RayError as error:
            # what the pack's own code raised would come again
            is_lost = not isinstance(error, self.ray.exceptions.RayTaskError)
            answer = settle(self.sink, pack.task, _reason(error))
        del self.going[ref]
        if is_lost and pack.lose(answer) and pack.losses <= self.executor.max_retries:
            self._show(name, before.epochs - pack.left.epochs)
            self.retried.append(pack.task)
            self._send(pack)
        else:
            self._show(name, before.epochs)
            yield pack.end(answer)

    def _look(self) -> None:
        """Tell the bar what the workers told the board; raise where no node is left to wait for."""
        if self.executor.room():
            self.seen = monotonic()
        elif monotonic() - self.seen > SECONDS_WITHOUT_NODE:
            raise WorkbenchError(
                f"packed_ray: no node with cpus={self.executor.cpus} and gpus={self.executor.gpus:g} is left in the "
                "cluster; the same command trains the rest once there is one"
            )
        with suppress(self.ray.exceptions.RayError):  # without a board the bar moves by whole packs
            said = self.ray.get(self.board.read.remote(), timeout=SECONDS_BETWEEN_LOOKS)
            for name, pack in self.going.values():
                self._show(name, min(said.get(name, 0), pack.task.epochs))

    def _show(self, name: str, epochs: int) -> None:
        self.on_progress(epochs - self.shown[name])
        self.shown[name] = epochs

    def _cancel(self) -> None:
        """End what is in training as Ctrl-C would, so that its runs are closed."""
        for ref in self.going:
            self.ray.cancel(ref)
        _, left = self.ray.wait(list(self.going), num_returns=len(self.going), timeout=SECONDS_TO_END)
        for ref in left:
            self.ray.cancel(ref, force=True)
        end_all(self.sink, (pack.task for _, pack in self.going.values()), "its sweep was ended")


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    return f"its worker was lost: {str(error).splitlines()[0]}" if cause is None else f"{type(cause).__name__}: {cause}"


def _train(task: PackTask, place: Place, board: Any, name: str) -> list[Brief]:
    """What a worker of the cluster does."""
    waiting, said = 0, monotonic()

    def on_progress(epochs: int) -> None:
        nonlocal waiting, said
        waiting += epochs
        if monotonic() - said > SECONDS_BETWEEN_LOOKS:
            board.add.remote(name, waiting)
            waiting, said = 0, monotonic()

    return [brief(result) for result in place.worker().do(task, on_progress)]


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep the handlers of signals that this process has: Ray puts its own in the place of SIGTERM's."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
