"""Style of all figures of a run: titled figure, legend beside it, lines told apart with any color vision."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.claims.comparison_figures import DASHES
from workbench.config.arms import color_of

T = TypeVar("T")

INCHES = (5.4, 3.6)
LETTERS_PER_INCH = 9
MOMENTS = 4  # curves of a figure with one for each moment


def canvas(
    title: str, columns: int = 1, inches: tuple[float, float] = INCHES, sharey: bool = False, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes from left to right, row by row; in a row they may share their y."""
    figure = Figure(figsize=inches, layout="constrained")
    figure.suptitle(fill(title, int(LETTERS_PER_INCH * inches[0])), fontsize=10)
    return figure, [*figure.subplots(rows, columns, squeeze=False, sharey="row" if sharey else "none").flat]


def line(number: int) -> dict[str, Any]:
    """Color and dashes of the n-th line."""
    return {"color": color_of(number), "linestyle": DASHES[number % len(DASHES)]}


def legend(figure: Figure, axes: Axes, title: str = "") -> None:
    """Add a legend of these axes beside the figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", title=title or None)


def spread(items: Sequence[T], most: int) -> list[T]:
    """Select up to `most` items, evenly spaced, first and last included."""
    indices = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[index] for index in dict.fromkeys(indices.tolist())]
