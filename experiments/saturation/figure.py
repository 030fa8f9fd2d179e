"""Figure of the claim: accuracy by unit, loss of saturated nets, and saturation by layer."""

import workbench as wb

from .measure import DEPTHS, NAMES


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy by unit, loss of saturated nets, and saturation by layer."""
    units, hurt, layers = figure.subplots(1, 3)
    means = study.tables["runs"].groupby(["arm", "depth"])[["loss", "accuracy"]].mean()
    for arm in ("σ", "σ − 1/2", "4σ − 1", "4σ − 2", "tanh"):
        units.plot(DEPTHS, means.loc[arm, "accuracy"], "o-", label=arm)
    for number, name in enumerate(NAMES.values()):
        for arm, style in ((name, "o-"), (f"{name} saturated", "s--")):
            hurt.plot(DEPTHS, means.loc[arm, "loss"], style, color=f"C{number}", label=arm)
    for arm in ("σ", "σ × 10"):
        layers.plot("layer", arm, "o-", data=study.tables["saturated"], label=arm)
    units.set(xlabel="hidden layers", ylabel="test accuracy", title="units")
    hurt.set(xlabel="hidden layers", ylabel="train loss (nats)", title="saturated at the start", ylim=(-0.1, 3.6))
    layers.set(xlabel="layer of 6", ylabel="saturated share", title="after training", ylim=(-0.02, 1))
    for panel, place in ((units, "lower left"), (hurt, "upper left"), (layers, "upper right")):
        panel.legend(fontsize="small", loc=place)
    for panel in (units, hurt):
        panel.set_xticks(DEPTHS)
