"""The sqlite databases of MLflow: created atomically, and written without waiting for the disk."""

import atexit
import errno
import os
import re
import shlex
import sqlite3
from contextlib import closing, suppress
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote, unquote, urlencode
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, event, make_url

from workbench.core.errors import StoreAway, TrackingError
from workbench.tracking.store import Store, sqlite_uri

_engines: WeakSet[Engine] = WeakSet()
seen: set[Path] = set()  # the databases that this command has found or made
NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "gluster", "lustre")  # how such disks begin
_MOUNTS = Path("/proc/self/mounts")
_PLAIN = re.compile(r"[\w/.+@,= -]+")  # a path that every version of SQLAlchemy and MLflow reads as it stands
DEFAULT_ARTIFACTS = "./mlruns"  # MLflow's own default, of its own experiment


def engine_uri(store: Store) -> str:
    """Address of a store for SQLAlchemy and MLflow; for a database that may only be read, one that does not write.

    Both interpret some characters of a path. As a URI of sqlite's, any path is safe; and with the name of the driver,
    MLflow makes no folder for the quoted path.
    """
    file = store.file
    if file is None:
        return store.uri
    options = _for_reading(file)
    if not options and _PLAIN.fullmatch(str(file)):
        return store.uri
    named = URL.create("sqlite+pysqlite", database=f"file:{quote(str(file))}", query={**options, "uri": "true"})
    return named.render_as_string(hide_password=False)


def store_at(uri: str) -> Store:
    """The store of an address made by `engine_uri`."""
    if not uri.startswith("sqlite+pysqlite:"):
        return Store(uri)
    return Store(sqlite_uri(Path(unquote(str(make_url(uri).database).removeprefix("file:")))))


def is_read_only(store: Store) -> bool:
    """Whether it is an existing sqlite database that this user may not write to."""
    return store.file is not None and bool(_for_reading(store.file))


def _for_reading(file: Path) -> dict[str, str]:
    """sqlite's options for a database that may not be written to; empty for one that may, or does not exist."""
    if not file.exists() or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return {}
    log, shared = (file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))
    if log.exists() and (log.stat().st_size or shared.exists()):  # another process writes
        return {"mode": "ro"}
    return {"mode": "ro", "immutable": "1"}  # else it would make these files, which a later writer could not write to


def check_access(store: Store, writing: bool) -> None:
    """Raise TrackingError for an sqlite database that this user may not read or, when `writing`, write to or make."""
    file = store.file
    if file is None:
        return
    exists, folder = file.exists(), file.parent
    wanted = [(file, os.R_OK, "readable")] if exists else [(folder, os.W_OK | os.X_OK, "writable")]
    if exists and writing:
        wanted += [(file, os.W_OK, "writable"), (folder, os.W_OK | os.X_OK, "writable")]
    for path, how, ability in wanted:
        if not os.access(path, how) or (path is folder and not _takes_files(folder)):
            status = path.stat()
            raise TrackingError(
                f"tracking: {path} must be {ability} for user {getattr(os, 'getuid', str)()}, but it belongs to user "
                f"{status.st_uid} with the permissions {status.st_mode & 0o7777:04o}, or its disk is read-only; allow "
                "it, or name another store by tracking.uri=... (or --uri)"
            )


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made there, which permissions do not always tell: /proc takes none."""
    try:
        with TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)  # a full disk is no matter of permissions


def make(file: Path) -> None:
    """Put an empty database in place atomically, as a half-made one could not be used.

    A link to a missing file stays: its file is made. Raises TrackingError where the log of a removed database is left,
    which sqlite would read into the new one.
    """
    file = file.resolve()
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise TrackingError(
            f"tracking: {file} is gone, but its log {log.name} is there; put it back, or remove the log"
        )
    new = file.with_name(f"{file.name}.new")
    for end in ("", "-wal", "-shm"):
        new.with_name(new.name + end).unlink(missing_ok=True)
    write_ahead(new)
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # seconds, for a new database only

    made: Any = SqlAlchemyStore
    made(
        engine_uri(Store(sqlite_uri(new))), DEFAULT_ARTIFACTS
    ).engine.dispose()  # without connections, it is one whole file
    new.rename(file)


def write_ahead(file: Path) -> None:
    """Let an sqlite database log its writes ahead; MLflow reports what is wrong with it.

    With a write-ahead log, readers do not wait for writers, nor commits for the disk: a killed process loses nothing, a
    power cut at most the last moments, and the database stays whole. The log needs memory that its readers and writers
    share, which no network disk gives to two hosts.
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
    kinds = {Path(folder_text.replace("\\040", " ")): kind for folder_text, kind in mounts}
    mount = next((folder for folder in file.absolute().parents if folder in kinds), None)
    return mount is not None and kinds[mount].startswith(NETWORK)


@event.listens_for(Engine, "connect")
def _wait_for_no_disk(connection: Any, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with suppress(sqlite3.DatabaseError):  # no database: MLflow would try to connect again for minutes
            ((mode,),) = connection.execute("PRAGMA journal_mode")
            if mode == "wal":
                connection.execute("PRAGMA synchronous=NORMAL")


@event.listens_for(Engine, "do_connect")
def _make_no_other(dialect: Any, record: object, arguments: Any, named: object) -> None:
    """Raise OperationalError for a database that is gone: sqlite would silently make an empty one."""
    if dialect.name == "sqlite" and arguments:
        text = str(arguments[0])
        file = Path(unquote(text.removeprefix("file:").partition("?")[0]) if text.startswith("file:") else text)
        if file in seen and not file.exists():
            raise sqlite3.OperationalError(f"the database {file} is gone; put it back")


def damage(file: Path) -> str:
    """sqlite's report of damage to a database; empty for one that is whole, or cannot be read now."""
    try:
        how = urlencode(_for_reading(file) or {"mode": "ro"})
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True, timeout=1)) as database:
            report = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if report == "ok" else report


def look_at(file: Path) -> None:
    """Raise StoreAway for a database that is gone meanwhile, and TrackingError for one that is damaged."""
    if file in seen:
        if not file.exists():
            raise StoreAway(f"tracking: the database {file} is gone; put it back")
        return
    problem = damage(file) if file.exists() and parent_process() is None else ""  # its parent has looked for a worker
    if problem:
        raise TrackingError(
            f"tracking: the database {file} must be whole, but it is damaged: {problem}; put a copy back, or save "
            f"what can be read: sqlite3 {shlex.quote(str(file))} .recover | sqlite3 new.db"
        )


@event.listens_for(Engine, "engine_connect")
def _note_engine(connection: Connection) -> None:
    if connection.engine.dialect.name == "sqlite":
        _engines.add(connection.engine)


@atexit.register
def let_go() -> None:
    """Close idle connections: the last one writes the log back into the database file."""
    for engine in list(_engines):
        engine.dispose()
