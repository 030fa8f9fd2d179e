"""Figure of the claim: draw the best that one unit can do, and how often training finds what a layer can."""

import numpy as np

import workbench as wb


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Draw the best that one unit can do, and how often training finds what a layer can."""
    plane, curves = figure.subplots(1, 2, width_ratios=(1, 1.6))
    side = np.linspace(-0.5, 1.5, 101)
    shown = plane.contourf(side, side, np.abs(side[:, None] - side), levels=8, cmap="Greys", alpha=0.6)
    figure.colorbar(shown, ax=plane, label="|x₁ - x₂|", shrink=0.6)
    plane.plot([0, 1], [0, 1], "o", markersize=9, label="XOR = 0")
    plane.plot([0, 1], [1, 0], "s", markersize=9, label="XOR = 1")
    plane.plot([-0.5, 1.0], [1.0, -0.5], "--", label="a monotone neuron: 3 of 4")
    plane.set(xlabel="x₁", ylabel="x₂", aspect="equal", xlim=(-0.5, 1.5), ylim=(-0.5, 1.5))
    plane.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small")
    table = study.tables["learned"]
    table = table[table["optimizer"].isna()] if "optimizer" in table else table
    for arm, rows in table.groupby("activation", sort=False):
        ends = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        curves.errorbar(rows["hidden"], rows["mean"], ends, marker="o", capsize=2, label=str(arm).replace("_", " "))
    curves.set(xlabel="hidden neurons", ylabel="initial weights that learn XOR", ylim=(-0.03, 1.03))
    curves.set_xticks(study["hidden"])
    curves.legend(fontsize="small")
