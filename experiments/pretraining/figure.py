"""Figure of the claim: accuracy by start and by depth, gradient factors."""

import numpy as np

import workbench as wb
from workbench.claims import plots

from .measure import DEEP, PAIR


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy by start and by depth, gradient factors."""
    by_start, by_depth, factors = plots.panels(figure, 3, ratios=[4, 3, 3])
    rows, table = study.tables["accuracy"], study.tables["factors"]
    table = table[table["depth"] == table["depth"].max()]
    plots.dots(by_start, rows[rows["depth"] == DEEP], "arm", "accuracy")
    by_start.set(xlabel="test accuracy", title="Five hidden layers", xlim=(0, 1.02))
    plots.lines(by_depth, rows[rows["arm"].isin(PAIR)], "arm", "depth", "accuracy", PAIR)
    by_depth.set(xlabel="hidden layers", ylabel="test accuracy", ylim=(0, 1.02), title="Logistic units")
    plots.ticks(by_depth, rows["depth"])
    plots.key(by_depth, 1)
    for number, (name, own) in enumerate(table.groupby("activation", sort=False)):
        found = plots.intervals(own, "init", "measured")
        plots.points(factors, np.arange(len(found)), found, number, f"{name}, measured", 5, linestyle="none")
    predicted = table.drop_duplicates("init")["predicted"]
    places = np.arange(len(predicted))
    factors.hlines(predicted, places - 0.3, places + 0.3, plots.INK, linewidth=1, label="n Var W")
    factors.set_xticks(places, ["standard", "Glorot", "He"])
    factors.set(
        ylabel="factor of a squared gradient", ylim=(0, 2.2), title=f"Per layer of {table['depth'].max()}, at the start"
    )
    plots.key(factors, 1)
