"""Figure of the claim: draw the best that one unit can do, and how often training finds what a layer can."""

import numpy as np

import workbench as wb
from workbench.claims import plots


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Draw the best that one unit can do, and how often training finds what a layer can."""
    plane, curves = plots.panels(figure, 2, ratios=[1, 1.6])
    side = np.linspace(-0.5, 1.5, 33)
    shown = plane.contourf(side, side, np.abs(side[:, None] - side), levels=8, cmap="Greys", alpha=0.6)
    figure.colorbar(shown, ax=plane, label="|x₁ − x₂|", shrink=0.6)
    plane.plot([0, 1], [0, 1], "o", markersize=9, label="XOR = 0")
    plane.plot([0, 1], [1, 0], "s", markersize=9, label="XOR = 1")
    plane.plot([-0.5, 1.0], [1.0, -0.5], "--", label="a monotone neuron: 3 of 4")
    plane.set(xlabel="x₁", ylabel="x₂", aspect="equal", xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), title="One neuron")
    plots.key(plane, 1)
    table = study.tables["learned"]
    table = table[table["optimizer"].isna()] if "optimizer" in table else table
    arms = [*table.groupby("activation", sort=False)]
    for number, (arm, rows) in enumerate(arms):
        plots.points(curves, rows["hidden"], rows, number, str(arm).replace("_", " "), len(arms))
    curves.set(xlabel="hidden neurons", ylabel="share of initial weights", ylim=(-0.03, 1.03), title="Learned XOR")
    plots.ticks(curves, study["hidden"])
    plots.key(curves, 3)
