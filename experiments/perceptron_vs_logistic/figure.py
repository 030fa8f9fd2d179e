"""Figure of the claim: σ around 0 as computed, and what thresholds cost."""

import torch

import workbench as wb

from . import decisions


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """σ around 0 as computed, and what thresholds cost."""
    near, paid = figure.subplots(1, 2)
    units = torch.linspace(-2, 3, 1001, dtype=torch.float64)
    for name, style in (("float32", "-"), ("float64", "--")):
        near.plot(units, decisions.rounded_excess(units, getattr(torch, name)), style, label=name)
    near.plot(units, units / 4, ":", color="gray", label="exactly")
    near.axvspan(0, 0.75, color="gray", alpha=0.2, label="z > 0, σ(z) = ½")
    near.set(xlabel="z / eps", ylabel="(computed σ(z) - ½) / eps")
    near.legend(fontsize="small")
    for ratio, rows in study.tables["costs"].groupby("ratio", sort=False):
        (line,) = paid.plot(rows["threshold"], rows["paid"], label=f"{ratio}")
        paid.axvline(rows["best"].iloc[0], color=line.get_color(), linestyle=":", linewidth=1)
    paid.set(xlabel="threshold for z (dotted: ln r)", ylabel="mean cost on the test part", yscale="log")
    paid.legend(title="cost ratio r", fontsize="small")
