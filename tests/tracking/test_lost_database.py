"""An sqlite database that goes away while a sweep trains, or is damaged: none takes its place, what is said works."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import workbench.engine.train as training
import workbench.tracking.resilient_backend as patience
import workbench.tracking.writer_thread as writer
from tests.outer import SMALL, Answer, all_runs, runs_of, trained
from workbench.cli import closing
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
SWEEP = ("train", "-m", *SMALL, "activation=relu,tanh", "seed=0,1", "certificate=false", "train.epochs=4")
OF_THE_MOMENT = (
    "pid",
    "started",
    "sweep",
    "diagnostics/share",
    "mlflow.note.content",
    "sweep.key",
    "checkpoint.seconds",
)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows leave at once, and nobody waits long for what is away."""
    monkeypatch.setattr(writer, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(writer, "MOST_OF_TIME", 1e9)
    monkeypatch.setattr(patience, "SHORTEST", 0.0)
    monkeypatch.setattr(patience, "LONGEST", 0.0)
    monkeypatch.setattr(closing, "SECONDS_AT_THE_END", 0.0)


def goes_away(monkeypatch: pytest.MonkeyPatch, store: Store, place: Path, steps: int, back: int = 0) -> None:
    """Move the database with its logs to another place after some steps of training, and back after some more."""
    assert store.file is not None
    right: Callable[..., Any] = training.step
    count = 0

    def step(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == steps:
            move(store.file, place)
        if count == back:
            move(place / store.file.name, store.file.parent)
        return right(*given, **named)

    monkeypatch.setattr(training, "step", step)


def move(file: Path, folder: Path) -> None:
    """A database with its logs."""
    folder.mkdir(exist_ok=True)
    for part in file.parent.glob(f"{file.name}*"):
        if part.suffix != ".lock":
            shutil.move(part, folder / part.name)


def contents(store: Store) -> dict[str, Any]:
    """Read a store's only sweep without what depends on the moment: by run its end, tags, params and metrics."""
    sweep = read_sweep(store, None)
    (own,) = [run for run in all_runs(store) if run.info.run_id == sweep.run]
    runs = {
        (run.params["activation"], run.params["seed"]): (
            run.outcome,
            {
                key: value
                for key, value in run.tags.items()
                if key not in OF_THE_MOMENT and not key.startswith(("in.", "checkpoint."))
            },
            {key: value for key, value in run.params.items() if not key.startswith("tracking.")},
            {key: value for key, value in run.metrics.items() if key not in OF_THE_MOMENT},
        )
        for run in sweep.runs
    }
    assert len(runs) == len(sweep.runs)
    return {"runs": runs, "own": own.info.status, "every": sorted(run.info.status for run in all_runs(store))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> dict[str, Any]:
    """Return the content of a store after an undisturbed sweep."""
    other = tmp_path_factory.mktemp("alone")
    shutil.copy(empty_database, other / "mlflow.db")
    store = Store(f"sqlite:///{other}/mlflow.db")
    trained(*SWEEP[1:], f"tracking.uri={store.uri}")
    return contents(store)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 8, 28])
def test_a_database_that_goes_away(
    cli: Cli, store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any], steps: int
) -> None:
    """Exit code 3 and no other in its place; put back, all of it is there, as in a sweep that was left alone."""
    assert store.file is not None
    away = store.file.parent / "away"
    with monkeypatch.context() as patch:
        goes_away(patch, store, away, steps)
        answer = cli(*SWEEP)
    assert answer.code == 3, answer
    assert "4 finished" in answer.out
    assert not list(store.file.parent.glob("mlflow.db*[!k]"))
    again = cli(*SWEEP)
    assert (again.code, again.out) == (2, "")
    assert f"there is no database {store.file}" in again.err
    assert cli("recover").code == 1
    assert cli("doctor").code == 1
    assert not store.file.exists()
    move(away / store.file.name, store.file.parent)
    recovered = cli("recover")
    assert recovered.code == 0, recovered
    assert contents(store) == undisturbed
    assert cli("doctor").code == 0
    assert cli(*SWEEP).code == 0
    assert contents(store) == undisturbed


@pytest.mark.slow
def test_a_database_that_comes_back(
    cli: Cli, store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any]
) -> None:
    """A database that is lost while the sweep trains and comes back needs no action: its content is complete."""
    assert store.file is not None
    with monkeypatch.context() as patch:
        goes_away(patch, store, store.file.parent / "away", 8, back=30)
        assert cli(*SWEEP).code == 0
    assert contents(store) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("command", [SWEEP, ("recover",), ("doctor",)], ids=lambda command: command[0])
def test_a_database_that_is_lost_for_good(
    cli: Cli, store: Store, hurried: None, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """The way out that each command names, written as it stands, lets the next one train."""
    assert store.file is not None
    with monkeypatch.context() as patch:
        goes_away(patch, store, store.file.parent / "away", 8)
        assert cli(*SWEEP).code == 3
    answer = cli(*command)
    found = re.search(r"lost for good, write (rm .*?), which waits for it", answer.out + answer.err)
    assert found is not None, answer
    subprocess.run(shlex.split(found[1]), check=True)
    assert cli(*SWEEP).code == 0
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    assert len(runs_of(store)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_damaged_database_is_refused(cli: Cli, store: Store, place: float) -> None:
    """A database that the doctor calls damaged is refused with exit code 2 and advice, and left as it is."""
    assert store.file is not None
    assert cli(*SWEEP).code == 0
    content = bytearray(store.file.read_bytes())
    start = int(len(content) * place) // 4096 * 4096
    content[start : start + 8192] = b"\xa5" * 8192
    store.file.write_bytes(content)
    doctor = cli("doctor")
    assert doctor.code == 1
    assert f"the database {store.file} is damaged" in doctor.out
    for command in (SWEEP, ("train", *SMALL), ("compare",), ("show",)):
        answer = cli(*command)
        assert answer.code == 2, answer
        assert f"the database {store.file} must be whole, but it is damaged: " in answer.err
        assert f"sqlite3 {store.file} .recover | sqlite3 new.db" in answer.err
    assert bytes(content) == store.file.read_bytes()
