"""Figure of the claim: errors by the number of units: built, fitted, greedy."""

import numpy as np

import workbench as wb
from workbench.claims import plots

from .measure import UNITS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Errors by the number of units: built, fitted, greedy."""
    built, fitted, greedy = plots.panels(figure, 3)
    rows, random, units = study.tables["constructed"], study.tables["random_units"], ("sigmoid", "relu", "bump")
    for number, activation in enumerate(units):
        own, style = rows[(rows["target"] == "sine") & (rows["activation"] == activation)], plots.look(number)
        built.plot(own["units"], own["error"], markersize=4, label=activation, **style)
        built.plot(own["units"], own["bound"], ":", color=style["color"])
    corner = random[random["target"] == "corner"]
    shown = (*units, "z^2", "z^5")
    for number, activation in enumerate(shown):
        found = plots.middle(corner[corner["activation"] == activation], "units", "error")
        plots.points(fitted, found.index, found, number, activation, len(shown))
    dimensions = study.claim.parts["barron_bound"].values("dimension", int)
    for number, d in enumerate(dimensions):
        for way, more in (("along", {}), ("across", {"linestyle": "--", "markerfacecolor": "white"})):
            table = study.tables["greedy"]
            found = plots.middle(table[(table["d"] == d) & (table["way"] == way)], "n", "error").clip(lower=1e-16)
            style = plots.look(number) | {"linestyle": "-"} | more
            name = f"d = {d}" if way == "along" else ""
            plots.points(greedy, found.index, found, number, name, len(dimensions), **style)
    greedy.plot(UNITS, [4 * np.pi**2 / k for k in UNITS], **plots.REFERENCE, label="Barron's bound")
    titles = ("Built for sin 2πx", "Fitted to |x − 0.3|", "Greedy")
    labels = ("largest error (dotted: its bound)", "largest error, median", "mean squared error, median")
    for axes, title, label in zip((built, fitted, greedy), titles, labels, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="units N", ylabel=label, title=title)
        plots.key(axes, 3)
