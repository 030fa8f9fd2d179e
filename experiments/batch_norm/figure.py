"""Figure of the claim: accuracy over depth, and over epochs for the paper's net."""

import workbench as wb

from .measure import NORM, PAPER_REACHED, REACHED


def draw(figure: wb.Figure, study: wb.Study) -> None:
    """Accuracy over depth, and over epochs for the paper's net."""
    left, right = figure.subplots(1, 2)
    means = study.tables["depths"].groupby(["arm", "depth"])["accuracy"].mean()
    for number, unit in enumerate(study.claim.parts["deeper"].values("activation", str)):
        for arm, style in ((unit, "o--"), (unit + NORM, "s-")):
            left.plot(means[arm].index, means[arm], style, color=f"C{number}", label=arm)
    left.axhline(REACHED, color="black", ls=":", lw=0.8)
    left.set(xlabel="hidden layers", ylabel="train accuracy", title="after equal steps")
    left.set_xticks(study["depths"])
    left.legend(fontsize="small")
    for which, rows in study.tables["paper"].groupby("arm", sort=False):
        course = rows.groupby("epoch")["accuracy"].mean()
        right.plot(course.index, course, label=f"{which} batch norm")
    right.axhline(PAPER_REACHED, color="black", ls=":", lw=0.8)
    right.set(xlabel="epoch", ylabel="validation accuracy", title="3 × 100 logistic units")
    right.legend(fontsize="small")
