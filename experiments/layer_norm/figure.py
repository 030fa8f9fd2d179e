"""Figure of the claim: test error over batch size, by activation."""

import workbench as wb
from workbench.claims import plots

from .measure import EPOCHS, UNITS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Test error over batch size, by activation."""
    table = study.tables["accuracy"].assign(error=lambda rows: 1 - rows["accuracy"])
    for panel, unit in zip(plots.panels(figure, 2), UNITS, strict=True):
        plots.lines(panel, table[table["unit"] == unit], "arm", "batch", "error")
        panel.set(xlabel="batch size", ylabel="test error", title=f"Three layers of {unit} units")
        plots.ratios(panel)
        plots.ticks(panel, EPOCHS, log=True)
        plots.key(panel, 1)
