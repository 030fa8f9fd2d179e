"""Places of files: experiments of any name, databases that were moved or copied, databases open to reading only."""

import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tests.outer import SMALL, Answer, Trained, all_runs, client_of
from workbench.core.errors import TrackingError
from workbench.tracking import locks
from workbench.tracking.base import RunInfo
from workbench.tracking.find_run import find_run
from workbench.tracking.liveness import alone
from workbench.tracking.locks import locked, private, runtime_folder
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import artifact
from workbench.tracking.store import Store, find_store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
ODD = [
    "Exp #1",
    "..",
    "a/b",
    "../../x",
    "50 % ?",
    "%2e%2e",
    "ünï",
    "'\" `;",
    "x" * 250,
    ".hidden",
    "a\\b",
    "CON:1",
    " x ",
]


def one_run(store: Store, experiment: str) -> str:
    """A run with a configuration, which is a file."""
    sink = MlflowSink(store, experiment)
    (run,) = sink.open([RunInfo("n", {"seed": "0"}, {"kind": "run", "arm": "a"}, "", {"seed": 0}, None)])
    sink.writer.flush()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bulk", "calls"])
def test_files_of_any_experiment_stay_beside_the_database(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Each experiment, whatever its name, keeps its files in a folder beside the database, and they are read back."""
    if way == "calls":
        monkeypatch.setattr("workbench.tracking.mlflow_sink.engine_of", lambda client: None)
    runs = {name: one_run(store, name) for name in ODD}
    for name, run in runs.items():
        (file,) = folder.glob(f"mlartifacts/*/{run}/artifacts/config.yaml")
        assert len(file.parts[-4]) <= 100
        assert artifact(store, run, "config.yaml") == b"seed: 0\n"
        assert find_run(store, run).files == {"config.yaml": 8}
        assert Path(client_of(store).download_artifacts(run, "config.yaml")).read_bytes() == b"seed: 0\n"
        found = client_of(store).get_experiment_by_name(name)
        assert found is not None
        assert found.experiment_id == client_of(store).get_run(run).info.experiment_id
    assert {path.name.partition("-")[0] for path in folder.iterdir()} <= {"mlartifacts", "mlflow.db", "mlflow.db.lock"}


@pytest.mark.parametrize("name", ["x" * 251, "a\nb", "\x1b[31m"])
def test_names_that_no_store_takes_are_refused_before_training(cli: Cli, store: Store, folder: Path, name: str) -> None:
    """Names of experiments that no store takes are refused with exit code 2, and nothing is left of them."""
    answer = cli("train", *SMALL, f"tracking.experiment='{name}'")
    assert (answer.code, answer.out) == (2, "")
    assert "tracking.experiment: must have 1 to 250 printable characters" in answer.err
    assert all_runs(store) == []
    assert not (folder / ".workbench").exists()


def test_old_places_are_still_read(store: Store, folder: Path) -> None:
    """Files of experiments whose names were not quoted in their places are still read."""
    client = client_of(store)
    for name in ("Exp #1", "..", "a b"):
        experiment = client.create_experiment(name, artifact_location=f"file://{folder}/mlartifacts/{name}")
        run = client.create_run(experiment, tags={"kind": "run", "arm": "a"}).info.run_id
        client.log_text(run, "x", "config.yaml")
        assert artifact(store, run, "config.yaml") == b"x"


def swept_in(swept: Trained, place: Path) -> Path:
    """A copy of a trained sweep's folder."""
    return Path(shutil.copytree(whole(swept).parent, place, ignore=shutil.ignore_patterns("*-wal", "*-shm")))


def whole(swept: Trained) -> Path:
    """A trained sweep's database, all of it in one file: other tests may have it open, with a log."""
    assert swept.store.file is not None
    with closing(sqlite3.connect(swept.store.file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return swept.store.file


def files_of(folder: Path) -> set[Path]:
    """Every file of runs under a folder."""
    return {path.relative_to(folder) for path in (folder / "mlartifacts").rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("old_is_there", [False, True], ids=["moved", "copied"])
def test_a_database_takes_its_files_along(
    cli: Cli, swept: Trained, folder: Path, monkeypatch: pytest.MonkeyPatch, old_is_there: bool
) -> None:
    """A moved or copied database reads old files and writes beside itself, never there; the doctor mends the rest."""
    old, new = swept_in(swept, folder / "old"), folder / "new"
    monkeypatch.chdir(old)
    assert cli("train", *SMALL, "tracking.experiment=swept", "seed=7").code == 0  # its address is the old one
    run = find_run(find_store(None), None).run.id
    new = Path(shutil.copytree(old, new) if old_is_there else old.rename(new))
    before = files_of(old)
    monkeypatch.chdir(new)
    assert "config.yaml" in cli("show", run).out
    assert cli("verify", run).code == 0
    assert cli("train", *SMALL, "tracking.experiment=swept", "seed=8").code == 0
    assert len(files_of(new)) > len(before)
    assert files_of(old) == before
    answer = cli("doctor", "--dry-run")
    assert (answer.code, "correct them: workbench doctor" in answer.out) == (1, True)
    answer = cli("doctor")
    assert (answer.code, "corrected" in answer.out) == (0, True)
    for kept in all_runs(find_store(None)):
        assert kept.info.artifact_uri.startswith(f"file://{new}/mlartifacts/") or str(old) not in kept.info.artifact_uri
    assert cli("doctor").out.endswith("nothing to do\n")


@pytest.mark.slow
def test_a_copied_database_without_its_files_reads_them_where_they_are(cli: Cli, swept: Trained, folder: Path) -> None:
    """A copied database without its files reads them at their old place and writes beside itself."""
    file = whole(swept)
    shutil.copy(file, folder / "mlflow.db")
    before = files_of(file.parent)
    assert cli("show").code == 0
    assert "config.yaml" in cli("show").out
    assert cli("train", *SMALL, "tracking.experiment=swept", "seed=9").code == 0
    assert files_of(file.parent) == before
    assert "nothing to do" in cli("doctor").out
    assert "config.yaml" in cli("show", swept.finished.results[0].run).out


@contextmanager
def another_user(number: int = 12345) -> Iterator[None]:
    """Be a user without a name, whom permissions bind; the tests' own, where that is not root."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(number, number, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may come into: pytest's own are closed."""
    place = Path(tempfile.mkdtemp(prefix="shared-"))
    place.chmod(0o755)
    yield place
    for path in (place, *place.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["file", "folder", "both"])
def test_a_database_that_may_only_be_read(
    cli: Cli, swept: Trained, shared: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """Reading a write-protected database works and leaves nothing; writing names the permission, with exit code 2."""
    place = swept_in(swept, shared / "store")
    out = shared / "out"
    out.mkdir()
    monkeypatch.chdir(place)
    reading = (["show"], ["compare", "--out", str(out)], ["diagnose"], ["claims"], ["doctor"])
    for command in reading:  # imports what it needs
        assert cli(*command).code == 0
    (place / "mlflow.db.lock").unlink()
    before = sorted(os.listdir(place))
    (place / "mlflow.db").chmod(0o444 if closed != "folder" else 0o644)
    place.chmod(0o555 if closed != "file" else 0o755)
    for path in (out, *out.iterdir()):
        path.chmod(0o777)
    if closed == "file" and os.getuid() == 0:
        os.chown(place, 12345, -1)
    where = place if closed == "folder" and os.getuid() != 0 else place / "mlflow.db"
    with another_user():
        for command in reading:
            answer = cli(*command)
            assert (answer.code, answer.err) == (0, "")
        assert "is damaged" not in answer.out
        assert "this user may only read it" in answer.out
        answer = cli("train", *SMALL)
        assert answer.code == 2
        assert f"{where} must be writable for user" in answer.err
        assert "with the permissions" in answer.err
        assert sorted(os.listdir(place)) == before


def test_a_database_that_may_not_be_read(
    cli: Cli, shared: Path, swept: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that may not be read is refused with the permission, and not called damaged."""
    place = swept_in(swept, shared / "store")
    monkeypatch.chdir(place)
    place.chmod(0o755)
    (place / "mlflow.db").chmod(0)
    with another_user():
        for command in ("show", "doctor"):
            answer = cli(command)
            assert answer.code == 2
            assert f"{place}/mlflow.db must be readable for user" in answer.err


def test_a_user_without_a_name_trains(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name, as in a container, trains; the user's number stands for the name."""
    from workbench.sweeps import jobs

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(jobs, "getuser", unknown)
    monkeypatch.setattr(jobs, "environment_tags", jobs.environment_tags.__wrapped__)
    assert cli("train", *SMALL).code == 0
    (run,) = all_runs(store)
    assert run.data.tags["mlflow.user"] == str(os.getuid())


def test_the_locks_of_one_user_do_not_lock_out_another(shared: Path) -> None:
    """Lock files lie beside the database, for all who may write there, whatever the mask."""
    shared.chmod(0o777)
    store = find_store(f"sqlite:///{shared}/mlflow.db")
    mask = os.umask(0o077)
    try:
        with locked(store), alone(store):
            assert {stat.S_IMODE(file.stat().st_mode) for file in shared.iterdir()} == {0o666}
            assert {file.name for file in shared.iterdir()} == {"mlflow.db.lock", "mlflow.db.sweep.lock"}
        with another_user(), locked(store), alone(store):
            assert not FileLock(shared / "mlflow.db.lock", blocking=False).is_locked
    finally:
        os.umask(mask)
    assert {file.name for file in shared.iterdir()} == {"mlflow.db.lock"}


def test_a_lock_that_is_held_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait for a held lock ends in an error that names the lock file: the holder cannot be named."""
    monkeypatch.setattr(locks, "SECONDS_TO_WAIT", 0.1)
    with (
        locked(store),
        pytest.raises(TrackingError, match=r"another process has held .*mlflow\.db\.lock"),
        locked(store),
    ):
        pass


@pytest.mark.parametrize("given", [True, False], ids=["runtime folder", "temporary folder"])
def test_locks_without_a_file_are_the_users_own(shared: Path, monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    """Locks of stores without a file lie in the user's closed folder, name nothing of the address and are removed."""
    monkeypatch.setattr(locks, "gettempdir", lambda: str(shared))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared) if given else "relative")
    own = runtime_folder()
    assert own == shared / ("workbench" if given else f"workbench-{os.getuid()}")
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    with alone(Store("http://u:secret@h")):
        (file,) = own.iterdir()
        assert "secret" not in file.name
    assert list(own.iterdir()) == []


def test_a_folder_for_secrets_is_the_users_own(shared: Path) -> None:
    """A link, a file, another's or an open folder is refused, with what to do."""
    (shared / "file").touch()
    (shared / "open").mkdir(mode=0o755)
    (shared / "link").symlink_to(shared / "open")
    for name in ("file", "open", "link"):
        with pytest.raises(TrackingError, match="must be"):
            private(shared / name)
    with pytest.raises(TrackingError) as said:
        private(shared / "open")
    way = re.search(r"write (chmod 700 .*), or name another", str(said.value))
    assert way is not None
    subprocess.run(shlex.split(way[1]), check=True)
    assert private(shared / "open") == shared / "open"
    if os.getuid() == 0:
        os.chown(shared / "open", 12345, -1)
        with pytest.raises(TrackingError, match="belongs to user 12345"):
            private(shared / "open")
    assert stat.S_IMODE(private(shared / "new").stat().st_mode) == 0o700
