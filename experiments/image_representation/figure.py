"""Figure of the claim: accuracy over depth by data set and kind of net, and first weights."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

import workbench as wb
from workbench.claims import plots
from workbench.core.stats import mean_interval

NETS = ("untrained", "labels drawn anew", "trained")
COMPONENTS = "64 components"


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Dense nets above; convolutional nets below, in a row for each data set."""
    stages, chosen = study.tables["stages"], study.tables["selectivity"]
    data = list(dict.fromkeys(stages["data"]))
    first, *rows = plots.rows(figure, 3, 1 + len(data), ratios=[3, 3, 2.4])
    probes = study.tables["probes"]
    for panel, name in zip(first, ("digits", "shifted_digits"), strict=False):
        _dense(panel, probes[probes["data"] == name], name.replace("_", " "))
    weights = study.tables["weights"].to_numpy().T
    _images(first[2], weights.reshape(4, 3, 8, 8), "first weights")
    for (left, middle, right), name in zip(rows, data, strict=True):
        _stages(left, stages[stages["data"] == name], f"convolutional, {name.replace('_', ' ')}")
        _selective(middle, chosen[chosen["data"] == name])
        _images(right, _first_filters(study.tables["filters"], name), "first filters: before, after", parts=2)


def _dense(panel: Axes, own: pd.DataFrame, title: str) -> None:
    """Accuracy over hidden layers, beside that of principal components."""
    pixels = own[own["representation"] == "pixels"]
    for number, name in enumerate(NETS):
        layers = pd.concat([pixels.assign(layer=0), own[own["representation"] == name]])
        found = plots.intervals(layers, "layer", "accuracy")
        plots.points(panel, found.index, found, number, name, len(NETS))
    components = own[own["representation"] == "components"]
    low, high = mean_interval(components["accuracy"].tolist())[1:3]
    panel.axhspan(low, high, color=plots.GRAY, alpha=0.4, linewidth=0, label=COMPONENTS)
    panel.set(xlabel="hidden layer (0: pixels)", ylabel="test accuracy of a probe", title=title)
    plots.ticks(panel, found.index)
    plots.key(panel)


def _stages(panel: Axes, own: pd.DataFrame, title: str) -> None:
    """Accuracy over the stages of a convolutional net."""
    for number, name in enumerate(NETS):
        found = plots.intervals(own[own["net"] == name], "stage", COMPONENTS)
        plots.points(panel, found.index, found, number, name, len(NETS))
    panel.set(xlabel="stage", ylabel="test accuracy of a probe", title=title)
    plots.ticks(panel, found.index)
    plots.key(panel)


def _selective(panel: Axes, own: pd.DataFrame) -> None:
    plots.dots(panel, own, "filters", "selectivity", {"labels drawn anew": "anew", "random, as smooth": "random"})
    panel.set(xlabel="orientation selectivity", title="first filters")


def _first_filters(table: pd.DataFrame, data: str) -> NDArray[np.float64]:
    """Filters of one net in rows of four: before training, after it."""
    both = [table.filter(regex=f"^{data}, {name}, ").to_numpy().T for name in ("untrained", "trained")]
    side = round(both[0].shape[1] ** 0.5)
    return np.concatenate(both).reshape(-1, 4, side, side)


def _images(panel: Axes, images: NDArray[np.float64], title: str, parts: int = 1) -> None:
    """Draw pictures [rows, columns, k, k], each on a scale of its own, with a gap between parts of the rows."""
    size = np.abs(images).max((2, 3), keepdims=True)
    framed = np.pad(images / size, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    drawn = np.block([list(row) for row in framed])
    gaps = np.repeat(np.arange(1, parts) * len(drawn) // parts, 2)
    panel.imshow(np.insert(drawn, gaps, np.nan, axis=0), cmap="RdBu", vmin=-1, vmax=1)
    panel.set(title=title, xticks=[], yticks=[])
    panel.set_axis_off()
