"""Figure of the claim: one line through a ReLU net and a tanh net; pieces by units at initialization; digits."""

import torch

import workbench as wb
from workbench.claims import plots

from . import random_lines


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """One line through a ReLU net and a tanh net; pieces by units at initialization; digits."""
    curve, counts, digits = plots.panels(figure, 3)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for unit, style in (("relu", "-"), ("tanh", "--")):
        net, line, pieces = next(random_lines.random_lines(unit, study.draws(1)))
        (drawn,) = curve.plot(t, net.curve(*line)(t)[:, 0], style, label=unit)
        if unit == "relu":
            knots = wb.proofs.regions.breakpoints(pieces)
            curve.plot(knots, pieces.at(knots)[:, 0], "o", ms=4, color=drawn.get_color(), label="its breakpoints")
    curve.set(xlabel="t on the line", ylabel="output", title="Output along a line")
    plots.key(curve)
    shapes = [*study.tables["initialization"].groupby("shape", sort=False)]
    for number, (shape, rows) in enumerate(shapes):
        found = plots.intervals(rows, "units", "pieces")
        beside = found.index + 12 * (rows["depth"].iloc[0] - 4)  # three shapes have 256 units
        plots.points(counts, beside, found, number, str(shape), linestyle="none")
    counts.plot([0, 550], [1, 551], **plots.REFERENCE, label="units + 1")
    counts.set(xlabel="hidden units", ylabel="pieces", title="At initialization")
    plots.key(counts, title="layers × width")
    table = study.tables["digits"]
    layers = table["depth"].map({1: "1 layer"}).fillna(table["depth"].astype(str) + " layers")
    plots.dots(digits, table.assign(net=layers + ",\n" + table["when"]), "net", "breakpoints per unit")
    digits.set(xlabel="breakpoints per unit", title="Between two digits", xlim=(0, None))
