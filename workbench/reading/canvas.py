"""What the figures of a run share: a titled canvas, a legend beside it, and lines told apart with any color vision."""

from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.claims.figures import DASHES
from workbench.sweeps.naming import PALETTE

INCHES = (5.4, 3.6)
LETTERS_PER_INCH = 9


def canvas(
    title: str, columns: int = 1, inches: tuple[float, float] = INCHES, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes from left to right."""
    figure = Figure(figsize=inches, layout="constrained")
    figure.suptitle(fill(title, int(LETTERS_PER_INCH * inches[0])), fontsize=10)
    return figure, list(figure.subplots(1, columns, squeeze=False, sharey=sharey)[0])


def line(number: int) -> dict[str, Any]:
    """Color and dashes of the n-th line."""
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)]}


def legend(figure: Figure, axes: Axes, title: str = "") -> None:
    """What is drawn in these axes, beside the figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", title=title or None)
