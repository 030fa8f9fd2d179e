"""Where the files of a store's runs lie: beside an sqlite database wherever that is now, else where the store says.

An experiment and a run keep the place of their files as an absolute address, which is wrong once their database is
moved or copied. What follows the folder ``mlartifacts`` in it stays true.
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
    """Where an experiment's runs keep their files; None where a server or a database elsewhere decides."""
    return None if store.artifacts is None else (store.artifacts / segment(experiment)).as_uri()


def kept_at(address: str) -> Path | None:
    """The folder that an address names; None for one that is not on this host's disks."""
    return Path(_path_of(address)) if _is_local(address, False) else None


def beside(store: Store, address: str) -> Path | None:
    """The folder beside an sqlite database for what was kept at an address when the database lay elsewhere.

    None for a place that was chosen by somebody else.
    """
    folder = kept_at(address)
    if store.artifacts is None or folder is None or ARTIFACTS not in folder.parts:
        return None
    parts = folder.parts[len(folder.parts) - folder.parts[::-1].index(ARTIFACTS) :]
    return store.artifacts.joinpath(*parts) if parts and ".." not in parts else None


def here(store: Store, address: str) -> str:
    """The address for what is to be kept now: beside the database, wherever it was when its address was written."""
    place = beside(store, address)
    return address if place is None or place == kept_at(address) else place.as_uri()


def read(client: MlflowClient, run: str, address: str, name: str) -> bytes:
    """The content of a file of a run whose files are kept at an address. Raises TrackingError where there is none."""
    for folder in _folders(client, address):
        file = within(folder, name)
        if file.is_file():
            return file.read_bytes()
    if kept_at(address) is not None:
        raise TrackingError(f"tracking: there is no file {name!r} of run {run} at {address}")
    with TemporaryDirectory() as place:
        return Path(client.download_artifacts(run, name, place)).read_bytes()


def log(client: MlflowClient, run: str, address: str, file: Path, folder: str = "") -> None:
    """Keep a file with a run whose files are kept at an address, in a folder of them."""
    place = beside(store_at(client.tracking_uri), address)
    if place is None or place == kept_at(address):
        client.log_artifact(run, str(file), folder or None)
        return
    kept = within(place / folder, file.name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(file.read_bytes())


def attach(store: Store, run: str, files: Sequence[Path], folder: str) -> bool:
    """Keep files in a folder of a run's artifacts; False, with none kept, for a store that may only be read."""
    if is_read_only(store):
        return False
    client = connect(store, writing=True)
    with translating_store_errors(store):
        address = client.get_run(run).info.artifact_uri
        for file in files:
            log(client, run, address, file, folder)
    return True


def listed(client: MlflowClient, run: str, address: str) -> dict[str, int]:
    """The bytes of every file of a run whose files are kept at an address, by name."""
    if kept_at(address) is None:
        return dict(_asked(client, run, ""))
    found: dict[str, int] = {}
    for folder in reversed(_folders(client, address)):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = file.stat().st_size
    return dict(sorted(found.items()))


def _folders(client: MlflowClient, address: str) -> list[Path]:
    """Where the files may lie that are kept at an address, the likeliest first."""
    found = (beside(store_at(client.tracking_uri), address), kept_at(address))
    return list(dict.fromkeys(folder for folder in found if folder is not None))


def _asked(client: MlflowClient, run: str, folder: str) -> Iterator[tuple[str, int]]:
    for file in client.list_artifacts(run, folder or None):
        if file.is_dir:
            yield from _asked(client, run, file.path)
        else:
            yield file.path, int(file.file_size or 0)


def bring_along(client: MlflowClient, experiment_id: str) -> None:
    """Let an experiment of a database that was moved keep the files of its next runs beside it."""
    address = str(client.get_experiment(experiment_id).artifact_location)
    now = here(store_at(client.tracking_uri), address)
    if now != address:
        engine: Any = client._tracking_client.store.engine  # an sqlite database's
        with engine.begin() as connection:
            settle(connection, {EXPERIMENT: {int(experiment_id): now}})


def moved(connection: Connection, store: Store) -> dict[str, dict[Any, str]]:
    """What of a database still names a place of before it was moved: kind -> id -> its address now.

    A run whose files lie where it says and not beside the database is left out.
    """
    found: dict[str, dict[Any, str]] = {}
    for kind, (key, place) in _COLUMNS.items():
        for identity, address in connection.execute(key.table.select().with_only_columns(key, place)):
            now, before = beside(store, address or ""), kept_at(address or "")
            if now is None or now == before or before is None:
                continue
            if kind == EXPERIMENT or now.exists() or not before.exists():
                found.setdefault(kind, {})[identity] = now.as_uri()
    return found


def settle(connection: Connection, changed: dict[str, dict[Any, str]]) -> None:
    """Write the addresses that `moved` found."""
    for kind, addresses in changed.items():
        key, place = _COLUMNS[kind]
        for identity, address in addresses.items():
            connection.execute(update(key.table).where(key == identity).values({place.name: address}))


EXPERIMENT = "experiment"
_COLUMNS: dict[str, tuple[Any, Any]] = {
    kind: (table.c[key], table.c[place])
    for kind, table, key, place in (
        (EXPERIMENT, models.SqlExperiment.__table__, "experiment_id", "artifact_location"),
        ("run", models.SqlRun.__table__, "run_uuid", "artifact_uri"),
        ("model", models.SqlLoggedModel.__table__, "model_id", "artifact_location"),
    )
}
