"""Packs on a Ray cluster: a real one of two node processes, one of which is killed, and what is refused without one."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mlflow.entities import Run

from tests.advised import ways_out
from tests.outer import SMALL, Answer, all_runs, assert_same_runs, end, finish, runs_of, start, wait_for
from tests.ray_nodes import Cluster, cluster
from tests.servers import free_port, mlflow_server
from workbench.core.errors import ConfigError, TrackingError
from workbench.sweeps.executors.ray_cluster import Ray
from workbench.sweeps.executors.remote import WorkerSettings, check_reach, shared
from workbench.tracking.base import MemorySink
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
LONG = ("data=digits", "architecture.hidden=[64,64]", "train.epochs=40")
LAUNCHER = "hydra/launcher=packed_ray"
EXECUTOR = "hydra.launcher.executor"


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Cluster]:
    """A head and a node with a core each."""
    with cluster(free_port()) as made:
        yield made


def driver(made: Cluster, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A sweep on the cluster, as a process."""
    command = ["train", "-m", LAUNCHER, f"{EXECUTOR}.address={made.address}", *arguments]
    return start(command, folder, **made.secrets)


def members(runs: list[Run]) -> list[Run]:
    """Runs that belong to their sweep because they are not superseded."""
    return [run for run in runs if run.data.tags[f"in.{run.data.tags['sweep']}"] == "run"]


@pytest.mark.ray
def test_cluster_trains_what_this_process_would(two_nodes: Cluster, cli: Cli, store: Store, folder: Path) -> None:
    """A pack on each node stores the same metrics under the same keys as this process, each run once."""
    sweep = (*SMALL, "activation=relu,tanh", "seed=range(2)")
    process = driver(two_nodes, folder, *sweep, "tracking.experiment=far")
    answer = finish(process)
    assert (answer.code, answer.err) == (0, "")
    assert "4 finished" in answer.out
    assert cli("train", "-m", *sweep, "tracking.experiment=near").code == 0
    assert_same_runs(store, "far", "near", 4)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("retries", "seconds", "code", "ends", "runs"),
    [(0, "0", 1, {"FAILED": 4}, 4), (1, "0", 0, {"FINISHED": 4}, 4), (1, "null", 0, {"FINISHED": 4}, 8)],
)
def test_worker_that_dies_is_tried_again_as_often_as_allowed(
    two_nodes: Cluster,
    folder: Path,
    store: Store,
    retries: int,
    seconds: str,
    code: int,
    ends: dict[str, int],
    runs: int,
) -> None:
    """SIGKILL to the only worker: without tries left its pack fails and says why; with one it is trained to its end.

    From the last checkpoint in the same runs, or without one in new runs, which take the place of the old.
    """
    settings = (f"{EXECUTOR}.max_retries={retries}", f"sweep.checkpoint_seconds={seconds}")
    process = driver(two_nodes, folder, *LONG, "seed=range(4)", *settings)
    try:
        wait_for(lambda: len(runs_of(store)) == 4 and any(node.is_training for node in two_nodes.nodes))
        wait_for(lambda: seconds == "null" or any((folder / ".workbench").rglob("*.safetensors")))
        (busy,) = [node for node in two_nodes.nodes if node.is_training]
        os.kill(busy.worker, signal.SIGKILL)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == code, answer.err
    assert Counter(run.info.status for run in members(runs_of(store))) == ends
    assert len(runs_of(store)) == runs
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}
    assert ("its worker was lost: " in answer.out) == (retries == 0)


@pytest.mark.ray
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_closes_the_runs_and_leaves_the_cluster(
    two_nodes: Cluster, folder: Path, store: Store, number: signal.Signals, code: int
) -> None:
    """Ctrl-C or SIGTERM to the driver ends runs on the nodes as KILLED and leaves the nodes for the next sweep."""
    process = driver(two_nodes, folder, "data=wine", "train.epochs=1000000", "activation=relu,tanh,elu", "seed=0,1")
    try:
        wait_for(lambda: len(runs_of(store)) == 4)
        process.send_signal(number)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == code
    assert answer.err.endswith("repeat the command to train the rest: 0 of 6 runs are done\n")
    assert len(answer.err.splitlines()) == 1
    assert len(runs_of(store)) == 4  # elu was not begun
    assert {(run.info.status, run.data.tags["outcome"]) for run in runs_of(store)} == {("KILLED", "interrupted")}
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}
    assert not any(node.is_training for node in two_nodes.nodes)
    assert all(node.process.poll() is None for node in two_nodes.nodes)


@pytest.mark.ray
def test_bad_requests_of_a_cluster_are_refused_before_anything_is_written(two_nodes: Cluster, folder: Path) -> None:
    """More cores than a node has are refused with exit code 2, the key and a way out, and no store is made."""
    answer = finish(driver(two_nodes, folder, *SMALL, "seed=0,1", f"{EXECUTOR}.cpus=64"))
    assert (answer.code, answer.out) == (2, "")
    assert f"{EXECUTOR}: some node must have cpus=64 and gpus=0, got nodes with at most 1 and 0" in answer.err
    assert list(folder.iterdir()) == []
    (way,) = ways_out(answer.err, ["train", "-m"])
    assert way.more == (f"{EXECUTOR}.cpus=1", f"{EXECUTOR}.gpus=0")
    assert finish(driver(two_nodes, folder, *SMALL, "seed=0,1", *way.more)).code == 0


@pytest.mark.ray
def test_node_that_dies_costs_nothing_but_time(two_nodes: Cluster, folder: Path, store: Store) -> None:
    """A node killed in the middle costs time alone: each run is there once, none open, finished runs as they were."""
    process = driver(two_nodes, folder, *LONG, "seed=range(160)", "sweep.checkpoint_seconds=null")
    doomed = two_nodes.nodes[1]
    try:
        wait_for(lambda: in_the_middle(store) and doomed.is_training)
        doomed.kill()
        before = {run.info.run_id: run.info.start_time for run in runs_of(store) if run.info.status == "FINISHED"}
        answer = finish(process, 300)
    finally:
        end(process)
    assert answer.code == 0, answer.err
    runs = runs_of(store)
    found = members(runs)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert Counter(run.data.params["seed"] for run in found) == {str(seed): 1 for seed in range(160)}
    assert {run.info.status for run in runs} == {"FINISHED", "FAILED"}
    assert {run.info.run_id: run.info.start_time for run in found}.items() >= before.items()
    assert 0 < len(runs) - len(found) <= 32  # the lost pack's
    assert len(before) >= 32
    assert len(read_sweep(store, None, histories=False).runs) == 160


def in_the_middle(store: Store) -> bool:
    """A pack is finished, and two are open: there is one on each node."""
    counts = Counter(run.info.status for run in runs_of(store))
    return counts["FINISHED"] >= 32 and counts["RUNNING"] > 32


@pytest.mark.ray
def test_local_cluster_ends_with_its_sweep(folder: Path, store: Store) -> None:
    """A sweep without an address trains quietly on a local cluster, and none of the cluster's processes is left."""
    answer = finish(start(["train", "-m", *SMALL, "seed=0,1", LAUNCHER], folder))
    assert (answer.code, answer.err) == (0, "")
    assert "ray" not in answer.out.lower()
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}


@pytest.mark.ray
def test_address_without_a_cluster_is_refused(folder: Path) -> None:
    """An address at which nobody listens gives exit code 2 and says how to start a cluster."""
    answer = finish(start(["train", "-m", *SMALL, "seed=0,1", LAUNCHER, f"{EXECUTOR}.address=127.0.0.1:9"], folder))
    assert (answer.code, answer.out) == (2, "")
    assert f"{EXECUTOR}.address: must be that of a running cluster, got '127.0.0.1:9': [Errno 111]" in answer.err
    assert "ray start --head" in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_without_ray_the_extra_is_named(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Ray gives exit code 2 and the extra to install before anything is written."""
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = cli("train", "-m", *SMALL, "seed=0,1", LAUNCHER)
    assert answer.code == 2
    assert answer.err == (
        "workbench: hydra/launcher=packed_ray: needs Ray, which is not installed; write pip install 'workbench[ray]'\n"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [("cpus", 0), ("gpus", -1), ("max_retries", -1)])
def test_numbers_out_of_range_are_refused(cli: Cli, folder: Path, key: str, value: int) -> None:
    """Numbers out of range are refused with key, rule and value, whether Ray is installed or not."""
    answer = cli("train", "-m", *SMALL, "seed=0,1", LAUNCHER, f"{EXECUTOR}.{key}={value}")
    assert answer.code == 2
    assert f"{EXECUTOR}.{key}: must be at least" in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "room"),
    [
        (1, 0, [{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}], 6),
        (3, 0, [{"CPU": 4.0}, {"CPU": 2.0}], 1),
        (1, 0.25, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], 4),
        (2, 1, [{"CPU": 3.0, "GPU": 8.0}], 1),
        (1, 0, [{}], 0),
    ],
)
def test_room_is_counted_by_the_scarcest_resource(
    cpus: int, gpus: float, nodes: list[dict[str, float]], room: int
) -> None:
    """Room is the packs that all living nodes train at once, counted by the scarcest resource."""
    executor = Ray.__new__(Ray)
    executor.cpus, executor.gpus = cpus, gpus
    listed = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False, "Resources": {"CPU": 9.0}}]
    executor.ray = SimpleNamespace(nodes=lambda: listed)
    assert executor.room() == room


@pytest.mark.parametrize(
    ("uri", "hosts", "refused"),
    [
        ("sqlite:////data/mlflow.db", ["here", "here.example.org"], False),
        ("sqlite:////data/mlflow.db", ["here", "there"], True),
        ("http://127.0.0.1:5000", ["there"], True),
        ("http://localhost:5000", ["here"], False),
        ("http://tracking:5000", ["here", "there"], False),
        ("postgresql+psycopg2://tracking/runs", ["there"], False),
    ],
)
def test_store_must_be_in_reach_of_all_workers(
    monkeypatch: pytest.MonkeyPatch, uri: str, hosts: list[str], refused: bool
) -> None:
    """A file or a loopback address is refused as store where workers are on another machine."""
    monkeypatch.setattr("platform.node", lambda: "here")
    if not refused:
        check_reach(Store(uri), hosts)
        return
    with pytest.raises(ConfigError, match=r"tracking\.uri: must be a server .* workers on there can reach, got"):
        check_reach(Store(uri), hosts)


@pytest.mark.slow
@pytest.mark.slow
def test_worker_on_a_host_without_the_file(tmp_path: Path) -> None:
    """No empty database is made in its place; with the address of a server, as advised, the worker has a store."""
    settings = WorkerSettings(f"sqlite:///{tmp_path}/none.db", "0", torch.get_num_threads())
    with pytest.raises(TrackingError, match=r"there is no .*none\.db on .*; write .*http.* to name a server"):
        settings.worker()
    assert list(tmp_path.iterdir()) == []
    with mlflow_server(tmp_path) as server:
        server.wait()
        sink = replace(settings, uri=server.uri).worker().sink
        assert isinstance(sink, MlflowSink)
        assert sink.store.uri == server.uri


def test_a_store_in_memory_is_none_that_processes_share() -> None:
    """A store in memory is refused, because other processes could not write to it."""
    with pytest.raises(TrackingError, match=r"^launcher: needs MLflow's store, .* got MemorySink$"):
        shared(MemorySink(), "launcher")
