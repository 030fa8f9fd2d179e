"""Figure of the claim: accuracy over depth, and over epochs for the paper's net."""

import workbench as wb
from workbench.claims import plots

from .measure import NORM, PAPER_REACHED, REACHED


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy over depth, and over epochs for the paper's net."""
    left, right = plots.panels(figure, 2)
    table, units = study.tables["depths"], study.claim.parts["deeper"].values("activation", str)
    for number, unit in enumerate(units):
        for aside, (arm, more) in enumerate(((unit, {"mfc": "white", "ls": "--"}), (unit + NORM, {"ls": "-"}))):
            found = plots.intervals(table[table["arm"] == arm], "depth", "accuracy")
            own = plots.look(number) | {"linestyle": more.pop("ls")} | more
            plots.points(left, found.index, found, 2 * number + aside, arm, 2 * len(units), **own)
    left.axhline(REACHED, **plots.REFERENCE)
    left.set(xlabel="hidden layers", ylabel="train accuracy", title="After equal steps")
    plots.ticks(left, study["depths"])
    plots.key(left)
    paper = study.tables["paper"]
    for number, (which, rows) in enumerate(paper.groupby("arm", sort=False)):
        plots.band(right, rows, "epoch", "accuracy", number, f"{which} batch norm")
    right.axhline(PAPER_REACHED, **plots.REFERENCE)
    right.set(xlabel="epoch", ylabel="validation accuracy", title="Three layers of 100 logistic units")
    plots.key(right)
