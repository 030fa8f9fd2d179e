"""Figure of the claim: three pieces on x², errors by pieces, accuracy by arm."""

import numpy as np

import workbench as wb
from workbench.claims import plots

from . import maxout_fits


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Three pieces on x², errors by pieces, accuracy by arm."""
    fit, errors, accuracy = plots.panels(figure, 3, ratios=[3, 3, 4])
    x, functions = np.linspace(-1, 1, 400), maxout_fits.CONVEX
    best = maxout_fits.best_fit(functions["x²"], 3)
    fit.plot(x, x * x, label="x²")
    pieces = [s * x + c for s, c in zip(best.slopes, best.offsets, strict=True)]
    fit.plot(x, np.max(pieces, 0), "--", label="three pieces")
    fit.set(xlabel="x", ylabel="value", title="Maxout fits a parabola")
    plots.key(fit)
    for number, (name, function) in enumerate(functions.items()):
        shown = [max(maxout_fits.best_fit(function, 2**power).error, 1e-6) for power in range(7)]
        errors.loglog(2 ** np.arange(7), shown, markersize=4, label=name, **plots.look(number))
    errors.set(xlabel="pieces k", ylabel="best error (at least 1e-6)", ylim=(5e-7, 50), title="More pieces")
    plots.key(errors)
    rows = study.tables["accuracy"]
    names = rows["arm"].str.replace(" dropout=0.0", "").str.replace(" dropout=", ",\ndropout ")
    plots.dots(accuracy, rows.assign(net=names), "net", "accuracy")
    accuracy.set(xlabel="test accuracy", title="Digits")
