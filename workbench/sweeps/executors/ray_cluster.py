"""Packs as tasks of a Ray cluster: one of this machine alone, or any by its address.

A task that is lost with its node is tried again by us, never by Ray, which would begin its runs a second time, and
would also repeat a finished task whose answer was lost: what of a pack is done, the store knows.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError, WorkbenchError
from workbench.run import Result
from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask
from workbench.sweeps.executors.ray_board import Board
from workbench.sweeps.executors.remote import (
    SECONDS_TO_END,
    Brief,
    Pack,
    Place,
    brief,
    check_reach,
    end_all,
    epochs_of,
    forget_strays,
    full,
    give_up,
    settle,
    shared,
)
from workbench.tracking.base import Sink
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from workbench.tracking.mlflow import MlflowSink

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
                self.ray.init(self.address or "local", log_to_driver=False, logging_level="ERROR", **wanted)
            except (ConnectionError, RuntimeError, ValueError) as error:
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
        self.executor, self.sink, self.on_progress = executor, sink, on_progress
        self.ray = executor.ray
        self.place = Place(sink.store.uri, sink.experiment_id, executor.cpus)
        self.train = self.ray.remote(num_cpus=executor.cpus, num_gpus=executor.gpus, max_retries=0)(_train)
        self.board = self._board()
        self.going: dict[Any, tuple[str, Pack]] = {}
        self.shown: dict[str, int] = {}  # epochs that the bar has, by the name of a try
        self.retried: list[Pack] = []
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
                self._send(Pack(task, task))
            while self.going:
                ended, _ = self.ray.wait(list(self.going), timeout=SECONDS_BETWEEN_LOOKS)
                self._look()
                for ref in ended:
                    yield from self._take(ref)
            self._sweep_up()
        finally:
            if self.going:
                self._cancel()

    def _send(self, pack: Pack) -> None:
        name = f"{pack.task.positions[0]}.{pack.losses}"
        self.going[self.train.remote(pack.left, self.place, self.board, name)] = (name, pack)
        self.shown[name] = 0

    def _take(self, ref: Any) -> Ends:
        name, pack = self.going[ref]
        left, result = pack.left, None
        try:
            result = pack.end(full(left, self.ray.get(ref)))
        except self.ray.exceptions.RayTaskError as error:  # of the pack's own code: it would come again
            result = give_up(self.sink, pack, f"{type(error.cause).__name__}: {error.cause}")
        except self.ray.exceptions.RayError as error:
            result = self._lose(pack, f"its worker was lost: {str(error).splitlines()[0]}")
        del self.going[ref]
        if result is None:
            self._show(name, epochs_of(left) - epochs_of(pack.left))
            self._send(pack)
        else:
            self._show(name, epochs_of(left))
            yield result

    def _lose(self, pack: Pack, reason: str) -> tuple[PackTask, list[Result]] | None:
        """The results of a pack whose worker is gone; None where it is worth another try."""
        pack.losses += 1
        if pack.losses > self.executor.max_retries:
            return give_up(self.sink, pack, f"{reason} ({pack.losses} times)" if pack.losses > 1 else reason)
        pack.take(settle(self.sink, pack.left, reason, again=True))
        self.retried.append(pack)
        return None if pack.left.jobs else pack.end([])

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
            for name, _ in self.going.values():
                self._show(name, said.get(name, 0))

    def _show(self, name: str, epochs: int) -> None:
        self.on_progress(epochs - self.shown[name])
        self.shown[name] = epochs

    def _sweep_up(self) -> None:
        """A worker that was lost, but lived on, may have begun runs after others had taken its place."""
        whole = [pack for pack in self.retried if all(result.run for result in pack.results.values())]
        if whole:
            forget_strays(self.sink, whole, "its worker was lost")

    def _cancel(self) -> None:
        """End what is in training as Ctrl-C would, so that its runs are closed."""
        for ref in self.going:
            self.ray.cancel(ref)
        _, left = self.ray.wait(list(self.going), num_returns=len(self.going), timeout=SECONDS_TO_END)
        for ref in left:
            self.ray.cancel(ref, force=True)
        end_all(self.sink, [pack.left for _, pack in self.going.values()], "its sweep was ended")


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
