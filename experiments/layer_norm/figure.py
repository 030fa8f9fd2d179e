"""Figure of the claim: test accuracy over batch size, by activation."""

import workbench as wb
from workbench.claims import plots

from .measure import EPOCHS, UNITS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Test accuracy over batch size, by activation."""
    table = study.tables["accuracy"]
    for panel, unit in zip(plots.panels(figure, 2), UNITS, strict=True):
        plots.lines(panel, table[table["unit"] == unit], "arm", "batch", "accuracy")
        panel.set(xlabel="batch size", ylabel="test accuracy", title=f"Three layers of {unit} units")
        plots.ticks(panel, EPOCHS, log=True)
        plots.key(panel, 1)
