"""Whether a database has the tables that `bulk_backend` writes and `mlflow_tables` reads, whatever MLflow's version.

A later MLflow may add tables, and columns that may be left out; the tables here must still have the columns and the
primary keys that MLflow 3.17 gave them.
"""

import logging
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)
TABLES: dict[str, tuple[set[str], set[str]]] = {  # name -> columns, of which the second are the primary key
    "runs": (
        {"run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"}
        | {"end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"},
        {"run_uuid"},
    ),
    "tags": ({"key", "value", "run_uuid"}, {"key", "run_uuid"}),
    "params": ({"key", "value", "run_uuid"}, {"key", "run_uuid"}),
    "metrics": (
        {"key", "value", "timestamp", "step", "is_nan", "run_uuid"},
        {"key", "timestamp", "step", "run_uuid", "value", "is_nan"},
    ),
    "latest_metrics": ({"key", "value", "timestamp", "step", "is_nan", "run_uuid"}, {"key", "run_uuid"}),
    "datasets": (
        {"dataset_uuid", "experiment_id", "name", "digest", "dataset_source_type", "dataset_source"}
        | {"dataset_schema", "dataset_profile"},
        {"experiment_id", "name", "digest"},
    ),
    "inputs": (
        {"input_uuid", "source_type", "source_id", "destination_type", "destination_id", "step"},
        {"source_type", "source_id", "destination_type", "destination_id"},
    ),
    "input_tags": ({"input_uuid", "name", "value"}, {"input_uuid", "name"}),
    "experiments": ({"experiment_id", "name", "artifact_location", "lifecycle_stage"}, {"experiment_id"}),
}
_known: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def is_known(engine: Any) -> bool:
    """Whether the tables are those that were tried; where they are not, a warning says once what differs."""
    if engine not in _known:
        try:
            difference = differs(engine)
        except SQLAlchemyError:  # the database is away: whoever uses it next says so
            return True
        _known[engine] = not difference
        if difference:
            log.warning(
                "tracking: runs are written by MLflow's own calls, which takes longer and changes nothing else, since "
                "%s in this store; for the speed, use MLflow 3.17",
                difference,
            )
    return _known[engine]


def differs(engine: Any) -> str:
    """The first difference between a database's tables and the known ones, in words; empty where there is none."""
    seen = inspect(engine)
    present = set(seen.get_table_names())
    for table, (columns, key) in TABLES.items():
        if table not in present:
            return f"there is no table {table!r}"
        there = {column["name"]: column for column in seen.get_columns(table)}
        if missing := columns - there.keys():
            return f"table {table!r} has no column {min(missing)!r}"
        found = set(seen.get_pk_constraint(table)["constrained_columns"])
        if found != key:
            return f"table {table!r} has the primary key {sorted(found)}"
        for name in sorted(there.keys() - columns):
            if not there[name]["nullable"] and there[name]["default"] is None:
                return f"table {table!r} needs a column {name!r}"
    return ""
