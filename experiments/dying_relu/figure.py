"""Figure of the claim: born dead by depth, learned by width, died by learning rate."""

import workbench as wb
from workbench.claims import plots


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Born dead by depth, learned by width, died by learning rate."""
    born, learned, died = plots.panels(figure, 3)
    for number, (width, rows) in enumerate(study.tables["born_dead"].groupby("width")):
        found = rows[["share"]].rename(columns={"share": "mean"})
        found["low"], found["high"] = rows["share"] - 1.96 * rows["error"], rows["share"] + 1.96 * rows["error"]
        plots.points(born, rows["depth"], found, number, f"width {width}")
        born.fill_between(rows["depth"], rows["low"], rows["high"], color=plots.look(number)["color"], alpha=0.2, lw=0)
    plots.ticks(born, study.tables["born_dead"]["depth"], log=True)
    born.set(xlabel="affine layers", ylabel="share of nets", title="Constant at birth")
    plots.key(born)
    ways = [*study.tables["narrow"].groupby("way", sort=False)]
    for number, (way, rows) in enumerate(ways):
        plots.points(learned, rows["width"], rows, number, str(way), len(ways))
    learned.set(xlabel="width", ylabel="share of nets", title="Learned |x|, 10 layers")
    plots.ticks(learned, study.tables["narrow"]["width"])
    plots.key(learned)
    plots.lines(died, study.tables["high_rates"], "arm", "lr", "died")
    died.set(xscale="log", xlabel="learning rate", ylabel="share of units", title="Died in training, digits")
    plots.key(died)
