"""The MLflow sink by itself, both ways of writing: refusals, and runs that are interrupted while they are opened."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, text

from tests.outer import all_runs, client_of
from workbench.core.errors import Terminated, TrackingError
from workbench.tracking import mlflow_sink as sinks
from workbench.tracking.base import DatasetInfo, Outcome, Rows, RunInfo, outcome_of
from workbench.tracking.bulk_backend import Bulk
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]


def info(name: str, **params: str) -> RunInfo:
    """A run with a data set."""
    return RunInfo(name, params, {"kind": "run"}, "a note", {"seed": 0}, DatasetInfo("toy", "0123", 4, 2))


@pytest.fixture
def calling(store: Store, monkeypatch: pytest.MonkeyPatch) -> MlflowSink:
    """A sink for the experiment "e" of an empty store that calls `MlflowClient`."""
    monkeypatch.setattr(sinks, "engine_of", lambda client: None)
    return MlflowSink(store, "e")


@pytest.fixture(params=["bulk", "calls"])
def sink(store: Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> MlflowSink:
    """A sink for the experiment "e" of an empty store."""
    if request.param == "calls":
        monkeypatch.setattr(sinks, "engine_of", lambda client: None)
    made = MlflowSink(store, "e")
    assert type(made.backend).__name__.lower() == request.param
    return made


def statuses(store: Store) -> dict[str, str]:
    """Each run's status by its name."""
    return {run.info.run_name: run.info.status for run in all_runs(store)}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.finished, "FINISHED"),
        (Outcome.diverged, "FINISHED"),
        (Outcome.failed, "FAILED"),
        (Outcome.interrupted, "KILLED"),
        (Outcome.killed, "KILLED"),
    ],
)
def test_outcome_is_a_tag_and_a_status(sink: MlflowSink, store: Store, outcome: Outcome, status: str) -> None:
    """Each outcome has its MLflow status, and stands in the tag `outcome` with the tags of the ending."""
    (run,) = sink.open([info("one")])
    assert statuses(store) == {"one": "RUNNING"}
    sink.close(run, outcome, {"why": "test"})
    (kept,) = all_runs(store)
    assert kept.info.status == status
    assert (kept.data.tags["outcome"], kept.data.tags["why"]) == (outcome.value, "test")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (KeyboardInterrupt(), Outcome.interrupted),
        (Terminated(), Outcome.killed),
        (RuntimeError(), Outcome.failed),
        (TrackingError(), Outcome.failed),
    ],
)
def test_outcome_of_errors(error: BaseException, outcome: Outcome) -> None:
    """Ctrl-C and SIGTERM are told apart from failures."""
    assert outcome_of(error) is outcome


@pytest.mark.slow
def test_rows_go_out_in_batches_of_a_thousand(calling: MlflowSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call carries more than 1,000 rows, and all rows arrive once."""
    sizes: list[int] = []
    send = calling.client.log_batch

    def watched(run: str, metrics: Any = (), **rest: Any) -> None:
        sizes.append(len(metrics))
        send(run, metrics=metrics, **rest)

    monkeypatch.setattr(calling.client, "log_batch", watched)
    first, second = calling.open([info("one"), info("two")])
    names = [f"quantity/l{number}" for number in range(7)]
    for step in range(300):
        calling.write(first, step, 1_700_000_000_000 + step, dict.fromkeys(names, step + 0.5))
    wide = {f"wide/m{number}": float(number) for number in range(2500)}
    calling.write(second, 3, 1_700_000_000_000, wide)
    for run in (first, second):
        calling.close(run, Outcome.finished)
    assert max(sizes) == 1000
    assert sum(sizes) == 7 * 300 + 2500
    history = calling.client.get_metric_history(first, names[6])
    assert [(row.step, row.value, row.timestamp) for row in history] == [
        (step, step + 0.5, 1_700_000_000_000 + step) for step in range(300)
    ]
    assert calling.client.get_run(second).data.metrics == wide


def test_nothing_but_numbers_is_kept(sink: MlflowSink) -> None:
    """Values that are not finite become no rows, as MLflow would draw an infinity as 1.8e308."""
    first, second = sink.open([info("one"), info("two")])
    sink.send(Rows((first, second), 0, 5, {"a": [nan, 1.0], "b": [inf, -inf]}))
    sink.flush()
    assert sink.client.get_run(first).data.metrics == {}
    assert sink.client.get_run(second).data.metrics == {"a": 1.0}


def test_database_is_written_ahead(sink: MlflowSink, store: Store) -> None:
    """A commit of a run waits for no disk, and what a copy of a new database lacks is nothing."""
    with closing(sqlite3.connect(store.file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with create_engine(store.uri).connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1  # NORMAL
    with create_engine("sqlite://").connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL: no log, no haste


def test_refused_rows_are_an_error(sink: MlflowSink, store: Store) -> None:
    """A name that MLflow refuses: TrackingError with its reason, not a log line."""
    (run,) = sink.open([info("one")])
    with pytest.raises(TrackingError, match=r"the name of a metric must have letters.* got 'loss@l1'"):
        sink.write(run, 0, 0, {"loss@l1": 1.0})
    assert statuses(store) == {"one": "RUNNING"}
    sink.close(run, Outcome.failed)
    assert statuses(store) == {"one": "FAILED"}


def test_broken_database_is_an_error(sink: MlflowSink, store: Store) -> None:
    """A table that vanishes in the middle of a run: TrackingError that says which."""
    (run,) = sink.open([info("one")])
    assert store.file is not None
    with sqlite3.connect(store.file) as database:
        database.execute("DROP TABLE latest_metrics")
    database.close()
    sink.write(run, 0, 0, {"train/loss": 1.0})
    with pytest.raises(TrackingError, match="no such table: latest_metrics"):
        sink.close(run, Outcome.finished)


def test_deleted_experiment_is_refused(sink: MlflowSink, store: Store) -> None:
    """Runs are not begun in an experiment that was deleted."""
    sink.client.delete_experiment(sink.experiment_id)
    with pytest.raises(TrackingError, match=r"tracking\.experiment: 'e' must not be deleted; restore it"):
        MlflowSink(store, "e")


def test_experiment_is_made_once(sink: MlflowSink, store: Store) -> None:
    """A second sink finds the experiment; a name with a slash keeps its artifacts in one folder."""
    assert MlflowSink(store, "e").experiment_id == sink.experiment_id
    other = MlflowSink(store, "lecture/digits")
    place = client_of(store).get_experiment(other.experiment_id).artifact_location
    assert place.endswith("/mlartifacts/lecture_digits")


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (Terminated(), "KILLED"), (RuntimeError("no"), "FAILED")]
)
@pytest.mark.parametrize("method", ["create_run", "log_batch", "log_inputs", "log_artifact"])
def test_error_while_opening_ends_what_is_open(
    calling: MlflowSink, store: Store, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, status: str
) -> None:
    """Whatever stops the third of four runs from opening: those begun so far are ended, none stays RUNNING."""
    calls = 0
    right = getattr(calling.client, method)

    def third_fails(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise error
        return right(*arguments, **named)

    monkeypatch.setattr(calling.client, method, third_fails)
    with pytest.raises(type(error)):
        calling.open([info(name) for name in "abcd"])
    begun = "ab" if method == "create_run" else "abc"
    assert statuses(store) == dict.fromkeys(begun, status)
    assert {run.data.tags["outcome"] for run in all_runs(store)} == {outcome_of(error).value}


def test_error_in_a_transaction_opens_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while opening many runs opens none of them, and the next runs open as usual."""
    sink = MlflowSink(store, "e")
    with monkeypatch.context() as patch:
        patch.setattr(Bulk, "_keep_tags", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sink.open([info(name) for name in "abcd"])
    assert statuses(store) == {}
    sink.open([info("e")])
    assert statuses(store) == {"e": "RUNNING"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", ["bulk", "calls"])
def test_signal_while_opening_waits_for_the_whole_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, way: str, number: signal.Signals
) -> None:
    """A real signal while runs are opened: what is being opened is opened to its end, then all are ended as KILLED."""

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    if way == "calls":
        monkeypatch.setattr(sinks, "engine_of", lambda client: None)
    sink = MlflowSink(store, "e")
    calls = 0
    right: Callable[..., Any] = sink.backend.write

    def second_is_interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (2 if way == "calls" else 1):
            os.kill(os.getpid(), number)
        return right(*arguments)

    monkeypatch.setattr(sink.backend, "write", second_is_interrupted)
    try:
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Terminated):
            sink.open([info(name) for name in "abc"])
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert statuses(store) == dict.fromkeys("ab" if way == "calls" else "abc", "KILLED")
    assert all(run.inputs.dataset_inputs for run in all_runs(store))


def test_signal_while_closing_waits_for_the_rows(
    sink: MlflowSink, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a run is ended: its rows and its status are kept first."""
    (run,) = sink.open([info("one")])
    sink.write(run, 0, 0, {"train/loss": 1.0})

    def interrupted(events: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sink.backend.write(events)

    monkeypatch.setattr(sink.writer, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sink.close(run, Outcome.finished)
    (kept,) = all_runs(store)
    assert (kept.info.status, kept.data.metrics) == ("FINISHED", {"train/loss": 1.0})


def test_credentials_are_not_kept(sink: MlflowSink, store: Store, tmp_path: Path) -> None:
    """A password in tracking.uri reaches neither params nor note nor config.yaml, which all readers see."""
    uri = "http://me:secret@host:5000"
    note = f"Repeat it with\n\n    workbench train tracking.uri={uri}"
    secret = RunInfo("one", {"tracking.uri": uri}, {}, note, {"tracking": {"uri": uri, "experiment": "e"}}, None)
    (run,) = sink.open([secret])
    sink.close(run, Outcome.finished)
    (kept,) = all_runs(store)
    assert kept.data.params == {"tracking.uri": "http://host:5000"}
    assert "secret" not in json.dumps(kept.to_dictionary())
    config = Path(sink.client.download_artifacts(run, "config.yaml", str(tmp_path))).read_text()
    assert yaml.safe_load(config) == {"tracking": {"uri": "http://host:5000", "experiment": "e"}}


def test_errors_do_not_print_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own text repeats the address with its password; ours does not."""
    secret = Store("http://me:secret@host:5000")
    assert secret.shown == "http://host:5000"
    with pytest.raises(TrackingError) as caught, sinks.translating_store_errors(secret):
        raise MlflowException("API request to http://me:secret@host:5000/api failed")
    assert "secret" not in str(caught.value)
    assert "API request to http://host:5000/api failed" in str(caught.value)
