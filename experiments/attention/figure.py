"""Figure of the claim: gains of a Transformer over the best recurrent and the best convolutional net, task by task."""

import workbench as wb
from workbench.claims import plots


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Map of tasks by rival: gains with their intervals, a pale dot for each seed."""
    gains = study.tables["gains"]
    for panel, (family, rows) in zip(plots.panels(figure, 2), gains.groupby("rival", sort=False), strict=True):
        best = dict(zip(rows["task"], rows["net"], strict=True))
        plots.dots(panel, rows, "task", "gain", {task: f"{task}\n({net})" for task, net in best.items()})
        panel.axvline(0, **plots.REFERENCE)
        panel.set(xlabel="Transformer − rival: share right, or bits saved", title=f"Against {family} nets")
