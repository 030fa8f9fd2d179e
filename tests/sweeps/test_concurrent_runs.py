"""Commands that train the same runs at one moment: each run is trained once, and every sweep has all of its runs."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.outer import SMALL, Answer, all_runs, client_of, end, finish, runs_of, start, wait_for
from tests.sampling import sampled
from tests.servers import Postgres, mlflow_server, postgres
from workbench.cli.entry import main
from workbench.core.errors import KeyTaken
from workbench.runs.train_pack import Job
from workbench.sweeps import concurrent_runs, sweep
from workbench.sweeps.jobs import make_jobs
from workbench.tracking import claimed_keys, liveness
from workbench.tracking import mlflow_sink as sinks
from workbench.tracking.base import Outcome, RunInfo
from workbench.tracking.liveness import OWNER
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
EXPERIMENT = "workbench"  # the default


@pytest.fixture
def living() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(params=["bulk", "calls"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How runs are begun: in a transaction, or by calls as with a server."""
    if request.param == "calls":
        monkeypatch.setattr(sinks, "engine_of", lambda client: None)
    return str(request.param)


def jobs_of(*seeds: int) -> list[Job]:
    """A job per seed."""
    return make_jobs([wb.configure(*SMALL, f"seed={seed}") for seed in seeds])


def held_by(store: Store, process: "subprocess.Popen[bytes]", *seeds: int) -> tuple[MlflowSink, list[str]]:
    """Runs that another process trains."""
    state = liveness._state(process.pid)
    assert state is not None
    owner = {**liveness.owner_tags(), "pid": str(process.pid), "started": state[1]}
    sink = MlflowSink(store, EXPERIMENT)
    infos = [job.tagged(owner).info for job in jobs_of(*seeds)]
    return sink, sink.open(infos)


def after_looks(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], looks: int = 2) -> None:
    """Do something while the command waits."""
    count = 0

    def sleep(seconds: float) -> None:
        nonlocal count
        count += 1
        assert count < 50, "it waits for ever"
        if count == looks:
            act()

    monkeypatch.setattr(concurrent_runs, "sleep", sleep)


def act_of(name: str, sink: MlflowSink, runs: list[str], process: "subprocess.Popen[bytes]") -> None:
    """How the runs of the other process end."""
    if name == "gone":
        process.kill()
        process.wait()
        return
    for run in runs:
        if name == "finished":
            sink.write(run, 1, 1, {"test/accuracy": 0.625})
        sink.close(run, Outcome[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "ends", "code", "total"),
    [
        *(("bulk", *end) for end in (("finished", 0, 2), ("failed", 1, 2), ("interrupted", 0, 3), ("gone", 0, 3))),
        *(("calls", *end) for end in (("diverged", 0, 2), ("killed", 0, 3))),
    ],
    indirect=["way"],
)
def test_what_another_trains_is_waited_for(
    cli: Cli,
    store: Store,
    living: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    ends: str,
    code: int,
    total: int,
) -> None:
    """The end and exit code of another process's run are taken; a run that did not end by itself is trained here."""
    sink, runs = held_by(store, living, 0)
    seen: list[int] = []

    def act() -> None:
        seen.append(len(runs_of(store)))
        act_of(ends, sink, runs, living)

    after_looks(monkeypatch, act)
    answer = cli("train", "-m", *SMALL, "seed=0,1")
    assert answer.code == code, answer
    assert seen == [2]  # what is free is trained before
    assert f"waiting for 1 runs that process {living.pid} on " in answer.out
    assert f"workbench doctor --end {runs[0]}" in answer.out
    assert len(runs_of(store)) == total
    sweep = read_sweep(store, None)
    assert Counter(run.params["seed"] for run in sweep.runs) == {"0": 1, "1": 1}
    assert ("failed in the command that trained it" in answer.out) == (ends == "failed")
    if total == 2:
        assert runs[0] in {run.id for run in sweep.runs}
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}


@pytest.mark.slow
def test_a_single_run_is_waited_for(
    cli: Cli, store: Store, living: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """``train`` without -m takes the other's run as its own; once that is over, the command makes another."""
    sink, runs = held_by(store, living, 3)
    after_looks(monkeypatch, lambda: act_of("finished", sink, runs, living))
    answer = cli("train", *SMALL, "seed=3")
    assert answer.code == 0
    assert "test/accuracy 0.625" in answer.out
    assert f"viewStateShareKey={runs[0]}\n" in answer.out
    assert len(runs_of(store)) == 1
    assert cli("train", *SMALL, "seed=3").code == 0
    assert len(runs_of(store)) == 2


@pytest.mark.slow
def test_all_waits_for_what_is_trained_now(
    cli: Cli, store: Store, living: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sweep.rerun=all` trains anew what was done before it, and waits for what another trains at the same moment."""
    assert cli("train", "-m", *SMALL, "seed=0,1").code == 0
    sink, runs = held_by(store, living, 0)
    after_looks(monkeypatch, lambda: act_of("finished", sink, runs, living))
    assert cli("train", "-m", *SMALL, "seed=0,1", "sweep.rerun=all").code == 0
    assert Counter(run.data.params["seed"] for run in runs_of(store)) == {"0": 2, "1": 2}
    assert runs[0] in {run.id for run in read_sweep(store, None).runs}


@pytest.mark.slow
def test_interrupted_while_waiting(
    cli: Cli, store: Store, living: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while waiting ends this command alone, not the process that trains."""
    _, runs = held_by(store, living, 0)

    def interrupt() -> None:
        raise KeyboardInterrupt

    after_looks(monkeypatch, interrupt)
    answer = cli("train", "-m", *SMALL, "seed=0,1")
    assert answer.code == 130
    assert {run.info.run_id for run in all_runs(store) if run.info.status == "RUNNING"} == set(runs)


@pytest.mark.slow
def test_the_advice_while_waiting_works(
    cli: Cli, store: Store, living: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of another host that is dead: the command that is printed lets this one go on."""
    sink, runs = held_by(store, living, 0)
    sink.tag(runs, "host", "elsewhere")
    said: list[str] = []
    monkeypatch.setattr(concurrent_runs, "_waiting_line", lambda held: said.append(_waiting_line(held)) or said[0])

    def follow() -> None:
        command = re.search(r"workbench (doctor --end .*)$", said[0])
        assert command is not None
        assert main(command[1].split()) == 0

    after_looks(monkeypatch, follow)
    assert cli("train", "-m", *SMALL, "seed=0,1").code == 0
    assert Counter(run.info.status for run in runs_of(store)) == {"KILLED": 1, "FINISHED": 2}


_waiting_line = concurrent_runs._waiting_line


@pytest.mark.slow
def test_a_command_that_is_killed_at_any_moment_is_ended(
    cli: Cli, store: Store, living: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's runs end as killed also where it is killed after this command looked for those that are gone."""
    held_by(store, living, 0)
    begin = sweep.begin

    def begin_then_kill(*arguments: Any) -> tuple[str, str]:
        begun = begin(*arguments)
        living.kill()
        living.wait()
        return begun

    monkeypatch.setattr(sweep, "begin", begin_then_kill)
    assert cli("train", "-m", *SMALL, "seed=0,1").code == 0
    counts = Counter((run.data.tags["kind"], run.info.status) for run in all_runs(store))
    assert counts == {("run", "KILLED"): 1, ("run", "FINISHED"): 2, ("sweep", "FINISHED"): 1, ("arm", "FINISHED"): 1}


@pytest.mark.slow
def test_a_seed_that_is_named_twice_is_trained_once(cli: Cli, store: Store) -> None:
    """A seed that a sweep names twice is a single run, trained once."""
    answer = cli("train", "-m", *SMALL, "seed=1,1,2")
    assert answer.code == 0
    assert "3 finished" in answer.out
    assert Counter(run.data.params["seed"] for run in runs_of(store)) == {"1": 1, "2": 1}
    assert len(read_sweep(store, None).runs) == 2


def begun(sink: MlflowSink, keys: str, **owner: str) -> list[str] | KeyTaken:
    """Begin a run for each key."""
    try:
        tags = {"kind": "run", **owner}
        return sink.open([RunInfo(key, {"seed": "0"}, {**tags, "key": key}, "", {}, None) for key in keys], ())
    except KeyTaken as taken:
        return taken


@pytest.mark.parametrize("round_", range(3))
def test_of_many_that_begin_at_once_one_does(
    store: Store, monkeypatch: pytest.MonkeyPatch, way: str, round_: int
) -> None:
    """Overlapping sets of keys begun at one moment get all or none of their keys, each key once; at least one does."""
    monkeypatch.setattr(claimed_keys, "owner_tags", dict)
    monkeypatch.setattr(claimed_keys, "owner_is_gone", lambda tags: False)  # threads of one process stand for processes
    wanted = ["abc", "cb", "ad", "dca"]
    sinks_ = [MlflowSink(store, "e") for _ in wanted]
    barrier = threading.Barrier(len(wanted))
    results: dict[int, list[str] | KeyTaken] = {}

    def begin(number: int) -> None:
        barrier.wait()
        results[number] = begun(sinks_[number], wanted[number], pid=str(number))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = {run.info.run_id: run.data.tags["key"] for run in all_runs(store)}
    assert set(Counter(runs.values()).values()) == {1}
    opened = [run for found in results.values() if isinstance(found, list) for run in found]
    assert sorted(opened) == sorted(runs)
    assert opened
    for number, found in results.items():
        if isinstance(found, KeyTaken):
            assert found.runs
            assert set(found.runs) <= set(wanted[number])
    assert len(list(store.home.parent.glob("mlartifacts/e/*"))) <= len(runs)


def test_keys_of_those_that_are_gone_are_free(store: Store, living: "subprocess.Popen[bytes]", way: str) -> None:
    """Keys of killed or deleted runs are free; keys of finished runs are taken, unless the runs are known as done."""
    owner = dict(zip(OWNER, ("elsewhere", "b", "1", "2"), strict=True))
    sink = MlflowSink(store, "e")
    (run,) = sink.open([RunInfo("r", {"seed": "0"}, {"kind": "run", "key": "k", **owner}, "", {}, None)])
    assert isinstance(begun(sink, "k"), KeyTaken)
    sink.close(run, Outcome.killed)
    again = begun(sink, "k")
    assert isinstance(again, list)
    sink.close(again[0], Outcome.finished)
    found = begun(sink, "ka")
    assert isinstance(found, KeyTaken)
    assert found.runs == {"k": again[0]}
    assert sink.done() == {again[0]}
    (anew,) = sink.open([RunInfo("r", {"seed": "0"}, {"kind": "run", "key": "k"}, "", {}, None)], sink.done())
    sink.close(anew, Outcome.failed)
    client_of(store).delete_run(again[0])
    assert isinstance(begun(sink, "k"), list)


COMMAND = ("train", "-m", "data=wine", "activation=relu,tanh", "train.epochs=100", "sweep.checkpoint_seconds=0.2")


def assert_once(store: Store, answers: list[Answer], seeds: list[set[int]]) -> None:
    """Every run once, and in every sweep whose seeds have it."""
    assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * len(answers), answers
    runs = runs_of(store)
    every = set().union(*seeds)
    assert Counter(run.data.tags["key"] for run in runs) == dict.fromkeys({run.data.tags["key"] for run in runs}, 1)
    assert len(runs) == 2 * len(every)
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    for answer, own in zip(answers, seeds, strict=True):
        sweep = re.search(r"compare: workbench compare (\S+)", answer.out)
        assert sweep is not None
        shown = Counter((run.params["activation"], int(run.params["seed"])) for run in read_sweep(store, sweep[1]).runs)
        assert shown == {(activation, seed): 1 for activation in ("relu", "tanh") for seed in own}


def at_once(folder: Path, seeds: list[set[int]], **environment: str) -> list[Answer]:
    """The answers of commands that begin together."""
    orders = [sorted(own, reverse=bool(number % 2)) for number, own in enumerate(seeds)]
    commands = [[*COMMAND, f"seed={','.join(map(str, order))}"] for order in orders]
    return [finish(process, 300) for process in [start(command, folder, **environment) for command in commands]]


@pytest.mark.parametrize(
    "seeds",
    sampled(
        [[{0, 1, 2}] * 4, [{0, 1, 2}] * 2, [{0, 1}, {1, 2}, {2, 0}], [{0, 1, 2}, {2, 3}]],
        2,
        pytest.mark.slow,
        pytest.mark.exhaustive,
    ),
    ids=["four", "two", "ring", "overlap"],
)
def test_commands_at_one_moment_train_each_run_once(store: Store, seeds: list[set[int]]) -> None:
    """Processes that begin together train each run once: the same command, and overlapping ones in opposite orders."""
    assert_once(store, at_once(store.home.parent, seeds), seeds)
    assert not (store.home / "checkpoints").exists()


@pytest.mark.slow
def test_commands_at_one_moment_on_a_server(tmp_path: Path) -> None:
    """Processes that begin together on MLflow's server, which knows no transactions, train each run once."""
    with mlflow_server(tmp_path) as server:
        server.wait()
        seeds = [{0, 1, 2}, {0, 1, 2}, {2, 3}]
        assert_once(Store(server.uri), at_once(tmp_path, seeds, MLFLOW_TRACKING_URI=server.uri), seeds)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with postgres() as server:
        yield server


@pytest.mark.postgres
def test_commands_at_one_moment_on_postgres(database: Postgres, tmp_path: Path) -> None:
    """Processes that begin together on PostgreSQL train each run once."""
    uri = database.uri("once")
    seeds = [{0, 1, 2}, {0, 1, 2}, {2, 3}]
    assert_once(find_store(uri), at_once(tmp_path, seeds, MLFLOW_TRACKING_URI=uri), seeds)


def stop_between_writes(process: "subprocess.Popen[str]", store: Store) -> None:
    """Let a process stand still while it does not hold the database."""
    assert store.file is not None
    for _ in range(100):
        os.kill(process.pid, signal.SIGSTOP)
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(store.file, timeout=0.5)) as database:
            database.execute("BEGIN IMMEDIATE")
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.05)
    pytest.fail("it holds the database all the time")


@pytest.mark.slow
def test_a_command_takes_over_from_one_that_is_killed(store: Store) -> None:
    """A command that waits goes on from the checkpoint of a killed command, in its runs."""
    command = [*COMMAND[:4], "train.epochs=800", COMMAND[5], "seed=0,1"]
    first = start(command, store.home.parent)
    try:
        wait_for(lambda: list(store.home.glob("checkpoints/*/*.safetensors")))
        stop_between_writes(first, store)  # it must not end before the second has come
        second = start(command, store.home.parent, PYTHONUNBUFFERED="1")
        wait_for(lambda: len(runs_of(store, "sweep")) == 2)
        os.kill(first.pid, signal.SIGKILL)
        answer = finish(second, 300)
    finally:
        end(first)
    assert (answer.code, answer.err) == (0, "")
    shown = read_sweep(store, None).runs
    assert Counter((run.params["activation"], run.seed) for run in shown) == {
        (activation, seed): 1 for activation in ("relu", "tanh") for seed in (0, 1)
    }
    for run in shown:
        steps = [row.step for row in client_of(store).get_metric_history(run.id, "train/loss")]
        assert len(steps) == len(set(steps))
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}
