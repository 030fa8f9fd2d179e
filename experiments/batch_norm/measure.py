"""Batch normalization: does it train deeper nets?

Slide "A Rapidly Evolving Field". Plain nets of three activations, with and without it, take the same steps at growing
depth, every arm and depth with its own learning rate, and the depth that still trains is compared. The paper's first
experiment stands beside it. What happens to gradients before training is proved, and measured.
"""

from collections.abc import Iterator
from math import log

import numpy as np

import workbench as wb

from . import gradient_growth

LOSS, ACCURACY, REACHED = "train/loss", "train/accuracy", 0.95
UNTRAINED, CHANCE = log(10), 0.1
STEP = log(1.5)  # between two depths
NORM = " + batch norm"
PAPER = [
    "architecture.hidden=[100,100,100]",
    "activation=sigmoid",
    "init=normal",
    "init.std=0.1",
    "train.batch_size=60",
    "schedule=constant",
]
PAPER_EPOCHS, PAPER_REACHED = 40, 0.8
WIDE_SEEDS = 16  # more would take gigabytes, and the spread is a hundredth
UNITS = ("identity", "relu", "leaky_relu", "absolute", "tanh", "sigmoid", "softsign", "softplus", "elu", "gelu", "silu")


def hidden(depth: int, width: int = 32) -> str:
    """So many layers of so many units."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Gradients before training, then trained nets."""
    yield from gradients(study)
    yield from depths(study)
    yield from paper(study)


def gradients(study: wb.Study) -> Iterator[wb.Cell]:
    """The factor per layer: never below 1, and as in nets."""
    factors = {unit: gradient_growth.growth(study.activation(unit)) for unit in UNITS}
    below = [unit for unit, factor in factors.items() if factor < 1 - 1e-9]
    proof = "Gaussian Poincaré inequality: Var f(n) ≤ E f'(n)², with equality for linear f only"
    yield wb.Cell("never_less", wb.Exact(len(factors), len(below), 0.0, ", ".join(below), proof))
    for unit in study.claim.parts["as_predicted"].values("activation", str):
        for width in study["widths"]:
            wide = ["init=he", "norm=batch", hidden(18, width)]
            pack = study.pack(f"activation={unit}", *wide, seeds=study.seeds[:WIDE_SEEDS])
            x, y = pack.data.chunk(pack.data.train, 0, 256)
            grown = gradient_growth.measured_growth(pack.objective, pack.initial_params(), x, y, settled=8)
            yield wb.Cell(
                "as_predicted", wb.PerSeed(tuple(grown - log(factors[unit]))), {"activation": unit, "width": width}
            )


def depths(study: wb.Study) -> Iterator[wb.Cell]:
    """All arms at all depths."""
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=d): [*over, hidden(d)] for arm, over in study.claim.arms.items() for d in study["depths"]
    }
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    for unit in study.claim.parts["deeper"].values("activation", str):
        names = {arm: [wb.Arm(arm, depth=d) for d in study["depths"]] for arm in (unit, unit + NORM)}
        reached = {arm: np.array([trained.values(name, ACCURACY, CHANCE) for name in names[arm]]) for arm in names}
        without, with_norm = ((reached[arm] >= REACHED).sum(0) for arm in names)
        best = tuple(wb.ArmScores(f"{arm}, its best depth", tuple(reached[arm].max(0)), CHANCE) for arm in names)
        edge = trained.edge(*(one for several in names.values() for one in several))
        yield wb.Cell("deeper", wb.PerSeed(tuple(STEP * (with_norm - without)), edge, best), {"activation": unit})
        for d, first, second in zip(study["depths"], *names.values(), strict=True):
            difference = trained.differences(LOSS, first, second, UNTRAINED, ACCURACY, CHANCE)
            yield wb.Cell("lower_loss", difference, {"activation": unit, "depth": d})
    rows = [(arm, d, one) for arm in study.claim.arms for d in study["depths"] for one in [wb.Arm(arm, depth=d)]]
    study.keep(
        "depths",
        [
            {"arm": arm, "depth": d, "accuracy": accuracy}
            for arm, d, name in rows
            for accuracy in trained.values(name, ACCURACY, CHANCE)
        ],
    )


def paper(study: wb.Study) -> Iterator[wb.Cell]:
    """Epochs to 80 % of the paper's net; one more than there are where it never gets there."""
    common = [*PAPER, f"train.epochs={PAPER_EPOCHS}"]
    trained = study.train(
        study.tune({"without": common, "with": [*common, "norm=batch"]}, tracked=False, chance=CHANCE), tracked=False
    )
    courses = {arm: trained.course(arm, "valid/accuracy") for arm in ("without", "with")}
    without, with_norm = (
        [next((n for n, a in enumerate(one) if a >= PAPER_REACHED), PAPER_EPOCHS + 1) for one in several]
        for several in courses.values()
    )
    scores = tuple(trained.scores(arm, "valid/accuracy", CHANCE) for arm in courses)
    yield wb.Cell("faster", wb.PerSeed(tuple(np.log(without) - np.log(with_norm)), trained.at_edge, scores))
    rows = [(arm, n, a) for arm, several in courses.items() for one in several for n, a in enumerate(one)]
    study.keep("paper", [{"arm": arm, "epoch": n, "accuracy": accuracy} for arm, n, accuracy in rows])
