"""Figure of the claim: train loss and test accuracy over depth."""

import workbench as wb
from workbench.claims import plots

from .measure import UNTRAINED


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Train loss and test accuracy over depth."""
    left, right = plots.panels(figure, 2)
    runs = study.tables["runs"]
    for panel, value in ((left, "loss"), (right, "accuracy")):
        plots.lines(panel, runs, "net", "depth", value)
        panel.set(xlabel="hidden layers or blocks")
        plots.ticks(panel, study["depths"], log=True)
        plots.key(panel)
    left.axhline(UNTRAINED, **plots.REFERENCE)
    left.set(ylabel="train loss (nats)", title="After equal steps; dotted: untrained")
    right.set(ylabel="test accuracy", title="On new images")
