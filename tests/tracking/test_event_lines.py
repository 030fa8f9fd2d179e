"""Files of unsent events that somebody has changed: nothing else is written, one bad line costs itself alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.outer import SMALL, Answer, all_runs
from tests.tracking.test_recover import EVENTS, spooled
from workbench.core.errors import TrackingError
from workbench.tracking.base import File
from workbench.tracking.event_lines import event_of, line_of
from workbench.tracking.safe_names import check_file, segment, within
from workbench.tracking.store import Store
from workbench.tracking.unsent_files import refused, unsent

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
LINES = [line_of(event) for event in EVENTS]
ID = "a" * 32


def changed(place: int, **values: Any) -> str:
    """Return a line of LINES with other values."""
    return json.dumps({**json.loads(LINES[place]), **values})


BAD = {
    "no JSON": "{",
    "no object": "[1]",
    "number": "7",
    "deep": "[" * 100_000,
    "no kind": json.dumps({"run": ID}),
    "other kind": changed(4, kind="Path"),
    "kind is a list": changed(4, kind=[]),
    "lacks": json.dumps({"kind": "Tagged", "run": ID}),
    "run leads out": changed(5, run="../" * 10 + "aa"),
    "run is no id": changed(4, run="A" * 32),
    "run of another kind": changed(4, run=7),
    "absolute name": changed(5, name="/tmp/x"),
    "name leads out": changed(5, name="../x"),
    "name in a folder": changed(5, name="a/x"),
    "name is a folder": changed(5, name=".."),
    "long name": changed(5, name="x" * 300),
    "no name": changed(5, name=""),
    "name with NUL": changed(5, name="a\0b"),
    "no base64": changed(5, content="%"),
    "content of another kind": changed(5, content=5),
    "no outcome": changed(6, outcome="won"),
    "negative time": changed(6, time_ms=-1),
    "time too large": changed(6, time_ms=2**70),
    "step too large": changed(3, step=2**64),
    "step of another kind": changed(3, step="x"),
    "a number too few": changed(3, metrics={"train/loss": [1.0]}),
    "a text for numbers": changed(3, metrics={"train/loss": "ab"}),
    "metric leads out": changed(3, metrics={"../x": [1.0, 2.0]}),
    "run of the rows": changed(3, runs=[ID, "x"]),
    "tag leads out": changed(4, tags={"../../x": "y"}),
    "long tag": changed(4, tags={"x": "y" * 10_000}),
    "tag of another kind": changed(4, tags={"x": {}}),
    "half a character": changed(4, tags={"x": "\ud800"}),
    "params of another kind": changed(0, info={**json.loads(LINES[0])["info"], "params": 5}),
    "data set of another kind": changed(0, info={**json.loads(LINES[0])["info"], "dataset": "d"}),
    "long name of a run": changed(0, info={**json.loads(LINES[0])["info"], "name": "n" * 1000}),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_what_is_no_event_is_refused(line: str) -> None:
    """Every broken line raises TrackingError, the only kind of error, with a reason."""
    with pytest.raises(TrackingError):
        event_of(line)


def everything(folder: Path) -> set[str]:
    """Every file under a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_one_bad_line_costs_itself_alone(cli: Cli, store: Store, folder: Path) -> None:
    """All others are sent, the bad ones are kept and named; the next command trains."""
    unknown = changed(4, run="c" * 32)
    file = spooled(store)
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, lines[0], *BAD.values(), unknown, *lines[1:]]) + "\n")
    answer = cli("recover")
    assert (answer.code, "sent 3 rows of 2 runs" in answer.out) == (1, True)
    (kept,) = refused(store)
    assert kept.read_text().splitlines() == [*BAD.values(), unknown]
    assert str(kept) in answer.out
    assert {run.data.tags["outcome"] for run in all_runs(store)} == {"finished", "failed"}
    assert not [name for name in everything(folder) if name.endswith("x")]
    answer = cli("doctor")
    assert (answer.code, f"{kept} holds lines that could not be sent" in answer.out) == (1, True)
    assert cli("train", *SMALL).code == 0
    kept.unlink()
    assert cli("recover").code == 0


@pytest.mark.slow
def test_a_file_without_its_first_line_is_named_and_left(cli: Cli, store: Store) -> None:
    """A spool file without its first line is named by `recover` and `doctor`, stays, and stops no training."""
    file = spooled(store)
    file.write_text("\n".join(file.read_text().splitlines()[1:]) + "\n")
    (file.parent / "folder.jsonl").mkdir()
    for command in ("recover", "doctor"):
        answer = cli(command)
        assert (answer.code, answer.err) == (1, "")
        assert str(file) in answer.out
    assert cli("train", *SMALL).code == 0
    assert file.exists()


EDITS = st.tuples(st.sampled_from(["cut", "set", "insert", "swap", "repeat"]), st.floats(0, 1), st.binary(max_size=9))


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """The content after changes at places given as shares of its length."""
    for how, share, new in edits:
        at = int(share * len(content))
        match how:
            case "cut":
                content = content[:at] + content[at + len(new) :]
            case "set":
                content = content[:at] + new + content[at + len(new) :]
            case "insert":
                content = content[:at] + new + content[at:]
            case "swap":
                content = content[at:] + content[:at]
            case "repeat":
                content += content[at:]
    return content


@pytest.mark.slow
@given(st.lists(EDITS, min_size=1, max_size=4))
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_edited_files_have_documented_ends(
    cli: Cli, store: Store, folder: Path, empty_database: Path, edits: list[tuple[str, float, bytes]]
) -> None:
    """Recover and doctor end with 0, 1 or 2 and without a traceback; nothing is written elsewhere."""
    assert store.file is not None
    shutil.rmtree(store.home, ignore_errors=True)
    shutil.rmtree(folder / "mlartifacts", ignore_errors=True)
    file = spooled(store)
    file.write_bytes(edited(file.read_bytes(), edits))
    assert cli("recover").code in (0, 1)
    assert cli("doctor").code in (0, 1)
    own = ("mlflow.db", ".workbench/unsent/", "mlartifacts/")
    assert not [name for name in everything(folder) if not name.startswith(own)]
    unsent(store)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "..", "a\0", "..\\x"])
def test_a_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A name that leads out of its folder is refused, whoever wrote it."""
    with pytest.raises(TrackingError, match="must have a name"):
        within(tmp_path, name)
    with pytest.raises(TrackingError, match="must have a name"):
        check_file(name)


@pytest.mark.slow
@given(st.text(max_size=400))
def test_any_name_makes_one_folder(name: str) -> None:
    """Any name gives a folder name of at most 100 signs that mean nothing to a shell, a URI or a disk."""
    made = segment(name)
    assert 0 < len(made) <= 100
    assert not set(made) & set("/\\\0%#?&'\"\n")
    assert made not in (".", "..")
    assert made == segment(made)


@pytest.mark.parametrize("way", ["bulk", "calls"])
def test_no_way_writes_outside(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """File names outside the run's folder are refused by either backend, even in events that came from no file."""
    from workbench.tracking.mlflow_sink import MlflowSink

    if way == "calls":
        monkeypatch.setattr("workbench.tracking.mlflow_sink.engine_of", lambda client: None)
    sink = MlflowSink(store, "e")
    sink.backend.write([EVENTS[0]])
    before = everything(folder)
    for name in ("../x", f"{folder}/x"):
        with pytest.raises(TrackingError, match="must have a name within"):
            sink.backend.write([File(ID, name, b"x")])
    assert {name for name in everything(folder) - before if not name.startswith("mlflow.db")} == set()
