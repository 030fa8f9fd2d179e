"""Queries of a sweep on the tables of MLflow's own store: MLflow's search takes milliseconds for each run.

Used, as `bulk_backend` is, where the tables are those that `schema_probe` knows; a test compares both with MLflow's own
calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models
from sqlalchemy import Table, distinct, func, select
from sqlalchemy.dialects import postgresql, sqlite

from workbench.tracking.schema_probe import is_known
from workbench.tracking.stored_run import StoredRun

DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
RUNNING = "RUNNING"
ACTIVE = "active"
RUNS_PER_QUERY = 500

RUNS, TAGS, PARAMS, METRICS, LATEST, DATASETS, INPUTS, INPUT_TAGS, EXPERIMENTS = (
    getattr(models, f"Sql{name}").__table__
    for name in ("Run", "Tag", "Param", "Metric", "LatestMetric", "Dataset", "Input", "InputTag", "Experiment")
)


def engine_of(client: MlflowClient) -> Any:
    """Engine of a client's store, if that is a database with the known tables; None otherwise."""
    engine = getattr(client._tracking_client.store, "engine", None)
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
    members = _tagged(int(experiment_id), "kind", "run").where(RUNS.c.status != RUNNING)
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


def stored_runs(
    engine: Any, tag: str, values: Sequence[str], experiments: Sequence[str] | None = None, whole: bool = True
) -> list[StoredRun]:
    """Runs with one of these values of a tag, in active experiments, or in the named ones.

    With `whole`, they have their params and last metrics.
    """
    members = select(RUNS.c.run_uuid).join(TAGS, TAGS.c.run_uuid == RUNS.c.run_uuid)
    members = members.join(EXPERIMENTS, EXPERIMENTS.c.experiment_id == RUNS.c.experiment_id)
    members = members.where(TAGS.c.key == tag, TAGS.c.value.in_(values), RUNS.c.lifecycle_stage == ACTIVE)
    members = members.where(EXPERIMENTS.c.lifecycle_stage == ACTIVE)
    if experiments is not None:
        members = members.where(RUNS.c.experiment_id.in_([int(experiment) for experiment in experiments]))
    wanted = members.subquery()
    columns = (RUNS.c.run_uuid, RUNS.c.name, RUNS.c.experiment_id, RUNS.c.status, RUNS.c.start_time)
    query = select(*columns, RUNS.c.end_time, RUNS.c.artifact_uri)
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
