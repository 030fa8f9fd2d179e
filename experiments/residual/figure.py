"""Figure of the claim: train loss and test error over depth."""

import workbench as wb
from workbench.claims import plots

from .measure import UNTRAINED


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Train loss and test error over depth."""
    left, right = plots.panels(figure, 2)
    runs = study.tables["runs"].assign(error=lambda table: 1 - table["accuracy"])
    for panel, value in ((left, "loss"), (right, "error")):
        plots.lines(panel, runs, "net", "depth", value)
        panel.set(xlabel="hidden layers or blocks")
        plots.ratios(panel)
        plots.ticks(panel, study["depths"], log=True)
        plots.key(panel)
    left.axhline(UNTRAINED, **plots.REFERENCE)
    left.set(ylabel="train loss (nats)", title="After equal steps; dotted: untrained")
    right.set(ylabel="test error", title="On new images")
