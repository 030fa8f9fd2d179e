"""Figure of the claim: test accuracy over batch size, by activation."""

import workbench as wb

from .measure import EPOCHS, UNITS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Test accuracy over batch size, by activation."""
    for panel, unit in zip(figure.subplots(1, 2, sharey=True), UNITS, strict=True):
        table = study.tables["accuracy"]
        for arm, rows in table[table["unit"] == unit].groupby("arm", sort=False):
            means = rows.groupby("batch")["accuracy"].mean()
            (line,) = panel.plot(means.index, means, "o-", label=arm)
            panel.plot(rows["batch"], rows["accuracy"], ".", color=line.get_color(), ms=3, alpha=0.4)
        panel.set(xscale="log", xlabel="batch size", title=f"three layers of {unit} units")
        panel.set_xticks([*EPOCHS], [str(size) for size in EPOCHS])
        panel.minorticks_off()
        panel.legend(loc="lower right", fontsize="small")
    figure.axes[0].set_ylabel("test accuracy")
