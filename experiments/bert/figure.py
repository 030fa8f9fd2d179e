"""Figure of the claim: accuracy over the number of labels, and of all arms with few."""

import workbench as wb
from workbench.claims import plots
from workbench.data.agreement import bayes_accuracy

from .measure import CUE, FEW, INVARIABLE, SLOPE, TASKS

TITLES = {"number": "Number of a verb", "documents": "Document of a block"}


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy over the number of labels, and of all arms with few."""
    *over_labels, by_arm = plots.panels(figure, 3, ratios=[3, 3, 4])
    table = study.tables["accuracy"]
    for panel, task in zip(over_labels, TASKS, strict=True):
        rows = table[(table["task"] == task) & table["arm"].isin(SLOPE)]
        plots.lines(panel, rows, "arm", "labels", "accuracy", SLOPE)
        plots.ticks(panel, rows["labels"], log=True)
        panel.set(xlabel="labels", title=TITLES[task])
        plots.key(panel, 1)
    for context in ("left", "both"):
        best = float(bayes_accuracy(context, INVARIABLE, CUE))
        for panel, line in ((over_labels[0], "axhline"), (by_arm, "axvline")):
            getattr(panel, line)(best, color=plots.GRAY, linewidth=1, zorder=0)
    over_labels[0].set(ylabel="test accuracy")
    plots.dots(by_arm, table[(table["task"] == "number") & (table["labels"] == FEW)], "arm", "accuracy")
    by_arm.set(xlabel="test accuracy", title=f"{TITLES['number']}, {FEW} labels")
