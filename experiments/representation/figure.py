"""Figure of the claim: the rings in both coordinates, and accuracy over hidden units."""

import numpy as np

import workbench as wb

from . import rings
from .measure import HIDDEN, SHOWN


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """The rings in both coordinates, and accuracy over hidden units."""
    left, middle, right = figure.subplots(1, 3)
    for panel, coordinates in ((left, "cartesian"), (middle, "polar")):
        points, labels = (np.array(one) for one in rings.sample(coordinates, 0, 400))
        for ring, marker in ((0, "o"), (1, "s")):
            panel.plot(*points[labels == ring].T, marker, ms=3, label=f"ring {ring + 1}")
    left.set(xlabel="x", ylabel="y", aspect="equal", title="Cartesian")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, fontsize="small")
    middle.axvline(1.5, color="black", ls="--")
    middle.set(xlabel="r", ylabel="θ (radians)", title="Polar")
    means = study.tables["accuracy"].groupby("arm")["accuracy"].mean()
    for n, marker, units in ((50, "o--", HIDDEN), (400, "s-", (*SHOWN, *HIDDEN))):
        right.plot(units, [means[f"tanh {one} n={n}"] for one in units], marker, label=f"tanh, n = {n}")
    right.axhline(means["polar n=400"], color="C2", label="line on (r, θ)")
    right.axhline(means["cartesian n=400"], color="C3", label="line on (x, y)")
    right.set(xscale="log", xlabel="hidden units", ylabel="test accuracy", title="Learned from (x, y)")
    right.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    right.legend(loc="lower right", bbox_to_anchor=(1, 0.1), fontsize="small")
