"""Figure of the claim: the units and their slopes, accuracy and saturation by depth."""

from math import log

import numpy as np

import workbench as wb
from workbench.claims import plots


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """The units and their slopes, accuracy and saturation by depth."""
    units, accuracy, saturated = plots.panels(figure, 3)
    z = np.linspace(-5, 3, 200)
    softplus = np.log1p(np.exp(z))
    for name, a, slopes in (("ReLU", np.maximum(z, 0), z > 0), ("softplus", softplus, 1 / (1 + np.exp(-z)))):
        (line,) = units.plot(z, a, label=name)
        units.plot(z, slopes, "--", color=line.get_color(), label=f"{name}, slope")
    units.plot(z, softplus - log(2), "-.", label="softplus − ln 2")
    units.axvline(-log(19), **plots.REFERENCE)
    units.set(xlabel="z", ylim=(-0.8, 3), title="Units")
    runs = study.tables["runs"]
    plots.lines(accuracy, runs, "unit", "depth", "accuracy")
    plots.lines(saturated, runs, "unit", "depth", "saturated")
    accuracy.set(xlabel="hidden layers", ylabel="test accuracy", title="Accuracy")
    saturated.set(xlabel="hidden layers", ylabel="share of units × examples", title="Saturated after training")
    for panel in (accuracy, saturated):
        plots.ticks(panel, runs["depth"])
    for panel in (units, accuracy, saturated):
        plots.key(panel)
