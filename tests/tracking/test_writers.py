"""Many processes that write to one store that did not exist before: an sqlite file, a server, a PostgreSQL database."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outer import Answer, all_runs, finish, start, wait_for
from tests.servers import PASSWORD, Postgres, mlflow_server, postgres
from workbench.tracking.client import connect
from workbench.tracking.store import Store, find_store

PROCESSES, RUNS, ROWS, NAMES = 8, 25, 2000, 4
WRITER = f"""
import sys, time
from workbench.tracking.base import Outcome, Rows, RunInfo
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import find_store

sink = MlflowSink(find_store(sys.argv[1]), "many")
number = int(sys.argv[2])
runs = sink.open([RunInfo(f"{{number}}-{{run}}", {{"seed": str(run)}}, {{"kind": "run"}}, "", {{}}, None)
                  for run in range({RUNS})])
for step in range({ROWS // NAMES}):
    rows = {{f"m/{{name}}": [number * 1e6 + run * 1e4 + step for run in range({RUNS})] for name in range({NAMES})}}
    sink.send(Rows(tuple(runs), step, 1_700_000_000_000 + step, rows))
for run in runs:
    sink.end(run, Outcome.finished)
sink.flush()
"""


def write_at_once(uri: str, folder: Path) -> list[Answer]:
    """The answers of processes that begin together."""
    processes = [start(["-c", WRITER, uri, str(number)], folder, module=False) for number in range(PROCESSES)]
    return [finish(process, 500) for process in processes]


def assert_all_is_there(store: Store, answers: list[Answer]) -> None:
    """Every run and every row once, in one experiment, and nobody complained."""
    assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * PROCESSES
    runs = all_runs(store)
    assert Counter(run.info.run_name for run in runs) == {
        f"{number}-{run}": 1 for number in range(PROCESSES) for run in range(RUNS)
    }
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.info.experiment_id for run in runs}) == 1
    client = connect(store)
    for run in runs:
        number, place = map(int, run.info.run_name.split("-"))
        expected = [(step, number * 1e6 + place * 1e4 + step) for step in range(ROWS // NAMES)]
        for name in range(NAMES if place == 0 else 1):
            rows = client.get_metric_history(run.info.run_id, f"m/{name}")
            assert [(row.step, row.value) for row in rows] == expected


@pytest.mark.slow
def test_many_processes_begin_one_sqlite_file(tmp_path: Path) -> None:
    """Many processes at once begin one new sqlite file, where MLflow itself crashes in its migrations."""
    uri = f"sqlite:///{tmp_path}/new.db"
    assert_all_is_there(Store(uri), write_at_once(uri, tmp_path))


@pytest.mark.exhaustive
def test_many_processes_begin_on_one_server(tmp_path: Path) -> None:
    """A new server, and an experiment that all of them make."""
    with mlflow_server(tmp_path) as server:
        server.wait()
        assert_all_is_there(Store(server.uri), write_at_once(server.uri, tmp_path))


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with postgres() as server:
        yield server


@pytest.mark.postgres
def test_many_processes_begin_one_postgres_database(database: Postgres, tmp_path: Path) -> None:
    """Many processes at once begin one new PostgreSQL database, whose tables each would make."""
    uri = database.uri("many")
    answers = write_at_once(uri, tmp_path)
    assert_all_is_there(find_store(uri), answers)


@pytest.mark.postgres
def test_password_of_a_database_stays_secret(database: Postgres, tmp_path: Path) -> None:
    """A sweep with worker processes says, keeps and writes no password, nor passes it as a process's argument."""
    uri = database.uri("secret")
    sweep = ["train", "-m", "data=wine", "train.epochs=300", "activation=relu,tanh", "seed=0,1"]
    process = start([*sweep, "hydra/launcher=packed_processes"], tmp_path, MLFLOW_TRACKING_URI=uri)
    said: set[str] = set()
    while process.poll() is None:
        listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
        said |= set(listed.stdout.splitlines())
        time.sleep(0.1)
    answer = finish(process)
    assert (answer.code, answer.err) == (0, "")
    said |= {answer.out, answer.err}
    for run in all_runs(find_store(uri)):
        said |= {*run.data.tags.values(), *run.data.params.values()}
    assert not [text for text in said if PASSWORD in text]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and PASSWORD.encode() in file.read_bytes()]


@pytest.mark.postgres
def test_database_that_stops_in_a_sweep(database: Postgres, tmp_path: Path) -> None:
    """Training goes on, and all of it is there in the end; away at the start, it is an error."""
    uri = database.uri("stops")
    sweep = ["train", "-m", "data=wine", "train.epochs=4000", "seed=0,1", "certificate=false"]
    process = start(sweep, tmp_path, MLFLOW_TRACKING_URI=uri)
    store = find_store(uri)
    try:
        wait_for(lambda: len(all_runs(store)) == 3 and any(run.data.metrics for run in all_runs(store)))
        database.stop()
        wait_for(lambda: list(tmp_path.glob(".workbench/unsent/*")) or process.poll() is not None)
        refused = finish(start(["train", "data=wine"], tmp_path, MLFLOW_TRACKING_URI=uri), 60)
    finally:
        database.start()
    answer = finish(process, 300)
    assert answer.code in (0, 3), answer
    assert refused.code == 2
    assert PASSWORD not in answer.out + answer.err + refused.out + refused.err
    recovered = finish(start(["recover"], tmp_path, MLFLOW_TRACKING_URI=uri))
    assert recovered.code == 0, recovered
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    client = connect(store)
    for run in all_runs(store):
        if run.data.tags["kind"] == "run":
            steps = [row.step for row in client.get_metric_history(run.info.run_id, "train/loss")]
            assert len(steps) == len(set(steps))
            assert max(steps) == 4000 * 5
    assert not list(tmp_path.glob(".workbench/*"))
