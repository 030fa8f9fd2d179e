"""Figure of the claim: one line through a ReLU net and a tanh net; pieces by units at initialization; digits."""

import torch

import workbench as wb

from . import random_lines


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """One line through a ReLU net and a tanh net; pieces by units at initialization; digits."""
    curve, counts, digits = figure.subplots(1, 3)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for unit, color in (("relu", "C0"), ("tanh", "C1")):
        net, line, pieces = next(random_lines.random_lines(unit, study.draws(1)))
        curve.plot(t, net.curve(*line)(t)[:, 0], color=color, label=unit)
        if unit == "relu":
            knots = wb.proofs.regions.breakpoints(pieces)
            curve.plot(knots, pieces.at(knots)[:, 0], "o", markersize=4, color=color, label="its breakpoints")
    curve.set(xlabel="t on the line", ylabel="output")
    for shape, rows in study.tables["initialization"].groupby("shape", sort=False):
        beside = rows["units"] + 8 * (rows["depth"] - 4)  # three shapes have 256 units
        counts.plot(beside, rows["pieces"], "o", markersize=4, alpha=0.5, label=f"{shape}")
    counts.plot([0, 550], [1, 551], "k--", label="units + 1")
    counts.set(xlabel="hidden units", ylabel="pieces at initialization")
    counts.legend(fontsize="small", title="layers x width", title_fontsize="small")
    curve.legend(fontsize="small")
    for (depth, when), rows in study.tables["digits"].groupby(["depth", "when"], sort=False):
        digits.plot([f"{depth} {when}"] * len(rows), rows["breakpoints per unit"], "o", alpha=0.5)
    digits.set(xlabel="hidden layers, training", ylabel="breakpoints per unit, digits", ylim=(0, None))
    digits.tick_params(axis="x", rotation=30)
