"""Figure of the claim: error by unit, loss of saturated nets, and saturation by layer."""

import workbench as wb
from workbench.claims import plots

from .measure import DEPTHS, NAMES


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Error by unit, loss of saturated nets, and saturation by layer."""
    units, hurt, layers = plots.panels(figure, 3)
    runs = study.tables["runs"].assign(error=lambda table: 1 - table["accuracy"])
    plots.lines(units, runs, "arm", "depth", "error", ("σ", "σ − 1/2", "4σ − 1", "4σ − 2", "tanh"))
    pairs = [arm for name in NAMES.values() for arm in (name, f"{name} saturated")]
    plots.lines(hurt, runs, "arm", "depth", "loss", pairs)
    plots.lines(layers, study.tables["saturated"], "arm", "layer", "share")
    units.set(xlabel="hidden layers", ylabel="test error", title="Units")
    hurt.set(xlabel="hidden layers", ylabel="train loss (nats)", title="Saturated at the start")
    layers.set(xlabel="layer of 6", ylabel="saturated share", title="After training", ylim=(-0.02, 1))
    for panel in (units, hurt, layers):
        plots.key(panel)
    plots.ratios(units)
    for panel in (units, hurt):
        plots.ticks(panel, DEPTHS)
