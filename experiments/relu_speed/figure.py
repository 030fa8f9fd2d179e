"""Figure of the claim: error over epochs, and the ratios by depth."""

import numpy as np

import workbench as wb
from workbench.claims import plots

from .measure import DEPTHS, ERROR, SHOWN, UNITS, WEIGHTS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Error over epochs, and the ratios by depth."""
    *courses, ratios = plots.panels(figure, 3)
    errors = study.tables["errors"]
    for panel, weights in zip(courses, WEIGHTS, strict=True):
        for number, unit in enumerate(UNITS):
            plots.band(panel, errors[errors["arm"] == f"{unit} {weights}"], "epoch", "error", number, unit)
        panel.axhline(ERROR, **plots.REFERENCE)
        panel.set(xlabel="epoch", ylabel="train error", ylim=(0, 1), title=f"{weights} weights, depth {SHOWN}")
        plots.key(panel, 3)
    for number, (other, rows) in enumerate(study.tables["ratios"].groupby("other", sort=False), 1):
        found = plots.intervals(rows, "depth", "log ratio").apply(np.exp)
        plots.points(ratios, found.index, found, number, f"{other} / relu")
    ratios.axhline(1, **plots.REFERENCE)
    ratios.set(xlabel="hidden layers", ylabel="ratio of epochs", yscale="log", title="Epochs to 25 % train error")
    plots.ticks(ratios, DEPTHS)
    ratios.set_yticks([0.5, 1, 2, 4, 8, 16], ["½", "1", "2", "4", "8", "16"])
    plots.key(ratios)
