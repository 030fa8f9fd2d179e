"""Queries of a sweep on the tables of MLflow's own store: MLflow's search takes milliseconds for each run.

Used, as `bulk_backend` is, where the tables are those that `schema_probe` knows; a test compares both with MLflow's own
calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table, distinct, func, select
from sqlalchemy.dialects import postgresql, sqlite

from workbench.tracking.base import RUN
from workbench.tracking.schema_probe import TABLES, is_known
from workbench.tracking.stored_run import RunFilter, StoredRun

DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
RUNNING = "RUNNING"
ACTIVE = "active"
RUNS_PER_QUERY = 500

WHOLE = ("start_time", "end_time", "deleted_time", "timestamp", "step")


def _type_of(table: str, column: str) -> Any:
    """Type of a column of MLflow's tables."""
    if column == "value" and table in ("metrics", "latest_metrics"):
        return Float
    return {"is_nan": Boolean, "experiment_id": Integer, **dict.fromkeys(WHOLE, BigInteger)}.get(column, String)


def _table(name: str) -> Table:
    columns, key = TABLES[name]
    made = (Column(column, _type_of(name, column), primary_key=column in key) for column in sorted(columns))
    return Table(name, MetaData(), *made)


RUNS, TAGS, PARAMS, METRICS, LATEST, DATASETS, INPUTS, INPUT_TAGS, EXPERIMENTS = map(
    _table,
    ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags", "experiments"),
)


def engine_of(client: Any) -> Any:
    """Engine of an MLflow client's store, if that is a database with the known tables; None otherwise."""
    return known_engine(getattr(client._tracking_client.store, "engine", None))


def known_engine(engine: Any) -> Any:
    """The engine itself, if it is of a database with the known tables; None otherwise."""
    if engine is None or engine.dialect.name not in DIALECTS:
        return None
    return engine if is_known(engine) else None


@dataclass
class EndedRun:
    """An ended run: its id, begin (milliseconds since 1970), some tags, and its last metrics."""

    id: str
    start_ms: int
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def ended_runs(engine: Any, experiment_id: str, tags: Sequence[str]) -> list[EndedRun]:
    """Ended runs of an experiment whose kind is run, with those of `tags` that they have.

    Other processes may write meanwhile: a run that ends between two of the queries is left out.
    """
    members = _tagged(int(experiment_id), "kind", RUN).where(RUNS.c.status != RUNNING)
    ended = members.add_columns(RUNS.c.start_time).subquery()

    def of_ended(table: Table) -> Any:
        return select(table.c.run_uuid, table.c.key, table.c.value).join(ended, ended.c.run_uuid == table.c.run_uuid)

    with engine.connect() as connection:
        runs = {run: EndedRun(run, start) for run, start in connection.execute(select(ended))}
        for run, key, value in connection.execute(of_ended(TAGS).where(TAGS.c.key.in_(tags))):
            if run in runs:
                runs[run].tags[key] = value
        for run, key, value in connection.execute(of_ended(LATEST).where(~LATEST.c.is_nan)):
            if run in runs:
                runs[run].metrics[key] = value
    return list(runs.values())


def keys_of(engine: Any, experiment_id: int, tag: str, value: str) -> dict[str, str]:
    """Runs of an experiment with this tag: id -> the tag `key`, empty where there is none."""
    members, keys = _tagged(experiment_id, tag, value).subquery(), TAGS.alias()
    of_member = (keys.c.run_uuid == members.c.run_uuid) & (keys.c.key == "key")
    query = select(members.c.run_uuid, keys.c.value).join(keys, of_member, isouter=True)
    with engine.connect() as connection:
        return {run: key or "" for run, key in connection.execute(query)}


def params_of(engine: Any, experiment_id: int, tag: str, value: str) -> list[dict[str, str]]:
    """Params of the runs with this tag, a dict for each run; those that are equal in all are left out."""
    members = _tagged(experiment_id, tag, value).subquery()
    member_keys = select(PARAMS.c.key).join(members, members.c.run_uuid == PARAMS.c.run_uuid)
    runs = select(func.count()).select_from(members).scalar_subquery()
    differing = member_keys.group_by(PARAMS.c.key).having(
        (func.count(distinct(PARAMS.c.value)) > 1) | (func.count() < runs)
    )
    query = select(PARAMS.c.run_uuid, PARAMS.c.key, PARAMS.c.value)
    query = query.join(members, members.c.run_uuid == PARAMS.c.run_uuid).where(PARAMS.c.key.in_(differing))
    rows: dict[str, dict[str, str]] = {}
    with engine.connect() as connection:
        for run, key, text in connection.execute(query):
            rows.setdefault(run, {})[key] = text
    return list(rows.values())


def _selected(filter: RunFilter, most: int | None) -> Any:
    """Ids of the runs that are wanted, the newest first."""
    members = select(RUNS.c.run_uuid).where(RUNS.c.lifecycle_stage == ACTIVE)
    members = members.join(EXPERIMENTS, EXPERIMENTS.c.experiment_id == RUNS.c.experiment_id)
    members = members.where(EXPERIMENTS.c.lifecycle_stage == ACTIVE)
    if filter.tag:
        members = members.join(TAGS, TAGS.c.run_uuid == RUNS.c.run_uuid)
        members = members.where(TAGS.c.key == filter.tag, TAGS.c.value.in_(filter.values))
    if filter.prefix:
        members = members.where(RUNS.c.run_uuid.startswith(filter.prefix, autoescape=True))
    for column, value in ((RUNS.c.name, filter.name), (RUNS.c.status, filter.status or None)):
        members = members if value is None else members.where(column == value)
    if filter.experiments is not None:
        members = members.where(RUNS.c.experiment_id.in_(list(map(int, filter.experiments))))
    return members.order_by(RUNS.c.start_time.desc(), RUNS.c.run_uuid).limit(most)


def stored_runs(engine: Any, filter: RunFilter, whole: bool = True, most: int | None = None) -> list[StoredRun]:
    """The runs that are wanted, the newest first, at most so many; with `whole`, with params and last metrics."""
    wanted = _selected(filter, most).subquery()
    columns = (RUNS.c.run_uuid, RUNS.c.name, RUNS.c.experiment_id, RUNS.c.status, RUNS.c.start_time)
    query = select(*columns, RUNS.c.end_time, RUNS.c.artifact_uri)
    query = query.order_by(RUNS.c.start_time.desc(), RUNS.c.run_uuid)
    with engine.connect() as connection:
        runs = {
            run: StoredRun(run, name or "", str(experiment), status, start or 0, end or 0, artifacts or "")
            for run, name, experiment, status, start, end, artifacts in connection.execute(
                query.join(wanted, wanted.c.run_uuid == RUNS.c.run_uuid)
            )
        }
        kinds = [(TAGS, "tags"), *([(PARAMS, "params"), (LATEST, "metrics")] if whole else [])]
        for table, kind in kinds:
            rows = select(table.c.run_uuid, table.c.key, table.c.value)
            rows = rows.join(wanted, wanted.c.run_uuid == table.c.run_uuid)
            if table is LATEST:
                rows = rows.where(~LATEST.c.is_nan)
            for run, key, value in connection.execute(rows):
                if run in runs:  # else it was begun between two of the queries
                    getattr(runs[run], kind)[key] = value
    return list(runs.values())


def active_experiments(engine: Any) -> dict[str, str]:
    """Ids of the active experiments by name."""
    query = select(EXPERIMENTS.c.name, EXPERIMENTS.c.experiment_id).where(EXPERIMENTS.c.lifecycle_stage == ACTIVE)
    with engine.connect() as connection:
        return {name: str(identity) for name, identity in connection.execute(query)}


def data_digest(engine: Any, run: str) -> str:
    """Digest of a run's data set; empty where none was logged."""
    query = select(DATASETS.c.digest).join(INPUTS, INPUTS.c.source_id == DATASETS.c.dataset_uuid)
    with engine.connect() as connection:
        return str(connection.execute(query.where(INPUTS.c.destination_id == run)).scalar() or "")


def rows_of(engine: Any, runs: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str, int, float]]:
    """Yield (run, metric, step, value) of every stored row of these metrics."""
    columns = (METRICS.c.run_uuid, METRICS.c.key, METRICS.c.step, METRICS.c.value)
    with engine.connect() as connection:
        for start in range(0, len(runs), RUNS_PER_QUERY):
            of_part = METRICS.c.run_uuid.in_(runs[start : start + RUNS_PER_QUERY])
            query = select(*columns).where(of_part, METRICS.c.key.in_(names), ~METRICS.c.is_nan)
            yield from connection.execute(query.order_by(METRICS.c.step, METRICS.c.timestamp))


def _tagged(experiment_id: int, tag: str, value: str) -> Any:
    active = (RUNS.c.experiment_id == experiment_id, RUNS.c.lifecycle_stage == ACTIVE)
    members = select(TAGS.c.run_uuid).join(RUNS, RUNS.c.run_uuid == TAGS.c.run_uuid)
    return members.where(TAGS.c.key == tag, TAGS.c.value == value, *active)
