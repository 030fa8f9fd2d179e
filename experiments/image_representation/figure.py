"""Figure of the claim: accuracy over depth for both data sets, and first weights."""

import numpy as np
import pandas as pd

import workbench as wb
from workbench.claims import plots
from workbench.core.stats import mean_interval


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy over depth for both data sets, and first weights."""
    left, middle, right = plots.panels(figure, 3, ratios=[3, 3, 2])
    probes, names = study.tables["probes"], ("untrained", "labels drawn anew", "trained")
    for panel, data in ((left, "digits"), (middle, "shifted_digits")):
        own = probes[probes["data"] == data]
        pixels = own[own["representation"] == "pixels"]
        for number, name in enumerate(names):
            layers = pd.concat([pixels.assign(layer=0), own[own["representation"] == name]])
            found = plots.intervals(layers, "layer", "accuracy")
            plots.points(panel, found.index, found, number, name, len(names))
        components = own[own["representation"] == "components"]
        low, high = mean_interval(components["accuracy"].tolist())[1:3]
        panel.axhspan(low, high, color=plots.GRAY, alpha=0.4, linewidth=0, label="64 components")
        panel.set(xlabel="hidden layer (0: pixels)", title=data.replace("_", " "))
        plots.ticks(panel, found.index)
        plots.key(panel)
    left.set(ylabel="test accuracy of a probe")
    images = study.tables["weights"].to_numpy().T.reshape(-1, 8, 8)
    size = np.abs(images).max((1, 2), keepdims=True)
    framed = np.pad(images / size, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    right.imshow(np.block([list(row) for row in framed.reshape(4, 3, 9, 9)]), cmap="RdBu", vmin=-1, vmax=1)
    right.set(title="first weights", xticks=[], yticks=[])
    right.set_axis_off()
