"""The sqlite databases that MLflow writes to: made at once, and without waiting for the disk."""

import atexit
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection, Engine, event

from workbench.errors import TrackingError
from workbench.tracking.store import SQLITE

_engines: WeakSet[Engine] = WeakSet()
NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "gluster", "lustre")  # how such disks begin
_MOUNTS = Path("/proc/self/mounts")
DEFAULT_ARTIFACTS = "./mlruns"  # MLflow's own default, of its own experiment


def make(file: Path) -> None:
    """Put an empty database in its place at once: one whose making was cut off would be of no use to anybody.

    Raises TrackingError where there is the log of one that was taken away, which sqlite would read into the new one.
    """
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise TrackingError(
            f"tracking: {file} is gone, but its log {log.name} is there; put it back, or remove the log"
        )
    new = file.with_name(f"{file.name}.new")
    for end in ("", "-wal", "-shm"):
        new.with_name(new.name + end).unlink(missing_ok=True)
    write_ahead(new)
    made: Any = SqlAlchemyStore
    made(f"{SQLITE}{new}", DEFAULT_ARTIFACTS).engine.dispose()  # without connections, it is one whole file
    new.rename(file)


def write_ahead(file: Path) -> None:
    """Let an sqlite database log its writes ahead; what is wrong with it, MLflow says.

    With a log written ahead, readers do not wait for writers, and commits not for the disk: a killed process loses
    nothing, a power cut at most the last moments, and the database stays whole. The log needs memory that its readers
    and writers share, which no network disk gives to two hosts.
    """
    if on_network(file):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=1)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def on_network(file: Path) -> bool:
    """Whether a file is on another host's disk, as far as the system tells."""
    try:
        mounts = [line.split(" ")[1:3] for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    places = {Path(place.replace("\\040", " ")): kind for place, kind in mounts}
    around = next((folder for folder in file.absolute().parents if folder in places), None)
    return around is not None and places[around].startswith(NETWORK)


@event.listens_for(Engine, "connect")
def _wait_for_no_disk(connection: Any, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with suppress(sqlite3.DatabaseError):  # no database: MLflow would try to connect again for minutes
            ((mode,),) = connection.execute("PRAGMA journal_mode")
            if mode == "wal":
                connection.execute("PRAGMA synchronous=NORMAL")


@event.listens_for(Engine, "engine_connect")
def _note_engine(connection: Connection) -> None:
    if connection.engine.dialect.name == "sqlite":
        _engines.add(connection.engine)


@atexit.register
def let_go() -> None:
    """Close the connections that wait to be used again: the last one puts the log back into the one file."""
    for engine in list(_engines):
        engine.dispose()
