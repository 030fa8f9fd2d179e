"""Figure of the claim: errors by the number of units: built, fitted, greedy."""

import numpy as np

import workbench as wb

from .measure import UNITS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Errors by the number of units: built, fitted, greedy."""
    built, fitted, greedy = figure.subplots(1, 3)
    rows, random, units = study.tables["constructed"], study.tables["random_units"], ("sigmoid", "relu", "bump")
    for color, activation in enumerate(units):
        own = rows[(rows["target"] == "sine") & (rows["activation"] == activation)].set_index("units")
        built.plot(own["error"], "o-", color=f"C{color}", markersize=3, label=activation)
        built.plot(own["bound"], ":", color=f"C{color}")
    medians = random[random["target"] == "corner"].groupby(["activation", "units"])["error"].median()
    for activation in (*units, "z^2", "z^5"):
        fitted.plot(medians[activation], "o-", markersize=3, label=activation)
    medians = study.tables["greedy"].groupby(["d", "way", "n"])["error"].median().clip(lower=1e-16)
    for color, d in enumerate(study.claim.parts["barron_bound"].values("dimension", int)):
        greedy.plot(medians[d, "along"], "o-", color=f"C{color}", markersize=3, label=f"d = {d}")
        greedy.plot(medians[d, "across"], "--", color=f"C{color}")
    greedy.plot(UNITS, [4 * np.pi**2 / k for k in UNITS], "k:", label="Barron's bound")
    labels = ("largest error, built for sin 2πx", "largest error, fitted to |x - 0.3|", "mean squared error, greedy")
    for axes, label in zip((built, fitted, greedy), labels, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="units N", ylabel=label)
        axes.legend(fontsize="x-small")
