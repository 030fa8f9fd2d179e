"""Figures of a run's histograms: densities of a at a few steps, and z, a and delta over time.

Source: Glorot and Bengio 2010, figure 4 (histograms by layer).
"""

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from workbench.diagnostics.histograms import REACH
from workbench.inspect.figure_style import INCHES, MOMENTS, canvas, legend, line, spread
from workbench.inspect.logged_run import in_order

MOST_LAYERS = 8
MOST_LABELS, MOST_DECADES = 3, 3  # marks of an axis: steps, and decades on each side of 0
QUANTITIES = ("z", "a", "delta")
SMALL = 0.02  # the share of numbers beside 0 that are drawn with it
THICK = 0.25  # half of their height, in decades
LEAST, WHOLE = 1e-4, 1.0  # shares of a layer's numbers that colors tell apart


def densities(table: pd.DataFrame, title: str) -> Figure:
    """Draw the density of a in each layer, at a few steps, without values outside the bins."""
    table = table[(table["quantity"] == "a") & np.isfinite(table["low"]) & np.isfinite(table["high"])]
    layers = spread(in_order(table["layer"]), MOST_LAYERS)
    figure, panels = canvas(title, max(1, len(layers)), (1.4 + 2.8 * len(layers), INCHES[1]), sharey=True)
    steps = spread(sorted(table["step"].unique()), MOMENTS)
    for axes, layer in zip(panels, layers, strict=False):
        for number, step in enumerate(steps):
            rows = table[(table["layer"] == layer) & (table["step"] == step)].sort_values("low")
            width = rows["high"] - rows["low"]
            density = rows["count"] / width / rows["count"].sum()
            axes.step(rows["low"] + width / 2, density, where="mid", **line(number), label=str(step))
        axes.set_title(layer)
        axes.set_xlabel("activation a")
        axes.set_yscale("log")
    panels[0].set_ylabel("density of units × examples")
    legend(figure, panels[0], "step")
    return figure


def shares_over_time(table: pd.DataFrame, title: str) -> Figure:
    """Draw the share of each bin at every step with histograms: z, a and delta in rows, layers in columns."""
    layers, steps = spread(in_order(table["layer"]), MOST_LAYERS), sorted(table["step"].unique())
    figure, panels = canvas(title, len(layers), (1.8 + 1.7 * len(layers), 6.4), sharey=True, rows=len(QUANTITIES))
    meshes = []
    for row, quantity in enumerate(QUANTITIES):
        row_panels = panels[row * len(layers) : (row + 1) * len(layers)]
        bins = _scaled(row_panels[0], table[table["quantity"] == quantity])
        row_panels[0].set_ylabel(quantity)
        for axes, layer in zip(row_panels, layers, strict=True):
            if row == 0:
                axes.set_title(layer)
            if len(rows := bins[bins["layer"] == layer]):
                meshes.append(_shares(axes, rows, steps))
            else:
                axes.set_axis_off()
    figure.supxlabel("step", fontsize=10)
    figure.colorbar(meshes[0], ax=panels, label="share of units × examples")
    return figure


def _scaled(axes: Axes, table: pd.DataFrame) -> pd.DataFrame:
    """Scale the axis to the bins of one quantity; returns the bins to draw.

    The axis is linear for bins of equal width. Otherwise it is logarithmic on both sides of one bin for 0 and its
    neighbors, which would be too thin to be seen.
    """
    width = table["high"] - table["low"]
    if np.allclose(width, width.mean()):  # also where there are none
        return table
    low, high = (table[end].clip(-10 * REACH, 10 * REACH) for end in ("low", "high"))  # the outermost have no end
    size, beside = np.maximum(-low, high), low * high >= 0
    counts = table["count"][beside].groupby(size[beside]).sum().sort_index()
    small = counts.index[counts.cumsum() <= SMALL * counts.sum()]
    middle = max([float(size[~beside].max()) if not beside.all() else float(size.min()), *small])
    within = size <= middle
    table = table.assign(low=low.mask(within, -middle), high=high.mask(within, middle))
    axes.set_yscale("symlog", linthresh=middle, linscale=THICK)
    decades = [10.0**power for power in range(ceil(log10(3 * middle)), floor(log10(size.max())) + 1)]
    marks = spread(decades, MOST_DECADES)
    axes.set_yticks([*(-mark for mark in reversed(marks)), 0, *marks])
    return table.groupby(["step", "layer", "low", "high"])[["count"]].sum().reset_index()


def _shares(axes: Axes, table: pd.DataFrame, steps: Sequence[int]) -> QuadMesh:
    """Draw cells for the steps from left to right, and for the bins and the gaps between them from the least up."""
    edges = np.unique(table[["low", "high"]].to_numpy())
    shares = np.full((len(edges) - 1, len(steps)), np.nan)
    cells = np.searchsorted(edges, table["low"].to_numpy()), np.searchsorted(steps, table["step"].to_numpy())
    shares[cells] = table["count"] / table.groupby("step")["count"].transform("sum")
    axes.grid(visible=False)
    mesh = axes.pcolormesh(np.arange(len(steps) + 1) - 0.5, edges, shares, norm=LogNorm(LEAST, WHOLE), cmap="viridis")
    ticks = spread(range(len(steps)), MOST_LABELS)
    axes.set_xticks(ticks, [str(steps[tick]) for tick in ticks])
    return mesh
