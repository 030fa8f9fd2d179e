"""Two sweeps side by side: for each arm that both have, the change from the first to the second, with its interval.

paired by seed   mean and Student's t interval of b - a over the seeds that both have
else             Welch's interval: difference of means with s²/n of both (Welch 1947), df by Satterthwaite
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import nan, sqrt

import numpy as np
import pandas as pd
from rich.table import Table

from workbench.claims.arm_summary import ComparedRun, SummaryColumn, marked
from workbench.core.errors import unknown_name
from workbench.core.stats import Interval, mean_interval, t_interval
from workbench.core.terminal import FittingTable
from workbench.tracking.base import disagreement_of

LEAST_PAIRS = 2
COLUMNS = ["arm", "metric", "first", "second", "difference", "low", "high", "n", "paired", "disagree"]


def differences(
    first: Sequence[ComparedRun], second: Sequence[ComparedRun], metrics: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare by common arm and metric: both means, second minus first with its 95 % interval, n, whether paired.

    `n` counts pairs, or the values of both, and `disagree` runs of both whose gradients disagree with autograd.
    Raises UnknownNameError where no arm is in both.
    """
    arms = [arm for arm in dict.fromkeys(run.arm for run in first) if arm in {run.arm for run in second}]
    if not arms:
        raise unknown_name(
            "compare: an arm of the second sweep must be one of the first; choose a parameter of both with --by; arm",
            next(iter(run.arm for run in second), ""),
            {run.arm for run in first},
        )
    rows = []
    disagree = Counter(run.arm for run in (*first, *second) if disagreement_of(run.tags))
    for arm in arms:
        members = [[run for run in runs if run.arm == arm and run.outcome == "finished"] for runs in (first, second)]
        common = [{name for run in runs for name in run.metrics} for runs in members]
        for metric in metrics or sorted(common[0] & common[1]):
            values = [_by_seed(runs, metric) for runs in members]
            if values[0] and values[1]:
                rows.append([arm, metric, *_row(*values), disagree[arm]])
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_seed(runs: Sequence[ComparedRun], metric: str) -> dict[int | None, list[float]]:
    values: dict[int | None, list[float]] = {}
    for run in runs:
        if metric in run.metrics:
            values.setdefault(run.seed, []).append(run.metrics[metric])
    return values


def _row(first: Mapping[int | None, list[float]], second: Mapping[int | None, list[float]]) -> list[float | bool]:
    both = [seed for seed in first if seed in second]
    single = all(len(first[seed]) == len(second[seed]) == 1 for seed in both)  # else a seed pairs nothing
    single &= None not in {*first, *second}
    if single and (len(both) >= LEAST_PAIRS or first.keys() == second.keys()):
        first_values, second_values = ([values[seed][0] for seed in both] for values in (first, second))
        interval = mean_interval(np.subtract(second_values, first_values).tolist())
        return [float(np.mean(first_values)), float(np.mean(second_values)), *interval, True]
    first_values, second_values = (
        [value for of_seed in values.values() for value in of_seed] for values in (first, second)
    )
    return [float(np.mean(first_values)), float(np.mean(second_values)), *welch(first_values, second_values), False]


def welch(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Interval:
    """Welch's interval for mean of the second minus mean of the first; its ends are nan where one has one value."""
    difference, n = float(np.mean(second) - np.mean(first)), len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return Interval(difference, nan, nan, n)
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(parts) == 0:
        return Interval(difference, difference, difference, n)
    df = sum(parts) ** 2 / sum(p * p / (len(v) - 1) for p, v in zip(parts, (first, second), strict=True))
    return t_interval(difference, sqrt(sum(parts)), df, n, confidence)


def written(table: pd.DataFrame, columns: Sequence[SummaryColumn], names: Sequence[str]) -> pd.DataFrame:
    """The table as text, a line per arm and metric; `names` are the sweeps' names."""
    lines = []
    for row in table.to_dict("records"):
        column = next((candidate for candidate in columns if candidate.metric == row["metric"]), None)
        if column is None:
            continue
        scale, form = (100, "+.2f") if column.percent else (1, "+.3g")
        ends = f"{scale * row['low']:{form}} … {scale * row['high']:{form}}" if row["low"] == row["low"] else "-"
        means = [f"{scale * row[name]:.4g}" for name in ("first", "second")]
        kind = f"{int(row['n'])} {'pairs' if row['paired'] else 'runs'}"
        arm = marked(row["arm"], row["disagree"])
        lines.append([arm, column.heading, *means, f"{scale * row['difference']:{form}}", ends, kind])
    return pd.DataFrame(lines, columns=["arm", "metric", *names, "difference", "95 % interval", "over"])


def as_text(shown: pd.DataFrame, title: str) -> Table:
    """The written table for a terminal."""
    text = FittingTable(title=title, caption="difference: second minus first, of the pairs of a seed where seeds agree")
    for number, heading in enumerate(shown.columns):
        text.add_column(heading, justify="left" if number < 2 else "right")
    for line in shown.to_numpy().tolist():
        text.add_row(*line)
    return text
