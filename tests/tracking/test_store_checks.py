"""The doctor's checks of a store: what they find, end and leave alone, and what they say to do."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils as mlflow_tables
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine

from tests.outer import SMALL, Answer, all_runs
from tests.servers import mlflow_server
from workbench.tracking.base import Outcome, RunInfo
from workbench.tracking.liveness import owner_tags
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.sqlite import on_network
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def dead() -> str:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return str(process.pid)


def opened(store: Store, name: str, experiment: str = "e", **owner: str) -> str:
    """A run that is RUNNING, of this process but for what is given."""
    info = RunInfo(name, {}, {"kind": "run", "key": name, **owner_tags(), **owner}, "", {}, None)
    return MlflowSink(store, experiment).open([info])[0]


def ends(store: Store) -> dict[str, tuple[str, str]]:
    """Status and outcome of each run by its name."""
    return {run.info.run_name: (run.info.status, run.data.tags.get("outcome", "")) for run in all_runs(store)}


def test_healthy_store(cli: Cli, store: Store) -> None:
    """The doctor finds nothing to do in a healthy store and ends with exit code 0."""
    answer = cli("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "is whole, with the tables of MLflow" in answer.out
    assert "its log: wal" in answer.out
    assert answer.out.endswith("nothing to do\n")


@pytest.mark.slow
def test_doctor_ends_what_is_gone_and_nothing_else(cli: Cli, store: Store) -> None:
    """The doctor ends only runs of dead processes, in all experiments; a rehearsal changes nothing."""
    number = dead()
    opened(store, "gone", pid=number)
    opened(store, "gone too", "another", pid=number)
    opened(store, "here")
    far = opened(store, "far", host="elsewhere", pid="12")
    container = opened(store, "container", boot=f"{owner_tags()['boot'].partition('.')[0]}.1", pid=number)
    answer = cli("doctor", "--dry-run")
    assert answer.code == 1
    assert "2 open runs whose process is gone:\n  -> end them: workbench doctor\n" in answer.out
    assert set(ends(store).values()) == {("RUNNING", "")}
    answer = cli("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "2 open runs whose process is gone, ended as killed:" in answer.out
    assert "1 open runs in training here:" in answer.out
    assert f"  {far} far: process 12 on elsewhere\n" in answer.out
    assert f"  {container} container: process {number} on " in answer.out
    assert "workbench doctor --end RUN" in answer.out
    killed, still = ("KILLED", "killed"), ("RUNNING", "")
    assert ends(store) == dict(
        {"gone": killed, "gone too": killed, "here": still}, **dict.fromkeys(("far", "container"), still)
    )
    reasons = {run.data.tags.get("error") for run in all_runs(store) if run.info.status == "KILLED"}
    assert reasons == {f"its process {number} is gone"}


@pytest.mark.slow
def test_runs_that_a_user_knows_to_be_dead(cli: Cli, store: Store) -> None:
    """``--end`` ends the named run, but none of them if a named run trains here, has ended or is not there."""
    far, here = opened(store, "far", host="elsewhere", pid="12"), opened(store, "here")
    for name, said in ((here, "trains"), ("0" * 32, "by its whole id")):
        answer = cli("doctor", "--end", far, name)
        assert answer.code == 2
        assert said in answer.err
    assert set(ends(store).values()) == {("RUNNING", "")}
    assert cli("doctor", "--end", far).code == 0
    assert ends(store) == {"far": ("KILLED", "killed"), "here": ("RUNNING", "")}
    answer = cli("doctor", "--end", far)
    assert answer.code == 2
    assert f"but {far} is KILLED; drop it" in answer.err


@pytest.mark.slow
def test_an_end_that_was_said_is_kept(cli: Cli, store: Store) -> None:
    """A process killed between the last tag and the status leaves a run that the doctor ends as finished."""
    run = opened(store, "said", pid=dead())
    MlflowSink(store, "e").tag([run], "outcome", Outcome.finished.value)
    assert cli("doctor").code == 0
    assert ends(store) == {"said": ("FINISHED", "finished")}


@pytest.mark.slow
def test_checkpoints_are_shown_with_their_command(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor shows checkpoints that a dead process left of a sweep, with the command that resumes it."""
    from workbench.sweeps import sweep

    epochs = iter(range(6))

    def stop(*arguments: object, **named: object) -> None:
        if next(epochs) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sweep.SweepProgress, "advance", stop)
        assert cli("train", "-m", *SMALL, "seed=0,1", "sweep.checkpoint_seconds=0", "train.epochs=5").code == 130
    (folder,) = (store.home / "checkpoints").iterdir()
    host, boot, *_ = folder.name.split("~")
    folder.rename(folder.with_name(f"{host}~{boot}~{dead()}~1"))
    answer = cli("doctor")
    assert answer.code == 1
    assert "is a checkpoint whose process is gone\n  -> resume it: workbench train -m data=wine" in answer.out
    assert answer.out.endswith("1 to do\n")


def test_unsent_is_shown(cli: Cli, store: Store) -> None:
    """The doctor shows unsent files with the command to send them: of a dead process, and of one that may live."""
    folder = store.home / "unsent"
    folder.mkdir(parents=True)
    head = f'{{"store": "{store.name}", "experiment": "e", "experiment_id": "1"}}\n'
    host, boot, *_ = owner_tags().values()
    (folder / f"{host}~{boot}~{dead()}~1~00.jsonl").write_text(head)
    (folder / "elsewhere~b~12~1~00.jsonl").write_text(head)
    answer = cli("doctor")
    assert answer.code == 1
    assert "  -> send it: workbench recover\n" in answer.out
    assert "process 12 on elsewhere sends it if it lives; else: workbench recover " in answer.out
    assert answer.out.endswith("2 to do\n")


def test_damaged_database(cli: Cli, store: Store) -> None:
    """The doctor reports what sqlite finds in a damaged database, and how to save what can be read."""
    assert store.file is not None
    with store.file.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(os.path.getsize(store.file) - 8192))
    answer = cli("doctor")
    assert (answer.code, answer.err) == (1, "")
    assert f"the database {store.file} is damaged: " in answer.out
    assert f"sqlite3 {store.file} .recover | sqlite3 new.db" in answer.out


@pytest.mark.parametrize(
    ("version", "says", "todo"),
    [
        ("0000000000ff", "was made by a newer MLflow", "install that MLflow: pip install --upgrade mlflow"),
        ("451aebb31d03", "was made by an older MLflow", "then write: mlflow db upgrade sqlite:///"),
    ],
)
def test_tables_of_another_mlflow(cli: Cli, store: Store, version: str, says: str, todo: str) -> None:
    """The doctor says that tables are of a newer or older MLflow, and how to make them match."""
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        database.commit()
    answer = cli("doctor")
    assert (answer.code, answer.err) == (1, "")
    assert says in answer.out
    assert todo in answer.out


def test_missing_database_and_server(cli: Cli, folder: Path) -> None:
    """A missing database or server is reported with what to do; nothing is made."""
    answer = cli("doctor")
    assert answer.code == 1
    assert f"there is no database {folder}/mlflow.db\n  -> put it back, or train something\n" in answer.out
    answer = cli("doctor", "--uri", "http://me:s3cret@127.0.0.1:1")
    assert answer.code == 1
    assert "the store http://127.0.0.1:1 does not answer" in answer.out
    assert "s3cret" not in answer.out + answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("kind", "network"), [("ext4", False), ("nfs4", True), ("cifs", True), ("tmpfs", False)])
def test_network_disks_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, network: bool) -> None:
    """A file is on a network disk by the kind of the nearest mount around it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"root / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr("workbench.tracking.sqlite._MOUNTS", mounts)
    assert on_network(tmp_path / "mlflow.db") is network
    assert not on_network(Path("/elsewhere/mlflow.db"))


@pytest.mark.slow
def test_a_network_disk_is_served_by_one_host(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the doctor gives serves that database, and others train to its address."""
    mounts = store.file.with_name("mounts")
    mounts.write_text(f"server:/x {store.file.parent} nfs4 rw 0 0\n")
    monkeypatch.setattr("workbench.tracking.sqlite._MOUNTS", mounts)
    answer = cli("doctor")
    assert answer.code == 1
    told = re.search(r"run on one host: mlflow (.*); on the others write tracking.uri=http://HOST:5000", answer.out)
    assert told is not None
    with mlflow_server(store.file.parent, shlex.split(told[1])) as server:
        server.wait()
        assert cli("train", *SMALL, f"tracking.uri={server.uri}").code == 0
    assert [run.info.status for run in all_runs(store)] == ["FINISHED"]


@pytest.mark.slow
def test_tables_of_an_older_mlflow_are_brought_up_to_date(cli: Cli, folder: Path) -> None:
    """Tables as they were some migrations ago: the command that the doctor gives makes them those of today."""
    engine = create_engine(f"sqlite:///{folder}/mlflow.db")
    InitialBase.metadata.create_all(engine)
    migrations = mlflow_tables._get_alembic_config(str(engine.url))
    former = ScriptDirectory.from_config(migrations).get_revision("head").down_revision
    command.upgrade(migrations, former)
    engine.dispose()
    told = re.search(r"copy the database, then write: mlflow (db upgrade .*)", cli("doctor").out)
    assert told is not None
    subprocess.run([sys.executable, "-m", "mlflow", *shlex.split(told[1])], check=True, capture_output=True)
    assert cli("doctor").code == 0
    assert cli("train", *SMALL).code == 0


@pytest.mark.slow
def test_disk_that_does_not_lock_is_an_error(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no locks ends `train` with exit code 2, what must hold and what to do; a server works there."""

    def refuse(self: object, *arguments: object, **named: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    answer = cli("train", *SMALL)
    assert answer.code == 2
    assert "must be a file that can be written and locked" in answer.err
    assert "No locks available" in answer.err
    assert "to name a server" in answer.err
    assert not (folder / "mlflow.db").exists()
    (folder / "server").mkdir()
    with mlflow_server(folder / "server") as server:
        server.wait()
        assert cli("train", *SMALL, f"tracking.uri={server.uri}").code == 0
