"""Files stored with runs, and the addresses that a moved database keeps of them, through MLflow's client."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models
from sqlalchemy import Connection, update

from workbench.tracking.artifacts import beside, folder_of, here
from workbench.tracking.client import connect
from workbench.tracking.safe_names import within
from workbench.tracking.sqlite import is_read_only, store_at
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors


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
