"""Real processes: signals in mid-training, three sweeps at once on a fresh database, MLflow's server and its pages."""

import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer, Trained, all_runs, end, finish, runs_of, start, wait_for
from tests.servers import free_port, healthy, mlflow_server
from tests.shown import assert_same_sweep, shown
from workbench.core.errors import TrackingError
from workbench.tracking.store import Store
from workbench.tracking.ui import serve

pytest_plugins = ["tests.outer_fixtures"]

FREQUENT = """
import sys
import workbench.tracking.writer_thread as writer
from workbench.cli.entry import main

writer.SECONDS_BETWEEN_WRITES = 0.1
sys.exit(main(sys.argv[1:]))
"""
ENDLESS = (
    *("train", "-m", "data=wine", "activation=relu,tanh", "seed=range(2)", "train.epochs=1000000"),
    "sweep.checkpoint_seconds=0.2",
)


def count(file: Path, table: str) -> int:
    """Rows of a table, those of arms left out, in a database that others write to."""
    arms = "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'arm'"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        number = int(database.execute(f"SELECT count(*) FROM {table} WHERE run_uuid NOT IN ({arms})").fetchone()[0])
    database.close()
    return number


@dataclass
class Interrupted:
    """The answer and the store that a signal left of a sweep."""

    answer: Answer
    store: Store


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> dict[signal.Signals, Interrupted]:
    """Two endless sweeps side by side, each ended by its signal once its rows appear in the store."""
    ended = {}
    with ExitStack() as processes:
        started = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            folder = tmp_path_factory.mktemp(number.name)
            shutil.copy(empty_database, folder / "mlflow.db")
            process = start(["-c", FREQUENT, *ENDLESS], folder, module=False)
            processes.callback(end, process)
            started[number] = (process, folder / "mlflow.db")
        for number, (process, file) in started.items():
            wait_for(lambda process=process, file=file: process.poll() is not None or count(file, "metrics") > 50)
            process.send_signal(number)
            ended[number] = Interrupted(finish(process), Store(f"sqlite:///{file}"))
    return ended


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "outcome", "said"),
    [
        (signal.SIGINT, 130, "interrupted", "interrupted"),
        (signal.SIGTERM, 143, "killed", "terminated"),
    ],
)
def test_signal_in_training_ends_all_runs_as_killed(
    interrupted: dict[signal.Signals, Interrupted], number: signal.Signals, code: int, outcome: str, said: str
) -> None:
    """Ctrl-C and SIGTERM: exit code, a line that says how to go on, runs and sweep KILLED, none RUNNING, rows kept."""
    left = interrupted[number]
    rest = "repeat the command to train the rest: 0 of 4 runs are done"
    assert left.answer.err == f"workbench: {said}; runs in training are marked KILLED; {rest}\n"
    assert left.answer.code == code
    runs = all_runs(left.store)
    assert Counter(run.data.tags["kind"] for run in runs) == {"run": 2, "sweep": 1}  # tanh was not begun
    assert {(run.info.status, run.data.tags["outcome"]) for run in runs} == {("KILLED", outcome)}
    for run in runs_of(left.store):
        assert run.info.end_time is not None
        assert "train/loss" in run.data.metrics
        assert "test/loss" not in run.data.metrics


@pytest.mark.slow
@pytest.mark.parametrize("sweeps", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_fresh_database_takes_sweeps_at_once(folder: Path, sweeps: int) -> None:
    """Processes that start together on no database at all lose no run and no row."""
    starts = range(0, 3 * sweeps, 3)
    commands = [["train", "-m", *SMALL, "activation=relu,tanh", f"seed=range({k},{k + 3})"] for k in starts]
    answers = [finish(process) for process in [start(command, folder) for command in commands]]
    assert [answer.code for answer in answers] == [0] * sweeps, [answer.err for answer in answers]
    store = Store(f"sqlite:///{folder}/mlflow.db")
    assert Counter(run.data.tags["sweep"] for run in runs_of(store)) == dict.fromkeys(
        (run.data.tags["sweep"] for run in runs_of(store, "sweep")), 6
    )
    assert len(runs_of(store, "sweep")) == sweeps
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    assert len({run.info.experiment_id for run in all_runs(store)}) == 1
    # two scores of two parts at steps 0, 5, 10; two unit rates at 0 and 10; three norms; the test part; the share
    per_run = 3 * 4 + 2 * 2 + 3 + 2 + 1
    assert count(folder / "mlflow.db", "metrics") == sweeps * 6 * per_run
    assert all(answer.err == "" for answer in answers)


@pytest.mark.slow
def test_two_of_the_same_command_are_as_one(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two equal commands at once, with no database yet, train each run once; both sweeps equal a lone sweep."""
    command = ["train", "-m", *SMALL[:2], "activation=relu,tanh", "seed=range(3)", "train.epochs=100"]
    alone = tmp_path_factory.mktemp("alone")
    answers = [finish(process, 300) for process in [start(command, folder), start(command, folder)]]
    answers.append(finish(start(command, alone), 300))
    assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * 3
    expected = shown(f"sqlite:///{alone}/mlflow.db")
    sweeps = [re.search(r"compare: workbench compare (\S+)", answer.out)[1] for answer in answers[:2]]
    assert len({*sweeps}) == 2
    for sweep in sweeps:
        assert_same_sweep(shown(f"sqlite:///{folder}/mlflow.db", sweep), expected)
    assert count(folder / "mlflow.db", "runs") == 6 + 2


def children(parent: int) -> set[int]:
    """All living descendants of a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    found: set[int] = set()
    more = {parent}
    while more:
        more = {int(pid) for pid, ppid, state in rows if int(ppid) in more and state[0] != "Z"} - found
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    """Return the process ids that still run."""
    listed = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(pid) for pid, state in rows if int(pid) in pids and state[0] != "Z"}


@dataclass
class Pages:
    """A ``workbench ui`` that was started and ended: its output, and what answered in between."""

    port: int
    said: list[str]
    experiment: dict[str, object]
    answer: Answer
    orphans: set[int]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an ``mlflow server`` with one worker on a fresh database; starts while the pages do."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as begun:
        yield begun.uri


def advised_port(store: Store) -> int:
    """The port to write where another program has the one that was asked for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            TrackingError, match=rf"^ui: port {port} must be free; write for example --port \d+$"
        ) as said:
            serve(store, port, lambda: None)
    return int(str(said.value).rpartition(" ")[2])


@pytest.fixture(scope="module")
def pages(server: str, swept: Trained) -> Pages:
    """``workbench ui`` over the trained sweep, ended by Ctrl-C to it alone."""
    port = advised_port(swept.store)
    process = start(["ui", "--port", str(port)], swept.store.file.parent, PYTHONUNBUFFERED="1")
    try:
        said = [process.stdout.readline() for _ in range(2)]
        assert healthy(port)
        identity = re.search(r"/experiments/(\d+)/", said[1])[1]
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id={identity}"
        with urllib.request.urlopen(address, timeout=20) as answer:
            experiment = json.load(answer)["experiment"]
        started = children(process.pid)
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    finally:
        end(process)
    late = time.monotonic() + 10
    while (orphans := alive(started)) and time.monotonic() < late:
        time.sleep(0.1)
    return Pages(port, said, experiment, ended, orphans)


@pytest.mark.slow
def test_pages_open_the_newest_sweep(pages: Pages, swept: Trained) -> None:
    """`workbench ui` says what it serves, and links to the charts of the newest sweep in the right experiment."""
    assert pages.said[0] == f"serving {swept.store.shown}; Ctrl-C ends it\n"
    assert pages.said[1].startswith(f"http://127.0.0.1:{pages.port}/#/experiments/{swept.finished.experiment_id}/runs?")
    assert pages.said[1].endswith(f"viewStateShareKey={swept.finished.sweep}\n")
    assert pages.experiment["name"] == "swept"


@pytest.mark.slow
def test_pages_end_with_ctrl_c(pages: Pages) -> None:
    """Ctrl-C ends the pages with exit code 0 and nothing on stderr; no process is left and the port is free."""
    assert (pages.answer.code, pages.answer.err) == (0, "")
    assert pages.orphans == set()
    assert not healthy(pages.port)


@pytest.mark.slow
def test_training_to_a_server(
    pages: Pages, server: str, cli: Callable[..., Answer], folder: Path, tmp_path: Path
) -> None:
    """Runs, rows and artifacts go to an HTTP store and come back; nothing is written here."""
    port = int(server.rpartition(":")[2])
    wait_for(lambda: healthy(port))
    answer = cli("train", "-m", *SMALL, "activation=relu,tanh", "seed=range(2)", f"tracking.uri={server}")
    assert (answer.code, answer.err) == (0, "")
    store = Store(server)
    assert [run.info.run_name for run in runs_of(store)] == ["relu seed=0", "relu seed=1", "tanh seed=0", "tanh seed=1"]
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    assert all(len(run.data.metrics) == 12 for run in runs_of(store))
    assert f"runs and charts: {server}/#/experiments/1/runs?" in answer.out
    assert list(folder.iterdir()) == []
    compared = cli("compare", "--uri", server, "--out", "figures")
    assert compared.code == 0, compared.err
    assert "learning_curves.svg" in {file.name for file in (folder / "figures").rglob("*")}
    shown = cli("ui", "--uri", server)
    assert (shown.code, shown.err) == (0, "")
    assert f"the store is a server of its own: {server}/#/experiments/1/runs?" in shown.out


@pytest.mark.slow
def test_server_that_does_not_start_is_an_error(
    cli: Callable[..., Answer], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ui` says how to see why when MLflow's server ends at once, with exit code 2."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    answer = cli("ui", "--port", str(free_port()))
    assert answer.code == 2
    assert answer.err == "workbench: ui: MLflow's server did not start; run `python -m mlflow server` to see why\n"
