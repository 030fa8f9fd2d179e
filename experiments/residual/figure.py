"""Figure of the claim: train loss and test accuracy over depth."""

import workbench as wb

from .measure import UNTRAINED


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Train loss and test accuracy over depth."""
    left, right = figure.subplots(1, 2)
    for net, rows in study.tables["runs"].groupby("net", sort=False):
        means = rows.groupby("depth")[["loss", "accuracy"]].mean()
        (line,) = left.plot(means.index, means["loss"], "o-", label=net)
        left.plot(rows["depth"], rows["loss"], ".", color=line.get_color(), ms=3, alpha=0.4)
        right.plot(means.index, means["accuracy"], "o-", label=net)
    left.axhline(UNTRAINED, color="black", ls=":", lw=0.8)
    left.set(ylabel="train loss (nats)", yscale="log", title="after equal steps; dotted: untrained")
    right.set(ylabel="test accuracy", title="on new images")
    for panel in (left, right):
        panel.set(xscale="log", xlabel="hidden layers or blocks")
        panel.set_xticks(study["depths"], [str(d) for d in study["depths"]])
        panel.minorticks_off()
    right.legend(fontsize="small", loc="lower left")
