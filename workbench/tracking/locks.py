"""Locks between the processes of a host, and private folders of a user.

A lock lies beside the database that it guards, for everyone who may write there. The lock of a store without a file
lies in the user's runtime folder.
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
FOR_ALL = 0o666  # its folder decides who has access
PRIVATE = 0o700


@contextmanager
def locked(store: Store, purpose: str = "") -> Iterator[None]:
    """Hold this lock of a store, as the only process of this host. Raises TrackingError where it cannot be had."""
    path = _lock_file(store, purpose)
    lock = FileLock(path, timeout=SECONDS_TO_WAIT, mode=FOR_ALL)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrackingError(
            f"tracking: another process has held {path} for {SECONDS_TO_WAIT} seconds; wait for it, or end it"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise TrackingError(
            f"tracking: {path} must be a file that can be written and locked, which some network disks do not allow, "
            f"got {error}; put the database on a local disk, or write tracking.uri=http://... to name a server"
        ) from error
    try:
        yield
    finally:
        if purpose:  # a database's own stays: every connection takes it
            path.unlink(missing_ok=True)  # whoever waits for it sees that, and makes a new one
        lock.release()


def _lock_file(store: Store, purpose: str) -> Path:
    ending = f".{purpose}.lock" if purpose else ".lock"
    if store.file is not None:
        file = store.file.resolve()
        return file.with_name(file.name + ending)
    return runtime_folder() / (sha256(store.uri.encode()).hexdigest()[:16] + ending)


def runtime_folder() -> Path:
    """Folder that a user's processes share while they run."""
    configured = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(configured) and os.path.isdir(configured) and os.access(configured, os.W_OK):
        return private(Path(configured) / "workbench")
    return private(Path(gettempdir()) / f"workbench-{getattr(os, 'getuid', str)()}")


def private(folder: Path) -> Path:
    """Make a folder that only this user can enter; returns it.

    Raises TrackingError for an existing one that is not private: a link, another user's, or open to others.
    """
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise TrackingError(
            f"{folder}: must be a folder of this user's own, got {error}; make one, or name another"
        ) from (error)
    if sys.platform == "win32":
        return folder
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise TrackingError(
            f"{folder}: must be a folder of this user's own, but it is a link, no folder, or belongs to user "
            f"{status.st_uid}; remove it, or name another"
        )
    if status.st_mode & ~PRIVATE & 0o777:
        raise TrackingError(
            f"{folder}: must be closed to other users, because passwords may come to lie in it, but its permissions "
            f"are {status.st_mode & 0o777:04o}; write chmod 700 {shlex.quote(str(folder))}, or name another"
        )
    return folder
