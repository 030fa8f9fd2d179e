"""Figure of the claim: accuracy by start and by depth, gradient factors."""

import numpy as np

import workbench as wb

from .measure import DEEP, PAIR


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy by start and by depth, gradient factors."""
    by_start, by_depth, factors = figure.subplots(1, 3)
    rows = study.tables["accuracy"]
    deep = rows[rows["depth"] == DEEP]
    by_start.plot(deep["accuracy"], deep["arm"], "o", markersize=4, alpha=0.5)
    by_start.set(xlabel="test accuracy", title="five hidden layers", xlim=(0, 1.02))
    for arm in PAIR:
        means = rows[rows["arm"] == arm].groupby("depth")["accuracy"].mean()
        by_depth.plot(means.index, means, "o-", label=arm)
    by_depth.set(xlabel="hidden layers", ylabel="test accuracy", ylim=(0, 1.02), title="logistic units")
    by_depth.set_xticks(sorted(set(rows["depth"])))
    by_depth.legend(fontsize="small", loc="lower left")
    table = study.tables["factors"]
    for shift, (name, own) in zip((-0.1, 0.1), table.groupby("activation", sort=False), strict=True):
        factors.plot(np.arange(len(own)) + shift, own["measured"], "o", label=name)
    predicted = table.drop_duplicates("init")["predicted"]
    factors.hlines(
        predicted, np.arange(len(predicted)) - 0.3, np.arange(len(predicted)) + 0.3, "black", label="n Var W"
    )
    factors.set_xticks(range(len(predicted)), ["standard", "Glorot", "He"])
    factors.set(ylabel="factor of a squared gradient", ylim=(0, 2.2), title="per layer, at the start")
    factors.legend(fontsize="small")
