"""Bulk statements against `MlflowClient`: what MLflow reads back of the same events is the same, both ways."""

import json
import logging
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st
from mlflow import MlflowClient

import workbench.tracking.mlflow_tables as stored
from workbench.config.arms import varying_keys
from workbench.core.errors import TrackingError
from workbench.tracking.base import (
    Backend,
    DatasetInfo,
    Ended,
    Event,
    File,
    Opened,
    Outcome,
    Reopened,
    Rows,
    RunInfo,
    Tagged,
)
from workbench.tracking.bulk_backend import Bulk
from workbench.tracking.client import connect
from workbench.tracking.client_backend import MADE, Calls
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

START = 1_700_000_000_000
ONE, TWO, THREE = (digit * 32 for digit in "123")
IDS = count(1)
TOY = DatasetInfo("toy", "0123", 4, 2)


@dataclass
class Way:
    """A backend with an experiment of its own store."""

    backend: Backend
    client: MlflowClient
    experiment: str
    home: Path

    def ids(self, runs: Sequence[str]) -> list[str]:
        """The store's ids of runs that were begun."""
        return [run if isinstance(self.backend, Bulk) else self.backend._ids[run] for run in runs]


def made(folder: Path, database: Path, way: type[Bulk] | type[Calls]) -> Way:
    """A backend on a copy of the empty database."""
    folder.mkdir()
    shutil.copy(database, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    client = connect(store)
    experiment = client.create_experiment("e", artifact_location=f"{store.artifacts}/e")
    return Way(way(client, store, experiment), client, experiment, folder)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> list[Way]:
    """Set up the bulk and the client backend, each on its own store."""
    home = tmp_path_factory.mktemp("ways")
    return [made(home / name, empty_database, way) for name, way in (("bulk", Bulk), ("calls", Calls))]


def seen(way: Way, runs: Sequence[str]) -> list[Any]:
    """All that MLflow reads back of runs, by their order, without what is made by chance."""
    names = dict(zip(way.ids(runs), runs, strict=True))
    found = {}
    for run in way.client.search_runs([way.experiment], max_results=1000, order_by=["attributes.start_time"]):
        if run.info.run_id not in names:
            continue
        one = way.client.get_run(run.info.run_id)
        assert one.to_dictionary() == run.to_dictionary()
        content = one.to_dictionary()
        content["data"]["tags"].pop(MADE, None)  # by chance, and only where the server gives another id
        text = json.dumps(content, default=str)
        for identity, name in names.items():
            text = text.replace(identity, name)
        histories = {
            name: [(row.step, row.timestamp, row.value) for row in way.client.get_metric_history(run.info.run_id, name)]
            for name in one.data.metrics
        }
        files = {
            file.path: Path(way.client.download_artifacts(run.info.run_id, file.path)).read_bytes()
            for file in way.client.list_artifacts(run.info.run_id)
        }
        latest = sorted((row.key, row.value, row.step, row.timestamp) for row in one.data._metric_objs)
        inputs = [
            (one.dataset.to_dictionary(), [(tag.key, tag.value) for tag in one.tags])
            for one in run.inputs.dataset_inputs
        ]
        place = str(way.home), {key: sorted(rows) for key, rows in histories.items()}
        found[names[run.info.run_id]] = [json.loads(text.replace(place[0], "HOME")), place[1], files, latest, inputs]
    return [found.get(run) for run in runs]


def tables(way: Way) -> dict[str, Any]:
    """The rows of the tables that are written to, without ids and places."""
    chosen = {
        "runs": "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
        "deleted_time, source_version, lifecycle_stage",
        "inputs": "source_type, destination_type, step",
        "input_tags": "name, value",
        "datasets": "name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile",
        **dict.fromkeys(("params", "tags", "metrics", "latest_metrics"), "key, value"),
    }
    with closing(sqlite3.connect(way.home / "mlflow.db")) as database:
        return {
            name: sorted(map(repr, database.execute(f"SELECT {columns} FROM {name}")))
            for name, columns in chosen.items()
        }


def info(name: str, dataset: DatasetInfo | None = TOY, **tags: str) -> RunInfo:
    """A run with params, tags and a data set."""
    params = {f"group.key{number}": f"{number}" for number in range(120)} | {"empty": "", "long": "ä" * 6000}
    return RunInfo(name, params, {"kind": "run", "mlflow.user": "me", **tags}, "", {}, dataset)


def a_sweep() -> list[Event]:
    """All kinds of events, of runs that end in several ways."""
    runs = (ONE, TWO, THREE)
    events: list[Event] = [Opened(run, info(f"run {run[0]}", x=run[0]), START + int(run[0])) for run in runs[:2]]
    events += [Opened(THREE, info("third", dataset=None), START + 3), File(ONE, "config.yaml", b"a: 1\n")]
    for step in range(30):
        columns = {"train/loss": [1 / (1 + step), nan, float(step)], "valid/loss": [inf, -1.5, 2.0]}
        events.append(Rows(runs, step, START + 10 * step, columns))
    events += [Rows(runs[:2], 29, START + 500, {"test/loss": [1e-300, -1e300]}), File(TWO, "model.bin", bytes(999))]
    events += [Tagged(ONE, {"x": "new", "more": "1"}), Ended(ONE, Outcome.finished, {"why": "done"}, START + 999)]
    events += [Ended(TWO, Outcome.failed, {"error": "no", "outcome.more": "x"}, START + 1000)]
    return [*events, Ended(THREE, Outcome.diverged, {}, START + 1001)]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("CREATE TABLE later (x INTEGER)", ""),
        ("ALTER TABLE runs ADD COLUMN later INTEGER", ""),
        ("ALTER TABLE runs ADD COLUMN later INTEGER NOT NULL DEFAULT 1", ""),
        ("ALTER TABLE tags RENAME COLUMN value TO text", "table 'tags' has no column 'value'"),
        ("ALTER TABLE latest_metrics RENAME TO newest", "there is no table 'latest_metrics'"),
        (
            "DROP TABLE input_tags; CREATE TABLE input_tags (input_uuid TEXT PRIMARY KEY, name TEXT, value TEXT)",
            "table 'input_tags' has the primary key ['input_uuid']",
        ),
        (
            "DROP TABLE params; CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT, kind TEXT NOT NULL,"
            " PRIMARY KEY (key, run_uuid))",
            "table 'params' needs a column 'kind'",
        ),
    ],
)
def test_tables_decide_and_not_the_version(
    change: str, difference: str, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A later MLflow's additions do not hinder; a changed table is left to MLflow's calls, with a single warning."""
    monkeypatch.setattr("mlflow.__version__", "3.99.0")
    client = connect(store)
    client.search_experiments()
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as connection:
        connection.executescript(change)
    with caplog.at_level(logging.WARNING):
        engines = [stored.engine_of(client) for _ in range(2)]
    assert [engine is None for engine in engines] == [bool(difference)] * 2
    assert [difference in message for message in caplog.messages] == ([True] if difference else [])


@pytest.mark.slow
def test_both_ways_leave_the_same(ways: list[Way]) -> None:
    """Info, params, tags, histories, latest rows, inputs and artifacts are equal in the bulk and the client backend."""
    for way in ways:
        way.backend.write(a_sweep())
    one, other = (seen(way, (ONE, TWO, THREE)) for way in ways)
    assert one == other
    one_by_one = tables(ways[1])
    one_by_one["tags"] = [row for row in one_by_one["tags"] if MADE not in row]
    assert tables(ways[0]) == one_by_one
    assert [run[0]["info"]["status"] for run in one] == ["FINISHED", "FAILED", "FINISHED"]
    assert one[0][0]["info"]["end_time"] == START + 999
    assert len(one[0][0]["data"]["params"]) == 122
    assert one[0][2] == {"config.yaml": b"a: 1\n"}


@pytest.mark.slow
def test_events_may_be_repeated(ways: list[Way]) -> None:
    """The same events again, at once or in parts, change nothing that is read back."""
    (way, _) = ways
    before, rows = seen(way, (ONE, TWO, THREE)), tables(way)
    assert before[0] is not None, "the test before has written them"
    way.backend.write(a_sweep())
    way.backend.write([*a_sweep(), *a_sweep()])
    for event in a_sweep():
        way.backend.write([event])
    assert seen(way, (ONE, TWO, THREE)) == before
    assert tables(way) == rows


def test_runs_that_go_on_are_the_same_both_ways(ways: list[Way]) -> None:
    """A failed run is opened again: RUNNING, without its error, with new tags, then with more rows and an end."""
    run = "4" * 32
    for way in ways:
        way.backend.write([Opened(run, info("again"), START), Ended(run, Outcome.failed, {"error": "no"}, START + 1)])
        way.backend.write([Reopened(run, {"pid": "7"}), Rows((run,), 0, START + 2, {"a": [1.0]})])
    one, other = (seen(way, [run]) for way in ways)
    assert one == other
    assert one[0][0]["info"]["status"] == "RUNNING"
    assert "error" not in one[0][0]["data"]["tags"]


Step = st.tuples(st.integers(0, 4), st.integers(0, 2), st.sampled_from([-1.0, 0.0, 0.5, 2.0, nan, inf]))


@pytest.mark.slow
@configured(max_examples=15)
@given(parts=st.lists(st.lists(Step, max_size=6), min_size=1, max_size=3))
def test_the_latest_row_is_the_one_mlflow_would_take(
    ways: list[Way], parts: list[list[tuple[int, int, float]]]
) -> None:
    """Rows in any order, some twice, in one or several writes: the same rows and the same latest one."""
    run = f"{next(IDS):032x}"
    for way in ways:
        way.backend.write([Opened(run, RunInfo(run, {}, {}, "", {}, None), START)])
        for part in parts:
            way.backend.write([Rows((run,), step, START + late, {"a": [value]}) for step, late, value in part])
    one, other = (seen(way, [run]) for way in ways)
    assert one == other


def test_deleted_runs_get_no_more(ways: list[Way], caplog: pytest.LogCaptureFixture) -> None:
    """Somebody deletes a run while its pack trains: the others go on, a warning says so."""
    (way, _) = ways
    runs = ["a" * 32, "b" * 32]
    way.backend.write([Opened(run, info(run[0]), START) for run in runs])
    way.client.delete_run(runs[0])
    with caplog.at_level(logging.WARNING):
        way.backend.write([Rows(tuple(runs), 0, START, {"a": [1.0, 2.0]}), Tagged(runs[0], {"b": "1"})])
    assert "1 runs were deleted" in caplog.text
    assert [way.client.get_run(run).data.metrics for run in runs] == [{}, {"a": 2.0}]


def test_rows_of_no_run_are_refused(ways: list[Way]) -> None:
    """A run that the store does not have: TrackingError, and nothing of the same write is kept."""
    (way, _) = ways
    run = "c" * 32
    with pytest.raises(TrackingError, match=r"has no run d{32}"):
        way.backend.write([Opened(run, info("c"), START), Rows(("d" * 32,), 0, START, {"a": [1.0]})])
    assert way.backend.identity(run) is None
    assert seen(way, [run]) == [None]


def test_deleted_experiment_takes_no_runs(tmp_path: Path, empty_database: Path) -> None:
    """An experiment that was deleted since it was found is refused as MLflow refuses it."""
    way = made(tmp_path / "deleted", empty_database, Bulk)
    way.client.delete_experiment(way.experiment)
    with pytest.raises(TrackingError, match="it was deleted; restore it in MLflow or name another"):
        way.backend.write([Opened(ONE, info("one"), START)])


def test_servers_are_called(ways: list[Way]) -> None:
    """A server's store has no engine for bulk writing, a sqlite file has."""
    assert stored.engine_of(ways[0].client) is not None
    assert stored.engine_of(MlflowClient("http://127.0.0.1:1")) is None


def test_members_are_found_both_ways(ways: list[Way]) -> None:
    """Runs by a tag, with their keys: not the deleted ones, and not those with another value."""
    runs = [digit * 32 for digit in "56789"]
    for way in ways:
        tags = [{"in.s": "run", "key": "k5"}, {"in.s": "run"}, {"in.s": "superseded", "key": "k7"}, {"key": "k8"}]
        tags.append(tags[0])
        events = [Opened(run, RunInfo(run, {}, own, "", {}, None), START) for run, own in zip(runs, tags, strict=True)]
        way.backend.write(events)
        way.client.delete_run(way.ids(runs)[4])
        assert way.backend.members("in.s", "run") == dict(zip(way.ids(runs[:2]), ("k5", ""), strict=True))


def test_params_of_members_are_found_both_ways(ways: list[Way]) -> None:
    """The bulk and the client backend find the params that differ between members, run by run, without other runs'."""
    for way in ways:
        rows = ({"f": "relu", "lr": "0.1"}, {"f": "relu", "lr": "0.2", "slope": "0"}, {"f": "tanh", "lr": "0.3"})
        shown = ("run", "run", "superseded")
        infos = [RunInfo(one, row, {"in.p": one}, "", {}, None) for row, one in zip(rows, shown, strict=True)]
        way.backend.write([Opened(run * 32, one, START) for run, one in zip("ef0", infos, strict=True)])
        found = [dict(one) for one in way.backend.params("in.p", "run")]
        assert sorted(one["lr"] for one in found) == ["0.1", "0.2"]
        assert varying_keys(found) == ["lr", "slope"]
        assert way.backend.params("in.t", "run") == []
