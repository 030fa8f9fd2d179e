"""Figure of the claim: σ around 0 as computed, and what thresholds cost."""

import torch

import workbench as wb
from workbench.claims import plots

from . import decisions


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """σ around 0 as computed, and what thresholds cost."""
    near, paid = plots.panels(figure, 2)
    units = torch.linspace(-2, 3, 1001, dtype=torch.float64)
    for name, style in (("float32", "-"), ("float64", "--")):
        near.plot(units, decisions.rounded_excess(units, getattr(torch, name)), style, label=name)
    near.plot(units, units / 4, color=plots.GRAY, linestyle=":", label="exactly")
    near.axvspan(0, 0.75, color=plots.GRAY, alpha=0.2, linewidth=0, label="z > 0, but σ(z) = ½")
    near.set(xlabel="z / eps", ylabel="(computed σ(z) − ½) / eps", title="Where both decide differently")
    plots.key(near)
    for number, (ratio, rows) in enumerate(study.tables["costs"].groupby("ratio", sort=False)):
        plots.course(paid, rows["threshold"], rows, number, f"r = {ratio}")
        paid.axvline(rows["best"].iloc[0], color=plots.look(number)["color"], linestyle=":", linewidth=1.2)
    paid.set(xlabel="threshold for z (dotted: ln r)", ylabel="mean cost on the test part", yscale="log")
    paid.set_title("Unequal costs, r their ratio")
    plots.key(paid, 3)
