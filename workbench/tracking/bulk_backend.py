"""Events as bulk statements on the tables of MLflow's own store, many runs to a transaction.

`MlflowClient` takes some thirty milliseconds for a run with its rows, most of them for objects, sessions and queries.
This file writes what those calls would have written; only `mlflow_tables` uses MLflow's tables beside it. It is used
where the tables are those that `schema_probe` knows: a test writes the same runs both ways and compares all that MLflow
reads back.
"""

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mlflow import MlflowClient
from mlflow.utils import file_utils, uri
from sqlalchemy import Connection, Table, bindparam, delete, select, tuple_, update

from workbench.core.errors import KeyTaken, TrackingError
from workbench.tracking import claimed_keys
from workbench.tracking.artifacts import here
from workbench.tracking.base import STATUS, ClaimedKey, Ended, Event, File, Opened, Reopened, Rows, Tagged
from workbench.tracking.client_backend import CONTEXT, Calls, profile, source
from workbench.tracking.metric_rows import METRIC, RUN, Values, latest_of, metric_rows
from workbench.tracking.mlflow_tables import (
    DATASETS,
    DIALECTS,
    EXPERIMENTS,
    INPUT_TAGS,
    INPUTS,
    LATEST,
    METRICS,
    PARAMS,
    RUNNING,
    RUNS,
    TAGS,
    engine_of,
    keys_of,
    params_of,
)
from workbench.tracking.safe_names import within
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors

MILLISECONDS_TO_WAIT = 20_000  # for another writer, as MLflow does
IDS_PER_QUERY = 500

Row = dict[str, Any]

untyped: Any = uri.is_local_uri, uri.append_to_uri_path, file_utils.local_file_uri_to_path
_is_local, _append, _path_of = untyped


@dataclass
class _Batch:
    """Changes that some events make, by table; the last of several values that are set."""

    opened: list[Opened] = field(default_factory=list)
    tags: dict[tuple[str, str], str | None] = field(default_factory=dict)  # None: to be deleted
    status: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    rows: list[Rows] = field(default_factory=list)
    files: list[File] = field(default_factory=list)

    def add(self, event: Event) -> None:
        match event:
            case Rows():
                self.rows.append(event)
            case File():
                self.files.append(event)
            case Opened():
                self.opened.append(event)
                self._set(event.run, {**event.info.tags, "mlflow.runName": event.info.name})
            case Tagged():
                self._set(event.run, event.tags)
            case Reopened():
                self._set(event.run, event.tags)
                self.tags[event.run, "error"] = None
                self.status[event.run] = (RUNNING, None)
            case Ended():
                self._set(event.run, {**event.tags, "outcome": event.outcome.value})
                self.status[event.run] = (STATUS[event.outcome], event.time_ms)

    def _set(self, run: str, tags: Any) -> None:
        for key, value in tags.items():
            self.tags[run, key] = value

    @property
    def known(self) -> set[str]:
        """Runs that must exist already."""
        runs = {run for run, _ in self.tags} | {run for rows in self.rows for run in rows.runs}
        return (runs | {file.run for file in self.files}).difference(event.run for event in self.opened)


class Bulk:
    """Backend for a database, whose runs keep the ids that were made here."""

    at_once = 10_000

    def __init__(self, client: MlflowClient, store: Store, experiment_id: str) -> None:
        self.engine = engine_of(client)
        self.client, self.store, self.experiment_id = client, store, int(experiment_id)
        self.location = here(store, str(client.get_experiment(experiment_id).artifact_location))
        self._insert = DIALECTS[self.engine.dialect.name]
        self._begun: set[str] = set()
        self._calls = Calls(client, store, experiment_id)

    def identity(self, run: str) -> str | None:
        return run if run in self._begun else None

    def members(self, tag: str, value: str) -> dict[str, str]:
        return keys_of(self.engine, self.experiment_id, tag, value)

    def params(self, tag: str, value: str) -> Sequence[Mapping[str, str]]:
        return params_of(self.engine, self.experiment_id, tag, value)

    def held(self, keys: Collection[str] | None) -> list[ClaimedKey]:
        with translating_store_errors(self.store), self.engine.connect() as connection:
            return claimed_keys.in_tables(connection, self.experiment_id, keys)

    def begin(self, events: Sequence[Event], known: Collection[str]) -> bool:
        wanted = claimed_keys.keys_of(events)
        claimed_keys.refuse(wanted, self.held(wanted.values()), known)  # before anything is written
        try:
            self.write(events, lambda connection: claimed_keys.only(connection, self.experiment_id, wanted, known))
        except KeyTaken:  # by a process that was faster since
            for event in events:
                if isinstance(event, Opened) and _is_local(self.location):
                    shutil.rmtree(Path(_path_of(self._artifacts(event.run))).parent, ignore_errors=True)
            raise
        return True

    def write(self, events: Sequence[Event], check: Callable[[Connection], None] = lambda connection: None) -> None:
        batch, self._begun = _Batch(), set()
        for event in events:
            batch.add(event)
        with translating_store_errors(self.store):
            local = _is_local(self.location)
            if local:
                self._write_files(batch.files)
            with self.engine.connect() as connection:
                if self.engine.dialect.name == "sqlite":
                    connection.exec_driver_sql(f"PRAGMA busy_timeout = {MILLISECONDS_TO_WAIT}")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # one that read first could not wait for others
                check(connection)
                gone = self._gone(connection, batch.known)
                self._open(connection, batch.opened)
                self._keep_tags(connection, batch, gone)
                self._keep_rows(connection, batch.rows, gone)
                connection.commit()
        self._begun = {event.run for event in batch.opened}
        if not local and batch.files:
            self._calls.write([file for file in batch.files if file.run not in gone])

    def _artifacts(self, run: str) -> str:
        return str(_append(self.location, run, "artifacts"))

    def _write_files(self, files: Iterable[File]) -> None:
        for file in files:
            path = within(Path(_path_of(self._artifacts(file.run))), file.name)
            try:
                path.write_bytes(file.content)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)

    def _gone(self, connection: Connection, runs: set[str]) -> set[str]:
        """Runs among these that were deleted, and get no more; raises TrackingError for one that never was."""
        stages: dict[str, str] = {}
        ids = sorted(runs)
        for start in range(0, len(ids), IDS_PER_QUERY):
            wanted = RUNS.c.run_uuid.in_(ids[start : start + IDS_PER_QUERY])
            stages |= dict(connection.execute(select(RUNS.c.run_uuid, RUNS.c.lifecycle_stage).where(wanted)).all())
        missing = runs - stages.keys()
        if missing:
            raise TrackingError(f"tracking: the store {self.store.shown} has no run {min(missing)}")
        gone = {run for run, stage in stages.items() if stage != "active"}
        if gone:
            logging.getLogger(__name__).warning("%d runs were deleted; they get no more rows", len(gone))
        return gone

    def _open(self, connection: Connection, opened: Sequence[Opened]) -> None:
        """Insert runs with params and data sets; raises TrackingError where the experiment was deleted."""
        if not opened:
            return
        stage = connection.execute(
            select(EXPERIMENTS.c.lifecycle_stage).where(EXPERIMENTS.c.experiment_id == self.experiment_id)
        ).scalar()
        if stage != "active":
            raise TrackingError("tracking.experiment: it was deleted; restore it in MLflow or name another")
        self._add(connection, RUNS, [self._run(event) for event in opened])
        params = [(event.run, *pair) for event in opened for pair in event.info.params.items()]
        self._add(connection, PARAMS, [{"run_uuid": run, "key": key, "value": value} for run, key, value in params])
        self._keep_inputs(connection, opened)

    def _run(self, event: Opened) -> Row:
        return {
            "run_uuid": event.run,
            "name": event.info.name,
            "artifact_uri": self._artifacts(event.run),
            "experiment_id": self.experiment_id,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": event.info.tags.get("mlflow.user", "unknown"),
            "status": RUNNING,
            "start_time": event.time_ms,
            "end_time": None,
            "deleted_time": None,
            "source_version": "",
            "lifecycle_stage": "active",
        }

    def _keep_inputs(self, connection: Connection, opened: Sequence[Opened]) -> None:
        for dataset in {event.info.dataset for event in opened if event.info.dataset}:
            key = {"experiment_id": self.experiment_id, "name": dataset.name, "digest": dataset.digest}
            new = _uuid(*map(str, key.values()))
            described = {"dataset_source": source(dataset), "dataset_profile": profile(dataset)}
            self._add(connection, DATASETS, [{**key, "dataset_uuid": new, "dataset_source_type": "local", **described}])
            where = [DATASETS.c[name] == value for name, value in key.items()]
            stored = connection.execute(select(DATASETS.c.dataset_uuid).where(*where)).scalar_one()
            edges = [(event.run, _uuid(event.run, stored)) for event in opened if event.info.dataset == dataset]
            common = {"source_type": "DATASET", "source_id": stored, "destination_type": "RUN"}
            self._add(
                connection, INPUTS, [{"input_uuid": edge, "destination_id": run, **common} for run, edge in edges]
            )
            tags = [{"input_uuid": edge, "name": CONTEXT[0], "value": CONTEXT[1]} for _, edge in edges]
            self._add(connection, INPUT_TAGS, tags)

    def _keep_tags(self, connection: Connection, batch: _Batch, gone: set[str]) -> None:
        tags = [(run, key, value) for (run, key), value in batch.tags.items() if run not in gone]
        statement = self._insert(TAGS)
        statement = statement.on_conflict_do_update(
            index_elements=["key", "run_uuid"], set_={"value": statement.excluded.value}
        )
        set_ = [tag for tag in tags if tag[2] is not None]
        self._execute(connection, statement, ("run_uuid", "key", "value"), set_)
        named = (TAGS.c.run_uuid == bindparam("run"), TAGS.c.key == bindparam("name"))
        deleted = [(run, key) for run, key, value in tags if value is None]
        self._execute(connection, delete(TAGS).where(*named), ("run", "name"), deleted)
        for names in (("status", "end_time", "run"), ("status", "run")):
            ended = [
                tuple({"status": status, "end_time": time_ms, "run": run}[name] for name in names)
                for run, (status, time_ms) in batch.status.items()
                if run not in gone and (time_ms is not None) == ("end_time" in names)
            ]
            self._execute(connection, update(RUNS).where(RUNS.c.run_uuid == bindparam("run")), names, ended)

    def _keep_rows(self, connection: Connection, batch: Sequence[Rows], gone: set[str]) -> None:
        rows = [row for rows_of_step in batch for row in metric_rows(rows_of_step) if row[RUN] not in gone]
        self._execute(connection, self._insert(METRICS).on_conflict_do_nothing(), METRIC, rows)
        statement = self._insert(LATEST)
        new = statement.excluded
        newer = tuple_(new.step, new.timestamp, new.value) > tuple_(LATEST.c.step, LATEST.c.timestamp, LATEST.c.value)
        changed = {name: new[name] for name in ("value", "timestamp", "step", "is_nan")}
        statement = statement.on_conflict_do_update(index_elements=["key", "run_uuid"], set_=changed, where=newer)
        self._execute(connection, statement, METRIC, latest_of(rows))

    def _add(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows, except those that exist."""
        if rows:
            statement = self._insert(table).on_conflict_do_nothing()
            self._execute(connection, statement, tuple(rows[0]), [tuple(row.values()) for row in rows])

    def _execute(self, connection: Connection, statement: Any, names: Sequence[str], rows: Sequence[Values]) -> None:
        """Execute a statement for many rows of values with these names."""
        if not rows:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
            return
        # what SQLAlchemy does for every row takes longer than what sqlite does
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(names))
        order = [names.index(name) for name in compiled.positiontup]
        if order != list(range(len(names))):
            rows = [tuple(row[index] for index in order) for row in rows]
        connection.exec_driver_sql(str(compiled), rows)


def _uuid(*parts: str) -> str:
    """Id that is equal for equal parts, so that writing again changes nothing."""
    return uuid5(NAMESPACE_URL, "workbench:" + ":".join(parts)).hex
