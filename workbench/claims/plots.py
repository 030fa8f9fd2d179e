"""Drawing that the figures of claims share: what is over seeds is a mean with its 95 % interval, no line hides another.

Every arm has a color, a marker and dashes of its own, and is moved aside by a few points; names stand outside of the
drawing, or at the ends of lines.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.transforms import ScaledTranslation, Transform

from workbench.claims.comparison_figures import DASHES
from workbench.config.arms import PALETTE
from workbench.core.stats import mean_interval

NARROW = 5.0  # inches; on a figure that is not wider, panels stand one above the other
PANEL = 3.1  # inches; height of one of these
MARKERS = "osD^vPX*"
ASIDE = 3.0  # points between arms that share their x
INK, GRAY = "#262626", "#808080"
REFERENCE: Any = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.0}  # of a line that nothing was measured for
Interval = tuple[float, float, float]


def panels(figure: Figure, count: int, ratios: Sequence[float] | None = None, **more: Any) -> list[Axes]:
    """Panels side by side, `ratios` their widths; on a narrow figure one above the other, which makes it higher."""
    if figure.get_figwidth() <= NARROW:
        figure.set_figheight(PANEL * count)
        return [*figure.subplots(count, 1, squeeze=False).flat]
    return [*figure.subplots(1, count, squeeze=False, width_ratios=ratios, **more).flat]


def rows(figure: Figure, columns: int, count: int, ratios: Sequence[float] | None = None) -> list[list[Axes]]:
    """Rows of panels, which make the figure higher; on a narrow figure all stand one above the other."""
    if figure.get_figwidth() <= NARROW:
        flat = panels(figure, columns * count)
        return [flat[start : start + columns] for start in range(0, len(flat), columns)]
    figure.set_figheight(figure.get_figheight() * count)
    return [[*row] for row in figure.subplots(count, columns, squeeze=False, width_ratios=ratios)]


def look(number: int) -> dict[str, Any]:
    """Color, marker and dashes of the n-th arm."""
    dashes = DASHES[number % len(DASHES)]
    return {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)], "linestyle": dashes}


def intervals(table: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Mean of a column, and the ends of its 95 % t interval, for every value of another: mean, low, high."""
    groups = table.groupby(by, sort=False)[value]
    return pd.DataFrame({at: mean_interval(own.tolist())._asdict() for at, own in groups}).T


def middle(table: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Median of a column, and between which values nine of ten lie, for every value of another: mean, low, high."""
    quantiles = table.groupby(by, sort=False)[value].quantile(np.array([0.5, 0.05, 0.95])).unstack()
    return quantiles.set_axis(["mean", "low", "high"], axis=1)


def points(axes: Axes, at: Any, table: pd.DataFrame, number: int, label: str, count: int = 1, **more: Any) -> None:
    """Draw a line through means with their intervals (columns mean, low, high), as arm `number` of `count`."""
    ends = np.abs(table[["low", "high"]].to_numpy(float).T - table["mean"].to_numpy(float))
    aside = (number - (count - 1) / 2) * ASIDE * (count > 1)
    style = {**look(number), "markersize": 4.5, "capsize": 2.5, "linewidth": 1.3, "elinewidth": 1.2, **more}
    drawn = axes.errorbar(at, table["mean"].to_numpy(float), ends, label=label, **style)
    axes.margins(x=0.09 if aside else 0.05)
    for artist in drawn.get_children():
        artist.set_transform(
            axes.transData + _moved_by(axes, aside, 0)
        )  # only now: the limits of the axes are those of the values


def lines(axes: Axes, table: pd.DataFrame, by: str, at: str, value: str, names: Iterable[Any] | None = None) -> None:
    """Draw for every arm (values of column `by`, or `names` of them) its means of `value` over `at`."""
    chosen = [*dict.fromkeys(table[by])] if names is None else [*names]
    for number, name in enumerate(chosen):
        found = intervals(table[table[by] == name], at, value).sort_index()
        points(axes, found.index.to_numpy(float), found, number, str(name), len(chosen))


def band(axes: Axes, table: pd.DataFrame, at: str, value: str, number: int, label: str) -> None:
    """Draw a curve of many points: means of `value` over `at` with a band for their intervals."""
    found = intervals(table, at, value).sort_index()
    course(axes, found.index, found, number, label)


def course(axes: Axes, at: Any, table: pd.DataFrame, number: int, label: str) -> None:
    """Draw a curve of many points with a band between the columns low and high, as arm `number`."""
    style, every = look(number), max(1, len(table) // 6)
    first = number * every // 3 % len(table)
    axes.plot(at, table["mean"], label=label, markersize=4, markevery=(first, every), **style)
    axes.fill_between(at, table["low"], table["high"], color=style["color"], alpha=0.2, linewidth=0)


def dots(axes: Axes, table: pd.DataFrame, by: str, value: str, names: dict[Hashable, str] | None = None) -> None:
    """Draw a row for every arm: a pale dot for each seed, and above them the mean with its interval."""
    arms = [*dict.fromkeys(table[by])]
    found = intervals(table, by, value)
    for row, arm in enumerate(arms):
        values = table.loc[table[by] == arm, value].to_numpy(float)
        spread = row + 0.16 + 0.2 * np.modf(0.618 * np.arange(len(values)))[0]
        axes.plot(values, spread, ".", color=look(row)["color"], alpha=0.35, markersize=4, markeredgewidth=0)
        mean, low, high = (float(found.loc[arm, name]) for name in ("mean", "low", "high"))
        ends = [[mean - low], [high - mean]]
        axes.errorbar([mean], [row], xerr=ends, **look(row) | {"linestyle": "none"}, capsize=3, markersize=5)
    axes.set_yticks(range(len(arms)), [(names or {}).get(arm, str(arm)) for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def key(axes: Axes, columns: int = 2, title: str = "") -> None:
    """Name the arms below the panel, where no line is."""
    below = axes.transAxes + _moved_by(axes, 0, -34)
    place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below, "borderaxespad": 0}
    spare: Any = {"handlelength": 2.2, "columnspacing": 1.0, "handletextpad": 0.5, "labelspacing": 0.3}
    axes.legend(ncols=columns, fontsize=8.5, title=title or None, title_fontsize=8.5, **place, **spare)


def ticks(axes: Axes, values: Iterable[float], log: bool = False) -> None:
    """Mark these values on the x axis, and no others."""
    shown = sorted(set(values))
    if log:
        axes.set_xscale("log")
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.xaxis.minorticks_off()


def ratios(axes: Axes) -> None:
    """Give the y axis a logarithmic scale with plain numbers, on which small errors are told apart."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.minorticks_off()


def specification_curve(figure: Figure, table: pd.DataFrame, settings: Sequence[str], threshold: float = 0.0) -> None:
    """Draw estimates in rising order with their intervals, and below each a mark for every setting it was made with.

    `table` has a row for every specification: columns estimate, low, high, and `settings` with any values; `threshold`
    is the value that the rule compares with (Simonsohn, Simmons and Nelson 2020, figure 1).
    """
    rows = table.sort_values("estimate", kind="stable").reset_index(drop=True)
    choices = [(name, choice) for name in settings for choice in dict.fromkeys(table[name])]
    figure.set_figheight(max(figure.get_figheight(), 2.6 + 0.22 * len(choices)))
    top, marks = figure.subplots(2, 1, sharex=True, height_ratios=[2, max(1.0, 0.22 * len(choices))])
    sides = {"below": rows["high"] < threshold, "above": rows["low"] > threshold}
    sides["not told apart"] = ~(sides["below"] | sides["above"])
    for number, (side, chosen) in enumerate(sides.items()):
        own = rows[chosen].rename(columns={"estimate": "mean"})
        if len(own):
            points(top, own.index.to_numpy(float), own, number, side, linestyle="none")
    top.axhline(threshold, **REFERENCE)
    top.legend(fontsize=8.5, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    top.set_ylabel("estimate, 95 % interval")
    for place, (name, choice) in enumerate(choices):
        at = rows.index[rows[name] == choice]
        marks.plot(at, [place] * len(at), "|", color=INK, markersize=7)
    marks.set_yticks(range(len(choices)), [f"{name}: {choice}" for name, choice in choices])
    for place, (before, after) in enumerate(pairwise(choices)):
        if before[0] != after[0]:
            marks.axhline(place + 0.5, color=GRAY, linewidth=0.6)
    marks.set(ylim=(len(choices) - 0.4, -0.6), xlabel="specifications, by their estimates", xticks=[])
    marks.grid(visible=False)


def _moved_by(axes: Axes, right: float, up: float) -> Transform:
    """A shift by so many points."""
    figure = axes.figure
    assert figure is not None
    return ScaledTranslation(right / 72, up / 72, figure.dpi_scale_trans)
