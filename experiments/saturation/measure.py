"""Saturation: does it kill gradients, and is it what makes sigmoid nets hard to train?

Slide "ReLU vs. Sigmoid and Tanh". That a saturated unit passes little is checked on the line. That it hurts is measured
with nets whose units begin saturated. Why deep logistic nets fail is another question: of the four units with slope 1/4
or 1 at 0, and with values around 0 or not, all saturate at the same z.
"""

from collections.abc import Iterator
from math import log

import numpy as np
import torch

import workbench as wb

LOSS, ACCURACY = "train/loss", "test/accuracy"
UNTRAINED, CHANCE = log(10), 0.1
DEPTHS, USUAL, DEEP = (1, 3, 6), 3, 6
FALLS = {"sigmoid": 1.0, "tanh": 2.0}  # rate at which f' does
NAMES = {"sigmoid": "σ", "tanh": "tanh"}


def hidden(depth: int, width: int = 32) -> str:
    """So many layers of so many units."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """The line first, then nets."""
    for unit in NAMES:
        yield wb.Cell("kills", kills(study, unit), {"unit": unit})
    z = torch.logspace(-300, 300, 100_001, dtype=torch.float64)
    other = int((slope(study, "relu", z) != 1).sum())
    yield wb.Cell("relu_does_not", wb.Exact(len(z), other, 0.0, "", "f(z) = z for z > 0"))
    yield from training(study)


def slope(study: wb.Study, unit: str, z: torch.Tensor) -> torch.Tensor:
    """f' of a unit as nets have it, for z in any order."""
    activation = study.activation(unit)
    z = z.view(1, 1, -1)
    return activation.derivative(z, activation.forward(z)).flatten()


def kills(study: wb.Study, unit: str) -> wb.Exact:
    """Check that f' only falls with |z|, at least as fast as an exponential function."""
    z = torch.linspace(0, 30, 100_001, dtype=torch.float64)
    wrong, largest = 0, slope(study, unit, z[:1])
    for side in (z, -z):
        share = slope(study, unit, side) / largest
        rounding = 1e-15  # of a − a² and 1 − a² near a = 1
        wrong += int((share.diff() > rounding).sum()) + int((share > 4 * torch.exp(-FALLS[unit] * z) + rounding).sum())
    proof = f"f'(z)/f'(0) = 1/cosh²({FALLS[unit] / 2:g} z) ≤ 4 exp(−{FALLS[unit]:g} |z|)"
    return wb.Exact(4 * len(z) - 2, wrong, 0.0, "", proof)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """All arms at all depths."""
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=d): [*over, hidden(d)] for arm, over in study.claim.arms.items() for d in DEPTHS
    }
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))

    def better(first: str, second: str, depth: int) -> wb.PerSeed:
        return trained.differences(ACCURACY, wb.Arm(first, depth=depth), wb.Arm(second, depth=depth), diverged=CHANCE)

    for d in DEPTHS:
        for unit in NAMES:
            yield hurts(trained, unit, d)
        yield wb.Cell("as_good_as_tanh", better("tanh", "4σ − 2", d), {"depth": d})
        yield wb.Cell("offset", better("4σ − 2", "4σ − 1", d), {"depth": d})
        both = better("4σ − 1", "σ", d), better("4σ − 2", "σ − 1/2", d)
        gain = np.mean([one.values for one in both], axis=0)
        edge, four = both[0].at_edge + both[1].at_edge, both[0].arms + both[1].arms
        yield wb.Cell("slope", wb.PerSeed(tuple(gain), edge, four), {"depth": d})
    yield wb.Cell("deep_logistic_fails", better("tanh", "σ", DEEP), {"depth": DEEP})
    yield wb.Cell("saturated_but_better", better("σ × 10", "σ", DEEP))
    shares = {arm: saturated(trained, arm) for arm in ("σ", "σ × 10")}
    edge = trained.edge(wb.Arm("σ", depth=DEEP))
    yield wb.Cell("unsaturated", wb.PerSeed(tuple(shares["σ"].mean(0)), edge))
    keep(study, trained, shares)


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Logistic nets of three layers whose units begin saturated, against those whose do not."""
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=USUAL): [*study.claim.arms[arm], hidden(USUAL, width)] for arm in ("σ saturated", "σ")
    }
    yield hurts(study.train(study.tune(arms, tracked=False, chance=CHANCE)), "sigmoid", USUAL)


def hurts(trained: wb.Trained, unit: str, depth: int) -> wb.Cell:
    """Train loss, saturated less not saturated."""
    pair = wb.Arm(f"{NAMES[unit]} saturated", depth=depth), wb.Arm(NAMES[unit], depth=depth)
    found = trained.differences(LOSS, *pair, UNTRAINED, "train/accuracy", CHANCE)
    return wb.Cell("hurts", found, {"unit": unit, "depth": depth})


def saturated(trained: wb.Trained, arm: str) -> np.ndarray:
    """Saturated share of each layer and run of the deepest nets, after training."""
    layers = range(1, DEEP + 1)
    return np.array([trained.values(wb.Arm(arm, depth=DEEP), f"saturation/l{layer}", 1.0) for layer in layers])


def keep(study: wb.Study, trained: wb.Trained, shares: dict[str, np.ndarray]) -> None:
    """Every run, and the saturated shares by layer, for the figure."""
    rows = [(arm, d, one) for arm in study.claim.arms for d in DEPTHS for one in [wb.Arm(arm, depth=d)]]
    study.keep(
        "runs",
        [
            {"arm": arm, "depth": d, "loss": loss, "accuracy": accuracy}
            for arm, d, name in rows
            for loss, accuracy in zip(
                trained.values(name, LOSS, UNTRAINED), trained.values(name, ACCURACY, CHANCE), strict=True
            )
        ],
    )
    layers = [(arm, n, one) for arm, share in shares.items() for n, runs in enumerate(share, 1) for one in runs]
    study.keep("saturated", [{"arm": arm, "layer": n, "share": one} for arm, n, one in layers])
