"""Runs by other arms than those they were made with: one for each value of some parameters."""

from collections.abc import Sequence
from dataclasses import replace

from workbench.errors import unknown_name
from workbench.sweeps.naming import PALETTE
from workbench.tracking.reader import ReadRun

COLOR = "mlflow.runColor"


def by_params(runs: Sequence[ReadRun], keys: Sequence[str]) -> list[ReadRun]:
    """The runs with arms named for their values of these parameters, arms in the order of the values.

    Numbers come in their order, other values as the runs do. Raises UnknownNameError for a parameter that no run has.
    """
    known = {key for run in runs for key in run.params}
    for key in keys:
        if key not in known:
            raise unknown_name("compare --by", key, known)
    rows = [tuple(run.params.get(key, "-") for key in keys) for run in runs]
    orders = [_order([row[place] for row in rows]) for place in range(len(keys))]
    values = sorted(set(rows), key=lambda row: [order[value] for order, value in zip(orders, row, strict=True)])
    colors = {row: PALETTE[number % len(PALETTE)] for number, row in enumerate(values)}
    arms = [
        replace(run, arm=_label(keys, row), tags={**run.tags, COLOR: colors[row]})
        for run, row in zip(runs, rows, strict=True)
    ]
    places = {row: place for place, row in enumerate(values)}
    return [arms[place] for place in sorted(range(len(runs)), key=lambda place: places[rows[place]])]


def _order(values: Sequence[str]) -> dict[str, int]:
    distinct = list(dict.fromkeys(values))
    if all(map(_is_number, distinct)):
        distinct.sort(key=float)
    return {value: place for place, value in enumerate(distinct)}


def _label(keys: Sequence[str], values: Sequence[str]) -> str:
    """``relu lr=0.1``: a group's choice alone, other values after the last part of their key."""
    parts = []
    for key, value in zip(keys, values, strict=True):
        short = key.rpartition(".")[2]
        parts.append(value if "." not in key and not _is_number(value) else f"{short}={value}")
    return " ".join(parts)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
