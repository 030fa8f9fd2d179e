"""A store that goes away: training goes on, what could not be sent is spooled, and sent once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from math import isnan, nan
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer, all_runs, end, finish, runs_of, start, wait_for
from tests.servers import PASSWORD, MlflowServer, mlflow_server
from tests.shown import assert_same_sweep, shown
from workbench.core.errors import StoreAway, TrackingError
from workbench.tracking.base import DatasetInfo, Ended, Event, File, Opened, Outcome, Reopened, Rows, RunInfo, Tagged
from workbench.tracking.client import connect
from workbench.tracking.event_lines import event_of, line_of
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.recover import recover
from workbench.tracking.store import Store
from workbench.tracking.unsent_files import Head, UnsentFile, read, unsent

pytest_plugins = ["tests.outer_fixtures"]

INFO = RunInfo("one", {"seed": "0"}, {"kind": "run", "key": "k"}, "", {}, DatasetInfo("toy", "0123", 4, 2))
EVENTS: list[Event] = [
    Opened("a" * 32, INFO, 1000),
    Opened("b" * 32, RunInfo("two", {}, {"kind": "run"}, "", {}, None), 1001),
    Reopened("a" * 32, {"pid": "7"}),
    Rows(("a" * 32, "b" * 32), 5, 1002, {"train/loss": [0.1, nan], "valid/loss": [1 / 3, 1e-300]}),
    Tagged("a" * 32, {"x": "ä\n"}),
    File("a" * 32, "model.safetensors", bytes(range(256))),
    Ended("a" * 32, Outcome.finished, {"digest": "d"}, 1003),
    Ended("b" * 32, Outcome.failed, {"error": "no"}, 1004),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_line_is_its_event(event: Event) -> None:
    """Every kind of event comes back as it was, on one line."""
    line = line_of(event)
    assert "\n" not in line
    back = event_of(line)
    if isinstance(event, Rows):
        assert isinstance(back, Rows)
        assert isnan(back.metrics["train/loss"][1])
        assert (back.runs, back.of(0), back.of(1)) == (event.runs, event.of(0), event.of(1))
    else:
        assert back == event


def spooled(store: Store, events: list[Event] = EVENTS) -> Path:
    """A file that a process which is gone has left."""
    spool = UnsentFile(store, Head(store.name, "e", "1"))
    spool.append(events)
    host, boot, *_ = spool.file.name.split("~")
    return spool.file.rename(spool.file.with_name(f"{host}~{boot}~999999999~1~00.jsonl"))


@pytest.mark.parametrize("cut", [1, 50])
def test_a_line_cut_off_is_no_event(store: Store, cut: int) -> None:
    """A process killed while it wrote leaves the events before."""
    file = spooled(store)
    os.truncate(file, file.stat().st_size - cut)
    assert [event for events, _ in read(file) for event in events][-1] == EVENTS[-2]


def assert_sent(store: Store) -> None:
    """Check that the store holds what the events say, each of them a single time."""
    two, one = sorted(all_runs(store), key=lambda run: run.info.run_name, reverse=True)
    assert (one.info.status, one.data.tags["outcome"], one.info.start_time, one.info.end_time) == (
        *("FINISHED", "finished"),
        *(1000, 1003),
    )
    assert (two.info.status, two.data.tags["error"], two.data.metrics) == ("FAILED", "no", {"valid/loss": 1e-300})
    client = connect(store)
    assert [
        (row.step, row.timestamp, row.value) for row in client.get_metric_history(one.info.run_id, "train/loss")
    ] == [(5, 1002, 0.1)]
    assert Path(client.download_artifacts(one.info.run_id, "model.safetensors")).read_bytes() == bytes(range(256))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bulk", "calls"])
def test_recover_sends_once(
    cli: Callable[..., Answer], store: Store, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """`recover` sends each event once by either backend, even over a file sent already; the file goes last."""
    if way == "calls":
        monkeypatch.setattr("workbench.tracking.mlflow_sink.engine_of", lambda client: None)
    spooled(store)
    answer = cli("recover")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("sent 3 rows of 2 runs")
    assert_sent(store)
    spooled(store)
    assert cli("recover").code == 0
    assert_sent(store)
    assert cli("recover").out.endswith(f"holds nothing for {store.shown}\n")
    assert not (store.home).exists()


def test_recover_goes_on_after_an_interruption(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that goes away in the middle costs nothing: the file stays."""
    from workbench.tracking.bulk_backend import Bulk

    spooled(store)
    right = Bulk.write

    def half(self: Bulk, events: list[Event]) -> None:
        right(self, events[:4])
        raise StoreAway("away again")

    with monkeypatch.context() as patched:
        patched.setattr(Bulk, "write", half)
        (sent,) = recover(store)
    assert sent.error == "away again"
    assert len(unsent(store)) == 1
    assert recover(store)[0].error == ""
    assert_sent(store)


@pytest.mark.slow
def test_what_a_living_process_keeps_is_left_to_it(cli: Callable[..., Answer], store: Store) -> None:
    """`recover` leaves the file of a process that may live elsewhere alone, and sends it only when it is named."""
    file = spooled(store)
    away = file.rename(file.with_name(f"elsewhere~{file.name.partition('~')[2]}"))
    answer = cli("recover")
    assert answer.code == 1
    assert answer.out == f"left alone: {away}, for process 999999999 on elsewhere may live\n"
    answer = cli("recover", str(away))
    assert answer.code == 0
    assert_sent(store)
    answer = cli("recover", "nothing.jsonl")
    assert answer.code == 2
    assert "must name a file that holds what" in answer.err


def test_store_that_goes_and_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is moved away while runs are begun, written and ended, and back: nothing is lost, nothing raised."""
    monkeypatch.setattr("workbench.tracking.resilient_backend.SHORTEST", 0.0)
    assert store.file is not None
    sink = MlflowSink(store, "e")
    (first,) = sink.open([INFO])
    sink.write(first, 0, 1, {"train/loss": 1.0})
    sink.flush()
    away = store.file.rename(store.file.with_name("away.db"))
    sink.write(first, 1, 2, {"train/loss": 0.5})
    sink.flush()
    (second,) = sink.open([INFO])
    sink.write(second, 1, 2, {"train/loss": 0.25})
    sink.close(second, Outcome.finished)
    assert len(unsent(store)) == 1
    assert not store.file.exists()
    away.rename(store.file)
    sink.resilient._next = 0.0
    sink.close(first, Outcome.finished)
    assert unsent(store) == []
    found = {run.info.run_id: run for run in all_runs(store)}
    assert {run: found[run].data.metrics["train/loss"] for run in found} == {first: 0.5, second: 0.25}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


@pytest.mark.slow
def test_recover_makes_no_database(cli: Callable[..., Answer], store: Store) -> None:
    """`recover` and `train` ask that a lost database be put back, and never make one that knows none of the runs."""
    spooled(store)
    assert store.file is not None
    store.file.unlink()
    answer = cli("recover")
    assert answer.code == 1
    assert f"there is no database {store.file}; put it back" in answer.out
    assert len(unsent(store)) == 1
    assert not store.file.exists()
    assert cli("train", *SMALL).code == 2
    for left in unsent(store):
        left.file.unlink()
    log = store.file.with_name("mlflow.db-wal")
    log.write_bytes(b"frames of the one that is gone")
    answer = cli("train", *SMALL)
    assert answer.code == 2
    assert "its log mlflow.db-wal is there" in answer.err


def test_where_the_spool_cannot_be_written_is_an_error(store: Store) -> None:
    """A lost store with a spool that cannot be written is a TrackingError and leaves no half event."""
    store.home.mkdir()
    (store.home / "unsent").write_text("in the way")
    with pytest.raises(TrackingError, match="cannot be written to"):
        UnsentFile(store, Head(store.name, "e", "1")).append(EVENTS)


@pytest.mark.slow
def test_store_away_at_the_start_is_an_error(cli: Callable[..., Answer], folder: Path) -> None:
    """A store that does not answer ends `train` before step 0 with exit code 2 and leaves nothing."""
    answer = cli("train", *SMALL, "tracking.uri=http://127.0.0.1:1")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("workbench: tracking: the store http://127.0.0.1:1 does not answer (ConnectionError)")
    assert list(folder.iterdir()) == []


LONG = ("train", "-m", "data=wine", "activation=relu,tanh", "seed=range(3)", "train.epochs=1000", "certificate=false")
SECONDS_AWAY = 30
TABLE = Path(__file__).parents[2] / "docs/states.md"
QUICK = """
import sys
import workbench.tracking.writer_thread as writer
from workbench.cli.entry import main

writer.SECONDS_BETWEEN_WRITES = 0.2
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    """A server that answers."""
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server") as made:
        made.wait()
        yield made


def code_of(what: str) -> int:
    """The exit code in the table of docs/states.md."""
    (line,) = [line for line in TABLE.read_text().splitlines() if line.startswith(f"| {what}")]
    return int(line.strip("|").split("|")[5])


@pytest.mark.parametrize(
    "for_good",
    [
        pytest.param(False, id="for a while", marks=pytest.mark.exhaustive),
        pytest.param(True, id="for good", marks=pytest.mark.slow),
    ],
)
def test_server_killed_in_a_sweep(server: MlflowServer, tmp_path: Path, for_good: bool) -> None:
    """A server killed in a sweep loses and doubles nothing, as in an undisturbed sweep; no password is told."""
    secret = server.uri.replace("//", f"//me:{PASSWORD}@")
    process = start(["-c", QUICK, *LONG], tmp_path, module=False, MLFLOW_TRACKING_URI=secret)
    try:
        wait_for(lambda: (tmp_path / "server/server.db").exists() and len(runs_of(Store(server.uri))) == 3)
        wait_for(lambda: any(run.data.metrics for run in runs_of(Store(server.uri))))
        server.end(signal.SIGKILL)
        if not for_good:
            time.sleep(SECONDS_AWAY)
            server.begin()
            server.wait()
        answer = finish(process, 400)
    finally:
        end(process)
    if for_good:
        assert answer.code == code_of("store gone for good"), answer
        assert answer.err.splitlines()[-1].endswith("send it: workbench recover")
        kept = [file.read_text() for file in tmp_path.glob(".workbench/unsent/*")]
        assert len(kept) == 1
        assert PASSWORD not in kept[0]
        server.begin()
        server.wait()
        recovered = finish(start(["recover", "--uri", server.uri], tmp_path))
        assert (recovered.code, recovered.err) == (0, "")
    else:
        assert answer.code in (code_of("store away for a while"), code_of("store gone for good")), answer
        finish(start(["recover", "--uri", server.uri], tmp_path))
    assert PASSWORD not in answer.out + answer.err
    assert {run.info.status for run in all_runs(Store(server.uri))} == {"FINISHED"}
    for run in all_runs(Store(server.uri)):
        assert not [text for text in (*run.data.tags.values(), *run.data.params.values()) if PASSWORD in text]
    assert len(runs_of(Store(server.uri))) == 6
    alone = tmp_path / "alone"
    alone.mkdir()
    assert finish(start(LONG, alone), 300).code == 0
    found = shown(f"sqlite:///{server.folder}/server.db", artifacts=server.folder / "mlartifacts")
    assert_same_sweep(found, shown(f"sqlite:///{alone}/mlflow.db"))
    assert not list(tmp_path.glob(".workbench/*"))
