"""Files of a store's runs: beside an sqlite database wherever it is now, else where the store says.

An experiment and a run record the folder of their files as an absolute address, which is wrong once their database is
moved or copied. The part after the folder ``mlartifacts`` stays right.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from workbench.core.errors import TrackingError
from workbench.tracking.reading import Reading
from workbench.tracking.safe_names import segment, within
from workbench.tracking.store import ARTIFACTS, Store

HERE = (None, ".", "localhost", "127.0.0.1")  # hosts of addresses of files on this host


def location(store: Store, experiment: str) -> str | None:
    """Address for the files of an experiment's runs; None where a server or a database elsewhere decides."""
    return None if store.artifacts is None else (store.artifacts / segment(experiment)).as_uri()


def folder_of(address: str) -> Path | None:
    """Folder of an address; None for one that is not on this host's disks."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or parts.hostname not in HERE:
        return None
    return Path(url2pathname(parts.path if parts.scheme else address))


def beside(store: Store, address: str) -> Path | None:
    """Folder beside an sqlite database for files recorded at an address before the database was moved.

    None for an address outside of ``mlartifacts``, which somebody else chose.
    """
    recorded = folder_of(address)
    if store.artifacts is None or recorded is None or ARTIFACTS not in recorded.parts:
        return None
    parts = recorded.parts[len(recorded.parts) - recorded.parts[::-1].index(ARTIFACTS) :]
    return store.artifacts.joinpath(*parts) if parts and ".." not in parts else None


def here(store: Store, address: str) -> str:
    """Address for files to be stored now: beside the database, wherever it was when its address was recorded."""
    folder = beside(store, address)
    return address if folder is None or folder == folder_of(address) else folder.as_uri()


def read(reading: Reading, run: str, address: str, name: str) -> bytes:
    """Read a file of a run whose files have this address. Raises TrackingError where there is none."""
    for folder in _folders(reading.store, address):
        file = within(folder, name)
        if file.is_file():
            return file.read_bytes()
    if folder_of(address) is not None:
        raise TrackingError(f"tracking: there is no file {name!r} of run {run} at {address}")
    with TemporaryDirectory() as temporary:
        return Path(reading.client.download_artifacts(run, name, temporary)).read_bytes()


def listed(reading: Reading, run: str, address: str) -> dict[str, int]:
    """Size in bytes of every file of a run whose files have this address, by name."""
    if folder_of(address) is None:
        return dict(_asked(reading, run, ""))
    sizes: dict[str, int] = {}
    for folder in reversed(_folders(reading.store, address)):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                sizes[file.relative_to(folder).as_posix()] = file.stat().st_size
    return dict(sorted(sizes.items()))


def _folders(store: Store, address: str) -> list[Path]:
    """Folders that may hold the files of an address, the likeliest first."""
    candidates = (beside(store, address), folder_of(address))
    return list(dict.fromkeys(folder for folder in candidates if folder is not None))


def _asked(reading: Reading, run: str, folder: str) -> Iterator[tuple[str, int]]:
    for file in reading.client.list_artifacts(run, folder or None):
        if file.is_dir:
            yield from _asked(reading, run, file.path)
        else:
            yield file.path, int(file.file_size or 0)
