"""Numbers as rows of MLflow's table of metrics."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from workbench.tracking.base import Rows

Values = tuple[Any, ...]
METRIC = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
KEY, VALUE, TIMESTAMP, STEP, _, RUN = range(len(METRIC))


def metric_rows(rows: Rows) -> Iterator[Values]:
    """Yield the finite numbers as values in the order of METRIC."""
    for name, values in rows.metrics.items():
        for run, value in zip(rows.runs, values, strict=True):
            if isfinite(value):
                yield (name, value, rows.time_ms, rows.step, False, run)


def latest_of(rows: Sequence[Values]) -> list[Values]:
    """Row of every series that MLflow shows: the highest step, then the latest, then the greatest."""
    latest: dict[tuple[str, str], Values] = {}
    for row in reversed(rows):  # the first to be met is nearly always the one
        newest = latest.setdefault((row[RUN], row[KEY]), row)
        if newest is not row and newest[STEP] <= row[STEP] and _age(row) > _age(newest):
            latest[row[RUN], row[KEY]] = row
    return list(latest.values())


def _age(row: Values) -> tuple[int, int, float]:
    return row[STEP], row[TIMESTAMP], row[VALUE]
