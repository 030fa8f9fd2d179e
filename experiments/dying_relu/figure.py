"""Figure of the claim: born dead by depth, learned by width, died by learning rate."""

import workbench as wb


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Born dead by depth, learned by width, died by learning rate."""
    born, learned, died = figure.subplots(1, 3)
    for width, rows in study.tables["born_dead"].groupby("width"):
        (line,) = born.plot(rows["depth"], rows["share"], "o-", markersize=3, label=f"width {width}")
        born.fill_between(rows["depth"], rows["low"], rows["high"], color=line.get_color(), alpha=0.2)
    born.set(xscale="log", xlabel="affine layers", ylabel="share of nets", title="constant at birth")
    born.legend(fontsize="small")
    for way, rows in study.tables["narrow"].groupby("way", sort=False):
        learned.plot(rows["width"], rows["learned"], "o-", markersize=4, label=way)
    learned.set(xlabel="width", ylabel="share of nets", title="learned |x|, 10 layers")
    learned.legend(fontsize="small")
    for arm, rows in study.tables["high_rates"].groupby("arm", sort=False):
        means = rows.groupby("lr")["died"].mean()
        died.plot(means.index, means, "o-", label=arm)
    died.set(xscale="log", xlabel="learning rate", ylabel="share of units", title="died in training, digits")
    died.legend(fontsize="small")
