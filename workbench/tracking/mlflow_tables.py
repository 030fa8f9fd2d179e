"""The tables of MLflow's own store, and what a sweep asks of them: MLflow's search takes milliseconds for each run.

Used, as `bulk` is, for the versions that a test has seen both of them be right with, `PROVED`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models
from sqlalchemy import Table, distinct, func, select
from sqlalchemy.dialects import postgresql, sqlite

from workbench.tracking.stored_run import StoredRun

PROVED = ("3.17.2",)
DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
RUNNING = "RUNNING"
ACTIVE = "active"
RUNS_PER_QUERY = 500

RUNS, TAGS, PARAMS, METRICS, LATEST, DATASETS, INPUTS, INPUT_TAGS, EXPERIMENTS = (
    getattr(models, f"Sql{name}").__table__
    for name in ("Run", "Tag", "Param", "Metric", "LatestMetric", "Dataset", "Input", "InputTag", "Experiment")
)


def engine_of(client: MlflowClient) -> Any:
    """The engine of a client's store, if it is a database of a version that was proved."""
    if mlflow.__version__ not in PROVED:
        return None
    engine = getattr(client._tracking_client.store, "engine", None)
    return engine if engine is not None and engine.dialect.name in DIALECTS else None


@dataclass
class EndedRun:
    """What a sweep asks of a run that ended before: its id, when it was begun, some tags, and its last metrics."""

    id: str
    start_ms: int
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def ended_runs(engine: Any, experiment_id: str, tags: Sequence[str]) -> list[EndedRun]:
    """The ended runs of an experiment whose kind is run, with those of `tags` that they have.

    Other processes may write meanwhile: a run that ends between two of the questions is left out.
    """
    members = _tagged(int(experiment_id), "kind", "run").where(RUNS.c.status != RUNNING)
    ended = members.add_columns(RUNS.c.start_time).subquery()

    def own(table: Table) -> Any:
        return select(table.c.run_uuid, table.c.key, table.c.value).join(ended, ended.c.run_uuid == table.c.run_uuid)

    with engine.connect() as connection:
        found = {run: EndedRun(run, start) for run, start in connection.execute(select(ended))}
        for run, key, value in connection.execute(own(TAGS).where(TAGS.c.key.in_(tags))):
            if run in found:
                found[run].tags[key] = value
        for run, key, value in connection.execute(own(LATEST).where(~LATEST.c.is_nan)):
            if run in found:
                found[run].metrics[key] = value
    return list(found.values())


def keys_of(engine: Any, experiment_id: int, tag: str, value: str) -> dict[str, str]:
    """The runs of an experiment with this tag: id -> the tag `key`, empty where there is none."""
    members, keys = _tagged(experiment_id, tag, value).subquery(), TAGS.alias()
    of_member = (keys.c.run_uuid == members.c.run_uuid) & (keys.c.key == "key")
    found = select(members.c.run_uuid, keys.c.value).join(keys, of_member, isouter=True)
    with engine.connect() as connection:
        return {run: key or "" for run, key in connection.execute(found)}


def params_of(engine: Any, experiment_id: int, tag: str, value: str) -> list[dict[str, str]]:
    """The params of the same runs in which they are not all alike: a dict for each run."""
    members = _tagged(experiment_id, tag, value).subquery()
    own = select(PARAMS.c.key).join(members, members.c.run_uuid == PARAMS.c.run_uuid)
    runs = select(func.count()).select_from(members).scalar_subquery()
    several = own.group_by(PARAMS.c.key).having((func.count(distinct(PARAMS.c.value)) > 1) | (func.count() < runs))
    found = select(PARAMS.c.run_uuid, PARAMS.c.key, PARAMS.c.value)
    found = found.join(members, members.c.run_uuid == PARAMS.c.run_uuid).where(PARAMS.c.key.in_(several))
    rows: dict[str, dict[str, str]] = {}
    with engine.connect() as connection:
        for run, key, one in connection.execute(found):
            rows.setdefault(run, {})[key] = one
    return list(rows.values())


def stored_runs(
    engine: Any, tag: str, values: Sequence[str], experiments: Sequence[str] | None = None, whole: bool = True
) -> list[StoredRun]:
    """The runs with one of these values of a tag, in active experiments, or those of them that are named.

    With their params and last metrics where they are wanted `whole`.
    """
    members = select(RUNS.c.run_uuid).join(TAGS, TAGS.c.run_uuid == RUNS.c.run_uuid)
    members = members.join(EXPERIMENTS, EXPERIMENTS.c.experiment_id == RUNS.c.experiment_id)
    members = members.where(TAGS.c.key == tag, TAGS.c.value.in_(values), RUNS.c.lifecycle_stage == ACTIVE)
    members = members.where(EXPERIMENTS.c.lifecycle_stage == ACTIVE)
    if experiments is not None:
        members = members.where(RUNS.c.experiment_id.in_([int(one) for one in experiments]))
    wanted = members.subquery()
    columns = (RUNS.c.run_uuid, RUNS.c.name, RUNS.c.experiment_id, RUNS.c.status, RUNS.c.start_time)
    query = select(*columns, RUNS.c.end_time, RUNS.c.artifact_uri)
    with engine.connect() as connection:
        runs = {
            run: StoredRun(run, name or "", str(experiment), status, start or 0, end or 0, place or "")
            for run, name, experiment, status, start, end, place in connection.execute(
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
                if run in runs:  # else it was begun between two of the questions
                    getattr(runs[run], kind)[key] = value
    return list(runs.values())


def rows_of(engine: Any, runs: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str, int, float]]:
    """(run, metric, step, value) of all that was kept of these metrics."""
    columns = (METRICS.c.run_uuid, METRICS.c.key, METRICS.c.step, METRICS.c.value)
    with engine.connect() as connection:
        for start in range(0, len(runs), RUNS_PER_QUERY):
            some = METRICS.c.run_uuid.in_(runs[start : start + RUNS_PER_QUERY])
            query = select(*columns).where(some, METRICS.c.key.in_(names), ~METRICS.c.is_nan)
            yield from connection.execute(query.order_by(METRICS.c.step, METRICS.c.timestamp))


def _tagged(experiment_id: int, tag: str, value: str) -> Any:
    active = (RUNS.c.experiment_id == experiment_id, RUNS.c.lifecycle_stage == ACTIVE)
    found = select(TAGS.c.run_uuid).join(RUNS, RUNS.c.run_uuid == TAGS.c.run_uuid)
    return found.where(TAGS.c.key == tag, TAGS.c.value == value, *active)
