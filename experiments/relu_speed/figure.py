"""Figure of the claim: error over epochs, and the ratios by depth."""

import workbench as wb

from .measure import DEPTHS, ERROR, OTHERS, SHOWN, UNITS, WEIGHTS


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Error over epochs, and the ratios by depth."""
    *panels, ratios = figure.subplots(1, 3)
    for panel, weights in zip(panels, WEIGHTS, strict=True):
        for unit in UNITS:
            panel.plot("epoch", f"{unit} {weights}", data=study.tables["errors"], label=unit)
        panel.axhline(ERROR, color="black", ls=":", lw=0.8)
        panel.set(xlabel="epoch", ylabel="train error", ylim=(0, 1), title=f"{weights} weights, depth {SHOWN}")
        panel.legend(fontsize="small")
    for number, other in enumerate(OTHERS, 1):
        ratios.plot("depth", other, "o-", color=f"C{number}", data=study.tables["ratios"], label=f"{other} / relu")
    ratios.axhline(1, color="black", ls=":", lw=0.8)
    ratios.set(xlabel="hidden layers", ylabel="ratio of epochs", yscale="log", title="to 25 % train error")
    ratios.set_xticks(DEPTHS)
    ratios.set_yticks([0.5, 1, 2, 4, 8], ["½", "1", "2", "4", "8"])
    ratios.minorticks_off()
    ratios.legend(fontsize="small")
