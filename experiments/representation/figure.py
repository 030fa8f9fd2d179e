"""Figure of the claim: the rings in both coordinates, and accuracy over hidden units."""

import numpy as np

import workbench as wb
from workbench.claims import plots

from . import rings
from .measure import HIDDEN, SHOWN


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """The rings in both coordinates, and accuracy over hidden units."""
    left, middle, right = plots.panels(figure, 3)
    for panel, coordinates in ((left, "cartesian"), (middle, "polar")):
        points, labels = (np.array(one) for one in rings.sample(coordinates, 0, 200))
        for ring, marker in ((0, "o"), (1, "s")):
            panel.plot(*points[labels == ring].T, marker, ms=3, label=f"ring {ring + 1}")
    left.set(xlabel="x", ylabel="y", aspect="equal", title="Cartesian")
    middle.axvline(1.5, **plots.REFERENCE, label="r = 3/2")
    middle.set(xlabel="r", ylabel="θ (radians)", title="Polar")
    found = plots.intervals(study.tables["accuracy"], "arm", "accuracy")
    for number, (n, units) in enumerate(((50, HIDDEN), (400, (*SHOWN, *HIDDEN)))):
        own = found.loc[[f"tanh {one} n={n}" for one in units]]
        plots.points(right, units, own, number, f"tanh, n = {n}", 2)
    for number, (arm, label) in enumerate((("polar", "line on (r, θ)"), ("cartesian", "line on (x, y)")), 2):
        own = found.loc[[f"{arm} n=400"] * 2]
        plots.points(right, [1, 16], own, number, label, marker="none")
    right.set(xlabel="hidden units", ylabel="test accuracy", title="Learned from (x, y)")
    plots.ticks(right, (1, 2, 4, 8, 16), log=True)
    for panel in (left, middle, right):
        plots.key(panel)
