"""Figure of the claim: the V of central differences, and the errors of the printed formulas."""

import numpy as np

import workbench as wb
from workbench.claims import plots

SHORT = {"E1 corrected at the last hidden layer": "E1, mended", "E3 with deltas that start as zeros": "E3, zeros"}


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """The V of central differences, and the errors of the printed formulas."""
    left, right = plots.panels(figure, 2)
    curve, printed = study.tables["steps"], study.tables["printed"]
    left.fill_between(curve["h"], curve["low"], curve["high"], alpha=0.25, linewidth=0, label="5 % to 95 % of nets")
    left.loglog(curve["h"], curve["median"], marker="o", markersize=3, label="median net")
    left.axvspan(1e-6, 1e-5, alpha=0.15, color=plots.GRAY, label="1e-6 to 1e-5")
    left.set(xlabel="step h", ylabel="relative error", title="Central differences against the formulas")
    plots.key(left)
    names, runs = printed["erratum"].replace(SHORT), np.isfinite(printed["least"])
    right.plot(printed["least"].where(runs), names, "o", label="least error where it runs")
    right.plot(np.where(runs, np.nan, 3.0), names, "X", label="can never be computed")
    right.axvline(1e-10, **plots.REFERENCE, label="corrected formulas: all left of it")
    right.set(xscale="log", xlim=(1e-11, 10), xlabel="relative error of the gradient", title="Formulas as printed")
    right.invert_yaxis()
    plots.key(right, 1)
