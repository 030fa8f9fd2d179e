"""Locks between the processes of a host, and folders that are one user's own.

A lock lies beside the database that it guards, for all who may write there. That of a store without a file lies in the
user's runtime folder.
"""

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

from filelock import FileLock, Timeout

from workbench.core.errors import TrackingError
from workbench.tracking.store import Store

SECONDS_TO_WAIT = 120
FOR_ALL = 0o666  # its folder decides who comes to it
PRIVATE = 0o700


@contextmanager
def locked(store: Store, purpose: str = "") -> Iterator[None]:
    """Be the only process of this host with this lock of a store. Raises TrackingError where it cannot be had."""
    file = _place(store, purpose)
    lock = FileLock(file, timeout=SECONDS_TO_WAIT, mode=FOR_ALL)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrackingError(
            f"tracking: another process has held {file} for {SECONDS_TO_WAIT} seconds; wait for it, or end it"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise TrackingError(
            f"tracking: {file} must be a file that can be written and locked, which some network disks do not allow, "
            f"got {error}; put the database on a local disk, or write tracking.uri=http://... to name a server"
        ) from error
    try:
        yield
    finally:
        if purpose:  # a database's own stays: it is taken at every turn
            file.unlink(missing_ok=True)  # whoever waits for it sees that, and makes a new one
        lock.release()


def _place(store: Store, purpose: str) -> Path:
    ending = f".{purpose}.lock" if purpose else ".lock"
    if store.file is not None:
        file = store.file.resolve()
        return file.with_name(file.name + ending)
    return runtime_folder() / (sha256(store.uri.encode()).hexdigest()[:16] + ending)


def runtime_folder() -> Path:
    """The folder for what a user's processes share while they run."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given) and os.path.isdir(given) and os.access(given, os.W_OK):
        return private(Path(given) / "workbench")
    return private(Path(gettempdir()) / f"workbench-{getattr(os, 'getuid', str)()}")


def private(folder: Path) -> Path:
    """The folder, made so that nobody but this user comes in.

    Raises TrackingError for one that is there and is not so: a link, another user's, or open to others.
    """
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise TrackingError(
            f"{folder}: must be a folder of this user's own, got {error}; make one, or name another"
        ) from (error)
    if sys.platform == "win32":
        return folder
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise TrackingError(
            f"{folder}: must be a folder of this user's own, but it is a link, no folder, or belongs to user "
            f"{found.st_uid}; remove it, or name another"
        )
    if found.st_mode & ~PRIVATE & 0o777:
        raise TrackingError(
            f"{folder}: must be closed to other users, because passwords may come to lie in it, but its permissions "
            f"are {found.st_mode & 0o777:04o}; write chmod 700 {shlex.quote(str(folder))}, or name another"
        )
    return folder
