"""Figure of the claim: three pieces on x², errors by pieces, accuracy by arm."""

import numpy as np

import workbench as wb

from . import maxout_fits


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Three pieces on x², errors by pieces, accuracy by arm."""
    fit, errors, accuracy = figure.subplots(1, 3)
    x, functions = np.linspace(-1, 1, 400), maxout_fits.CONVEX
    best = maxout_fits.best_fit(functions["x²"], 3)
    fit.plot(x, x * x, label="x²")
    fit.plot(x, np.max([s * x + c for s, c in zip(best.slopes, best.offsets, strict=True)], 0), label="three pieces")
    fit.set(xlabel="x", ylabel="value")
    fit.legend(fontsize="small", loc="upper center")
    for name, function in functions.items():
        shown = [max(maxout_fits.best_fit(function, 2**power).error, 1e-6) for power in range(7)]
        errors.loglog(2 ** np.arange(7), shown, "o-", markersize=3, label=name)
    errors.set(xlabel="pieces k", ylabel="best error (at least 1e-6)", ylim=(5e-7, 50))
    errors.legend(fontsize="small")
    rows = study.tables["accuracy"]
    names = rows["arm"].str.replace(" dropout=0.0", "").str.replace(" dropout=", ",\ndropout ")
    accuracy.plot(rows["accuracy"], names, "o", markersize=4, alpha=0.5)
    accuracy.set(xlabel="test accuracy, digits")
    accuracy.tick_params(axis="y", labelsize="small")
