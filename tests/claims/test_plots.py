"""Drawing that figures of claims share: intervals, arms that do not hide each other, and the specification curve."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from workbench.claims import plots
from workbench.claims.claim_figure import NARROW, WIDE
from workbench.core.stats import mean_interval

RUNS = pd.DataFrame(
    [
        {"arm": arm, "depth": depth, "loss": depth * 0.1 + seed * 0.01}
        for arm, depth, seed in product("abcdefgh", (1, 2, 4), range(5))
    ]
)


def blank(inches: tuple[float, float] = WIDE) -> Figure:
    """A figure of this size."""
    return Figure(figsize=inches, layout="constrained")


def lines_of(axes: Axes) -> list[Any]:
    """The lines through the means."""
    containers: list[Any] = list(axes.containers)
    return [container.lines[0] for container in containers]


def test_a_line_has_the_interval_of_its_mean() -> None:
    """Lines have the mean and Student's interval of the seeds at every x, for arms with equal values."""
    axes = blank().subplots()
    plots.lines(axes, RUNS, "arm", "depth", "loss")
    containers: list[Any] = list(axes.containers)
    for container in containers:
        line, _, (bars,) = container.lines
        for depth, mean, ends in zip((1, 2, 4), line.get_ydata(), bars.get_segments(), strict=True):
            wanted = mean_interval(RUNS[(RUNS["arm"] == "a") & (RUNS["depth"] == depth)]["loss"].tolist())
            assert [mean, *ends[:, 1]] == pytest.approx([wanted.mean, wanted.low, wanted.high])


def test_no_arm_hides_another() -> None:
    """Eight arms with equal values have colors and markers of their own, and stand beside each other in the panel."""
    figure = blank()
    axes = figure.subplots()
    plots.lines(axes, RUNS, "arm", "depth", "loss")
    figure.draw_without_rendering()
    lines = lines_of(axes)
    assert len({to_hex(line.get_color()) for line in lines}) == len({line.get_marker() for line in lines}) == 8
    first, last = ([line.get_transform().transform((x, 0.1))[0] for line in lines] for x in (1.0, 4.0))
    assert np.diff(first) == pytest.approx(plots.ASIDE * figure.dpi / 72)
    assert axes.get_window_extent().x0 < min(first) < max(last) < axes.get_window_extent().x1


def test_panels_stand_above_each_other_on_a_narrow_figure() -> None:
    """Panels stand side by side with the asked widths on a wide figure, and above each other on a narrow one."""
    wide, narrow = blank(), blank(NARROW)
    for figure in (wide, narrow):
        plots.panels(figure, 2, ratios=[1, 3])
        figure.draw_without_rendering()
    first, second = (axes.get_position() for axes in wide.axes)
    assert (first.y0, first.x1 < second.x0) == (second.y0, True)
    assert second.width == pytest.approx(3 * first.width, rel=0.01)
    above, below = (axes.get_position() for axes in narrow.axes)
    assert (above.x0, above.y0 > below.y1) == (below.x0, True)
    assert narrow.get_figheight() == 2 * plots.PANEL


def test_dots_show_every_seed_and_the_mean() -> None:
    """Dots give each arm a row, the first on top, with every seed and the mean."""
    axes = blank().subplots()
    plots.dots(axes, RUNS, "arm", "loss", {"a": "first"})
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", *"bcdefgh"]
    assert axes.yaxis_inverted()
    seeds: Any = axes.lines[0].get_xdata()
    assert sorted(seeds) == pytest.approx(sorted(RUNS[RUNS["arm"] == "a"]["loss"]))
    assert lines_of(axes)[0].get_xdata() == pytest.approx(RUNS[RUNS["arm"] == "a"]["loss"].mean())


def test_specification_curve_sorts_estimates_and_marks_their_settings() -> None:
    """Rising dots with intervals in three kinds, and a mark in one row of each setting below."""
    estimates = np.array([0.3, -0.4, 0.1, 0.0, 0.5, -0.1])
    table = pd.DataFrame(list(product(("sgd", "adam"), (16, 64, 256))), columns=["optimizer", "width"])
    table = table.assign(estimate=estimates, low=estimates - 0.2, high=estimates + 0.2)
    figure = blank()
    plots.specification_curve(figure, table, ["optimizer", "width"])
    top, marks = figure.axes
    found = {str(one.get_label()): line.get_xydata() for one, line in zip(top.containers, lines_of(top), strict=True)}
    assert found.keys() == {"below", "above", "not told apart"}
    assert found["below"].tolist() == [[0, -0.4]]
    assert found["not told apart"].tolist() == [[1, -0.1], [2, 0.0], [3, 0.1]]
    assert found["above"].tolist() == [[4, 0.3], [5, 0.5]]
    labels = [label.get_text() for label in marks.get_yticklabels()]
    assert labels == ["optimizer: sgd", "optimizer: adam", "width: 16", "width: 64", "width: 256"]
    order = np.argsort(estimates)
    for label, line in zip(labels, marks.lines, strict=False):
        name, choice = label.split(": ")
        assert list(line.get_xdata()) == [at for at, row in enumerate(order) if str(table[name][row]) == choice]  # type: ignore[arg-type]


@pytest.mark.parametrize("inches", [WIDE, NARROW])
def test_specification_curve_has_room_for_every_setting(inches: tuple[float, float]) -> None:
    """A specification curve of many specifications gives every row of marks a place of its own, without overlap."""
    estimate = np.random.default_rng(0).normal(size=96)
    table = pd.DataFrame({"estimate": estimate, "low": estimate - 1, "high": estimate + 1})
    table = table.assign(data=["a", "b"] * 48, depth=[1, 2, 3, 4] * 24, unit=["relu", "tanh", "elu"] * 32)
    figure = blank(inches)
    plots.specification_curve(figure, table, ["data", "depth", "unit"], threshold=0.5)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[1].get_yticklabels()]
    assert all(above.y0 > below.y1 - 3 for above, below in pairwise(boxes))
