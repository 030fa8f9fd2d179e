"""Batch normalization: does it train deeper nets?

Slide "A Rapidly Evolving Field". Plain nets of three activations, with and without it, take the same steps at growing
depth, every arm and depth with its own learning rate, and the depth that still trains is compared. The paper's first
experiment stands beside it. What happens to gradients before training is proved, and measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import log

import numpy as np

import workbench as wb

from . import gradient_growth

LOSS, ACCURACY, REACHED = "train/loss", "train/accuracy", 0.95
UNTRAINED, CHANCE = log(10), 0.1
STEP = log(1.5)  # between two depths
GAIN = 0.223  # the smallest ratio that counts, its ln
HALF = 0.5
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
    tried = trained_by_depth(study)
    for unit, by_depth in tried.items():
        yield deeper(unit, by_depth)
        for d, trained in by_depth.items():
            pair = wb.Arm(unit, depth=d), wb.Arm(unit + NORM, depth=d)
            difference = trained.differences(LOSS, *pair, UNTRAINED, ACCURACY, CHANCE)
            yield wb.Cell("lower_loss", difference, {"activation": unit, "depth": d})
    arms = {arm: by_depth for unit, by_depth in tried.items() for arm in (unit, unit + NORM)}
    rows = [
        (arm, d, one)
        for arm, by_depth in arms.items()
        for d, several in zip(by_depth, accuracies(by_depth, arm), strict=True)
        for one in several
    ]
    study.keep("depths", [{"arm": arm, "depth": d, "accuracy": accuracy} for arm, d, accuracy in rows])


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """ReLU nets at the depths of the quick profile."""
    unit, tried = "relu", study.claim.parts["lower_loss"].values("depth", int)
    trained = study.train(study.tune(sized(study, unit, tried, width), tracked=False, chance=CHANCE))
    yield deeper(unit, dict.fromkeys(tried, trained))


def deeper(unit: str, by_depth: Mapping[int, wb.Trained]) -> wb.Cell:
    """Compare the greatest depths that train, with and without batch normalization."""
    reached = {arm: np.array(accuracies(by_depth, arm)) for arm in (unit, unit + NORM)}
    without, with_norm = ((reached[arm] >= REACHED).sum(0) for arm in reached)
    best = tuple(wb.ArmScores(f"{arm}, its best depth", tuple(reached[arm].max(0)), CHANCE) for arm in reached)
    edge = [one for d, trained in by_depth.items() for one in trained.edge(*(wb.Arm(arm, depth=d) for arm in reached))]
    ratios, deepest = tuple(STEP * (with_norm - without)), max(by_depth)
    last = [float((reached[arm][-1] >= REACHED).mean()) for arm in reached]
    found = wb.PerSeed(ratios, tuple(edge), best, cut_off=cut_off(ratios, deepest, *last))
    return wb.Cell("deeper", found, {"activation": unit})


def sized(study: wb.Study, unit: str, depths: Sequence[int], width: int = 32) -> dict[str, list[str]]:
    """Nets of a unit with and without batch normalization at these depths."""
    return {
        wb.Arm(arm, depth=d): [*study.claim.arms[arm], hidden(d, width)] for arm in (unit, unit + NORM) for d in depths
    }


def accuracies(by_depth: Mapping[int, wb.Trained], arm: str) -> list[list[float]]:
    """Accuracies of an arm by depth and seed."""
    return [trained.values(wb.Arm(arm, depth=d), ACCURACY, CHANCE) for d, trained in by_depth.items()]


def trained_by_depth(study: wb.Study) -> dict[str, dict[int, wb.Trained]]:
    """Train each activation's nets at the profile's depths; while half of the deepest train, deeper ones.

    The next depth is 1.5 times the last, up to the profile's ``deepest``.
    """
    tried: dict[str, dict[int, wb.Trained]] = {
        unit: {} for unit in study.claim.parts["deeper"].values("activation", str)
    }
    wanted: dict[str, list[int]] = dict.fromkeys(tried, study["depths"])
    while wanted:
        arms: dict[str, list[str]] = {}
        for unit, several in wanted.items():
            arms |= sized(study, unit, several)
        trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
        for unit, several in wanted.items():
            tried[unit] |= dict.fromkeys(several, trained)
        wanted = {
            unit: [deeper]
            for unit, several in wanted.items()
            for deeper in [round(1.5 * several[-1])]
            if deeper <= study["deepest"] and still_trains(trained, unit, several[-1])
        }
    return tried


def still_trains(trained: wb.Trained, unit: str, depth: int) -> bool:
    """Check that at this depth half of the seeds of one of the two arms train."""
    arms = (wb.Arm(arm, depth=depth) for arm in (unit, unit + NORM))
    return any(np.mean(np.array(trained.values(arm, ACCURACY, CHANCE)) >= REACHED) >= HALF for arm in arms)


def cut_off(ratios: Sequence[float], deepest: int, without: float, with_norm: float) -> str:
    """Say which arm may train deeper nets than were tried, which makes its depth a lower bound; empty where harmless.

    `without` and `with_norm` are the shares of seeds that train at the deepest. Where only nets with batch
    normalization still train, the ratio is a lower bound, which does no harm to a gain.
    """
    if without < HALF and (with_norm < HALF or np.median(ratios) > GAIN):
        return ""
    which, share = ("without", without) if without >= HALF else ("with", with_norm)
    return f"the deepest nets that were tried, of {deepest} layers, still train {which} it ({share:.0%} of the seeds)"


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
