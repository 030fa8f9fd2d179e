"""The tables of MLflow's own store, and what a sweep asks of them: MLflow's search takes milliseconds for each run.

Used, as `bulk` is, for the versions that a test has seen both of them be right with, `PROVED`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels import models
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.functions import count

PROVED = ("3.17.2",)
DIALECTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
RUNNING = "RUNNING"

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


def params_of(engine: Any, experiment_id: int, tag: str, value: str) -> dict[str, set[str | None]]:
    """The params of the same runs: name -> their values, None among them where a run lacks it."""
    members = _tagged(experiment_id, tag, value).subquery()
    of_member = members.c.run_uuid == PARAMS.c.run_uuid
    runs = select(count()).select_from(members).scalar_subquery()  # in one statement: others may write meanwhile
    distinct = select(PARAMS.c.key, PARAMS.c.value, count(), runs).join(members, of_member)
    values: dict[str, set[str | None]] = defaultdict(set)
    having: Counter[str] = Counter()
    with engine.connect() as connection:
        rows = connection.execute(distinct.group_by(PARAMS.c.key, PARAMS.c.value)).all()
    for key, one, times, _ in rows:
        values[key].add(one)
        having[key] += times
    return {key: found if having[key] == rows[0][3] else {*found, None} for key, found in values.items()}


def _tagged(experiment_id: int, tag: str, value: str) -> Any:
    active = (RUNS.c.experiment_id == experiment_id, RUNS.c.lifecycle_stage == "active")
    found = select(TAGS.c.run_uuid).join(RUNS, RUNS.c.run_uuid == TAGS.c.run_uuid)
    return found.where(TAGS.c.key == tag, TAGS.c.value == value, *active)
