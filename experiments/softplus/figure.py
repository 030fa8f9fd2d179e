"""Figure of the claim: the units and their slopes, accuracy and saturation by depth."""

from math import log

import numpy as np

import workbench as wb


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """The units and their slopes, accuracy and saturation by depth."""
    units, accuracy, saturated = figure.subplots(1, 3)
    z = np.linspace(-5, 3, 200)
    softplus = np.log1p(np.exp(z))
    for name, a, slopes in (("ReLU", np.maximum(z, 0), z > 0), ("softplus", softplus, 1 / (1 + np.exp(-z)))):
        (line,) = units.plot(z, a, label=name)
        units.plot(z, slopes, "--", color=line.get_color(), label=f"slope of {name}")
    units.plot(z, softplus - log(2), label="softplus − ln 2")
    units.axvline(-log(19), color="black", lw=0.8, ls=":")
    units.set(xlabel="z", ylim=(-0.8, 3), title="units")
    units.legend(fontsize="small")
    for unit, rows in study.tables["runs"].groupby("unit", sort=False):
        means = rows.groupby("depth")[["accuracy", "saturated"]].mean()
        accuracy.plot(means.index, means["accuracy"], "o-", label=unit)
        saturated.plot(means.index, means["saturated"], "o-", label=unit)
    for panel in (accuracy, saturated):
        panel.set_xticks(sorted(set(study.tables["runs"]["depth"])))
    accuracy.set(xlabel="hidden layers", ylabel="test accuracy", title="accuracy")
    saturated.set(xlabel="hidden layers", ylabel="share of units and examples", title="saturated after training")
    accuracy.legend(fontsize="small", loc="lower left")
