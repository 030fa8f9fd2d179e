"""Files of a store's runs: beside an sqlite database wherever it is now, else where the store says.

An experiment and a run record the folder of their files as an absolute address, which is wrong once their database is
moved or copied. The part after the folder ``mlartifacts`` stays right.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models
from mlflow.utils import file_utils, uri
from sqlalchemy import Connection, update

from workbench.core.errors import TrackingError
from workbench.tracking.client import connect, translating_store_errors
from workbench.tracking.safe_names import segment, within
from workbench.tracking.sqlite import is_read_only, store_at
from workbench.tracking.store import ARTIFACTS, Store

untyped: Any = uri.is_local_uri, file_utils.local_file_uri_to_path
_is_local, _path_of = untyped


def location(store: Store, experiment: str) -> str | None:
    """Address for the files of an experiment's runs; None where a server or a database elsewhere decides."""
    return None if store.artifacts is None else (store.artifacts / segment(experiment)).as_uri()


def folder_of(address: str) -> Path | None:
    """Folder of an address; None for one that is not on this host's disks."""
    return Path(_path_of(address)) if _is_local(address, False) else None


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


def read(client: MlflowClient, run: str, address: str, name: str) -> bytes:
    """Read a file of a run whose files have this address. Raises TrackingError where there is none."""
    for folder in _folders(client, address):
        file = within(folder, name)
        if file.is_file():
            return file.read_bytes()
    if folder_of(address) is not None:
        raise TrackingError(f"tracking: there is no file {name!r} of run {run} at {address}")
    with TemporaryDirectory() as temporary:
        return Path(client.download_artifacts(run, name, temporary)).read_bytes()


def log(client: MlflowClient, run: str, address: str, file: Path, folder: str = "") -> None:
    """Store a file with a run whose files have this address, in a subfolder of them."""
    root = beside(store_at(client.tracking_uri), address)
    if root is None or root == folder_of(address):
        client.log_artifact(run, str(file), folder or None)
        return
    target = within(root / folder, file.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.read_bytes())


def attach(store: Store, run: str, files: Sequence[Path], folder: str) -> bool:
    """Store files in a folder of a run's artifacts; False, with none stored, for a store that may only be read."""
    if is_read_only(store):
        return False
    client = connect(store, writing=True)
    with translating_store_errors(store):
        address = client.get_run(run).info.artifact_uri
        for file in files:
            log(client, run, address, file, folder)
    return True


def listed(client: MlflowClient, run: str, address: str) -> dict[str, int]:
    """Size in bytes of every file of a run whose files have this address, by name."""
    if folder_of(address) is None:
        return dict(_asked(client, run, ""))
    sizes: dict[str, int] = {}
    for folder in reversed(_folders(client, address)):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                sizes[file.relative_to(folder).as_posix()] = file.stat().st_size
    return dict(sorted(sizes.items()))


def _folders(client: MlflowClient, address: str) -> list[Path]:
    """Folders that may hold the files of an address, the likeliest first."""
    candidates = (beside(store_at(client.tracking_uri), address), folder_of(address))
    return list(dict.fromkeys(folder for folder in candidates if folder is not None))


def _asked(client: MlflowClient, run: str, folder: str) -> Iterator[tuple[str, int]]:
    for file in client.list_artifacts(run, folder or None):
        if file.is_dir:
            yield from _asked(client, run, file.path)
        else:
            yield file.path, int(file.file_size or 0)


def bring_along(client: MlflowClient, experiment_id: str) -> None:
    """Let an experiment of a moved database store the files of its next runs beside the database."""
    address = str(client.get_experiment(experiment_id).artifact_location)
    now = here(store_at(client.tracking_uri), address)
    if now != address:
        engine: Any = client._tracking_client.store.engine  # an sqlite database's
        with engine.begin() as connection:
            settle(connection, {EXPERIMENT: {int(experiment_id): now}})


def moved(connection: Connection, store: Store) -> dict[str, dict[Any, str]]:
    """Addresses of a moved database that are out of date: kind -> id -> its address now.

    A run whose files lie where it says and not beside the database is left out.
    """
    outdated: dict[str, dict[Any, str]] = {}
    for kind, (key, column) in _COLUMNS.items():
        for identity, address in connection.execute(key.table.select().with_only_columns(key, column)):
            current, recorded = beside(store, address or ""), folder_of(address or "")
            if current is None or current == recorded or recorded is None:
                continue
            if kind == EXPERIMENT or current.exists() or not recorded.exists():
                outdated.setdefault(kind, {})[identity] = current.as_uri()
    return outdated


def settle(connection: Connection, changed: dict[str, dict[Any, str]]) -> None:
    """Write the addresses that `moved` returned."""
    for kind, addresses in changed.items():
        key, column = _COLUMNS[kind]
        for identity, address in addresses.items():
            connection.execute(update(key.table).where(key == identity).values({column.name: address}))


EXPERIMENT = "experiment"
_COLUMNS: dict[str, tuple[Any, Any]] = {
    kind: (table.c[key], table.c[place])
    for kind, table, key, place in (
        (EXPERIMENT, models.SqlExperiment.__table__, "experiment_id", "artifact_location"),
        ("run", models.SqlRun.__table__, "run_uuid", "artifact_uri"),
        ("model", models.SqlLoggedModel.__table__, "model_id", "artifact_location"),
    )
}
