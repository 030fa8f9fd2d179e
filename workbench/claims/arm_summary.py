"""Runs of a sweep by arm: a table of means over seeds with their intervals, as data and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Protocol

import pandas as pd
from rich.table import Table

from workbench.core.stats import mean_interval
from workbench.core.terminal import FittingTable
from workbench.tracking.base import disagreement_of


class ComparedRun(Protocol):
    """Run as a comparison reads it: `history` is name -> [(step, value)]."""

    @property
    def name(self) -> str: ...

    @property
    def arm(self) -> str: ...

    @property
    def seed(self) -> int | None: ...

    @property
    def outcome(self) -> str: ...

    @property
    def params(self) -> Mapping[str, str]: ...

    @property
    def tags(self) -> Mapping[str, str]: ...

    @property
    def metrics(self) -> Mapping[str, float]: ...

    @property
    def history(self) -> Mapping[str, Sequence[tuple[int, float]]]: ...


@dataclass(frozen=True)
class SummaryColumn:
    """A column of the table: metric, heading, and how its numbers are written."""

    metric: str
    heading: str
    percent: bool


COLUMNS = (
    SummaryColumn("test/accuracy", "test acc. %", True),
    SummaryColumn("test/r2", "test R²", False),
    SummaryColumn("test/loss", "test loss", False),
    SummaryColumn("valid/loss", "valid loss", False),
    SummaryColumn("train/loss", "train loss", False),
    SummaryColumn("grad_norm/all", "grad. norm", False),
)


COUNTS = ("unfinished", "disagree")


def arms_table(runs: Iterable[ComparedRun]) -> pd.DataFrame:
    """One row per arm and metric: mean, low, high (95 %) and n seeds; runs that did not finish are counted apart.

    `disagree` counts an arm's runs whose gradients disagree with autograd.
    """
    rows = []
    by_arm: dict[str, list[ComparedRun]] = {}
    for run in runs:
        by_arm.setdefault(run.arm, []).append(run)
    for arm, members in by_arm.items():
        finished = [run for run in members if run.outcome == "finished"]
        counts = {
            "unfinished": len(members) - len(finished),
            "disagree": sum(bool(disagreement_of(run.tags)) for run in members),
        }
        for metric in sorted({name for run in finished for name in run.metrics}):
            interval = mean_interval([run.metrics[metric] for run in finished if metric in run.metrics])
            rows.append(
                {
                    "arm": arm,
                    "metric": metric,
                    **interval._asdict(),
                    **counts,
                }
            )
        if not finished:
            rows.append({"arm": arm, "metric": "", "n": 0, **counts})
    return pd.DataFrame(rows, columns=["arm", "metric", "mean", "low", "high", "n", *COUNTS])


def columns_for(table: pd.DataFrame, metrics: Sequence[str] = ()) -> list[SummaryColumn]:
    """The columns for these metrics, or for those of COLUMNS that the table has."""
    known = {column.metric: column for column in COLUMNS}
    if not metrics:
        return [column for column in COLUMNS if column.metric in set(table["metric"])]
    return [
        known.get(name, SummaryColumn(name, f"{name}{' %' * _is_share(name)}", _is_share(name))) for name in metrics
    ]


def _is_share(metric: str) -> bool:
    return metric.endswith("/accuracy")


def written(table: pd.DataFrame, columns: Sequence[SummaryColumn]) -> pd.DataFrame:
    """The table as text, an arm per line: how many runs, and a cell ``mean ± half of the interval`` per column."""
    lines = []
    for arm, rows in table.groupby("arm", sort=False):
        by_metric = {str(row["metric"]): row for row in rows.to_dict("records")}
        lost = int(rows["unfinished"].iloc[0])
        count = f"{int(rows['n'].max())}" + (f" (+{lost} not finished)" if lost else "")
        cells = [_cell(by_metric.get(column.metric), column) for column in columns]
        lines.append([marked(str(arm), int(rows["disagree"].iloc[0])), count, *cells])
    return pd.DataFrame(lines, columns=["arm", "runs", *(column.heading for column in columns)])


def marked(arm: str, disagree: int) -> str:
    """An arm's name, saying where gradients of its runs disagree with autograd."""
    return f"{arm} (gradients of {disagree} DISAGREE)" if disagree else arm


def as_text(table: pd.DataFrame, title: str, metrics: Sequence[str] = (), over: str = "seeds") -> Table:
    """The table for a terminal: an arm per line."""
    wrong = "; gradients that DISAGREE with autograd: see workbench diagnose" if table["disagree"].any() else ""
    text = FittingTable(title=title, caption=f"mean ± half of the 95 % t interval over {over}{wrong}")
    shown = written(table, columns_for(table, metrics))
    for number, heading in enumerate(shown.columns):
        text.add_column(heading, justify="right" if number else "left")
    for line in shown.to_numpy().tolist():
        text.add_row(*line)
    return text


def _cell(row: Mapping[Any, Any] | None, column: SummaryColumn) -> str:
    if row is None:
        return "-"
    scale, form, half_form = (100, ".2f", ".2f") if column.percent else (1, ".4g", ".2g")
    half = scale * (row["high"] - row["low"]) / 2
    return f"{scale * row['mean']:{form}}" + ("" if isnan(half) else f" ± {half:{half_form}}")
