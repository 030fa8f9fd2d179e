"""Softplus or ReLU: which saturates less, and which does better?

Slide "ReLU vs. Softplus". Where f' is small is compared on the line, exactly; what it means in a net is measured over
seeds, at three depths, with learning rates tuned for every arm and depth. Dropped by ln 2, softplus passes through 0,
and with a growing β it becomes ReLU: both tell what of the difference comes from its smoothness.
"""

from collections.abc import Iterator
from math import log

import numpy as np
import torch

import workbench as wb

ACCURACY, CHANCE = "test/accuracy", 0.1
SATURATED, REACHED, USUAL = 0.05, 0.95, 3
PAIR = ("relu", "softplus")
SHARP = {5: "softplus β=5", 10: "softplus β=10"}


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """The line first, then nets."""
    for beta in study.claim.parts["saturates_less"].values("beta", int):
        yield wb.Cell("saturates_less", saturates_less(study, beta), {"beta": beta})
    yield from training(study)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """Five units at three depths."""
    depths = study.claim.parts["relu_better"].values("depth", int)
    arms: dict[str, list[str]] = {
        wb.Arm(unit, depth=d): [*study.claim.arms[unit], hidden(d)] for unit in study.claim.arms for d in depths
    }
    tuned = study.tune(arms, tracked=False, chance=CHANCE)
    trained = study.train(tuned)
    pairs = [("relu_better", {"depth": d}, "relu", "softplus") for d in depths]
    pairs += [("dropped", {"depth": d}, "softplus − ln 2", "relu") for d in depths]
    pairs += [("sharp", {"beta": b, "depth": d}, "relu", SHARP[b]) for b in SHARP for d in depths]
    for part, at, first, second in pairs:
        pair = wb.Arm(first, depth=at["depth"]), wb.Arm(second, depth=at["depth"])
        yield wb.Cell(part, trained.differences(ACCURACY, *pair, diverged=CHANCE), at)
    for d in depths:
        saturated = [shares(trained, wb.Arm(unit, depth=d), d) for unit in PAIR]
        yield wb.Cell("less_in_training", per_seed(saturated[0] - saturated[1], trained, d), {"depth": d})
    yield from sooner(study, tuned, depths)
    rows = [(unit, d, wb.Arm(unit, depth=d)) for unit in study.claim.arms for d in depths]
    study.keep(
        "runs",
        [
            {"unit": unit, "depth": d, "accuracy": accuracy, "saturated": saturated}
            for unit, d, arm in rows
            for accuracy, saturated in zip(trained.values(arm, ACCURACY, CHANCE), shares(trained, arm, d), strict=True)
        ],
    )


def hidden(depth: int, width: int = 64) -> str:
    """So many layers of so many units."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """ReLU against softplus in three layers."""
    arms: dict[str, list[str]] = {
        wb.Arm(unit, depth=USUAL): [*study.claim.arms[unit], hidden(USUAL, width)] for unit in PAIR
    }
    first, second = arms
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    yield wb.Cell("relu_better", trained.differences(ACCURACY, first, second, diverged=CHANCE), {"depth": USUAL})


def slope(study: wb.Study, unit: str, z: torch.Tensor, *overrides: str) -> torch.Tensor:
    """f' of a unit as nets have it."""
    activation = study.activation(unit, *overrides)
    units = z.view(1, 1, -1)
    return activation.derivative(units, activation.forward(units)).flatten()


def saturates_less(study: wb.Study, beta: float) -> wb.Exact:
    """Check that softplus is saturated only where ReLU is, and not everywhere there."""
    positive = torch.logspace(-8, np.log10(700 / beta), 100_000, dtype=torch.float64)
    z = torch.cat([-positive, positive])
    smooth, rectifier = slope(study, "softplus", z, f"activation.beta={beta}"), slope(study, "relu", z)
    wrong = (smooth <= 0) | ((smooth < SATURATED) & (rectifier >= SATURATED))
    saved = (smooth >= SATURATED) & (rectifier < SATURATED)
    proof = f"σ(βz) < 1/20 only for z < −ln(19)/β = {-log(19) / beta:.3f}, ReLU's slope is 0 for all z ≤ 0"
    example = f"z = {float(z[wrong][0]):.3g}" if wrong.any() else "no z is saved"
    return wb.Exact(len(z) + 1, int(wrong.sum()) + int(not saved.any()), 0.0, example, proof)


def shares(trained: wb.Trained, arm: str, depth: int) -> np.ndarray:
    """Saturated share of each run's units, over hidden layers."""
    layers = np.array([trained.values(arm, f"saturation/l{layer}", 1.0) for layer in range(1, depth + 1)])
    return np.asarray(layers.mean(0))


def per_seed(values: np.ndarray, trained: wb.Trained, depth: int) -> wb.PerSeed:
    """Evidence from ReLU and softplus at this depth, whose learning rates must not be at an end of the grid."""
    pair = [wb.Arm(one, depth=depth) for one in PAIR]
    arms = tuple(trained.scores(arm, ACCURACY, CHANCE) for arm in pair)
    return wb.PerSeed(tuple(values), trained.edge(*pair), arms)


def sooner(study: wb.Study, tuned: wb.Tuned, depths: list[int]) -> Iterator[wb.Cell]:
    """Epochs to a train accuracy; a run that never has it counts as one epoch more than there are."""
    arms: dict[str, list[str]] = {arm: tuned[arm] for arm in (wb.Arm(one, depth=d) for one in PAIR for d in depths)}
    again = study.train(wb.Tuned(arms, tuned.at_edge, tuned.rates), tracked=False)
    never = study.specs(seeds=[0])[0].config.train.epochs + 1
    for d in depths:
        courses = [again.course(wb.Arm(one, depth=d), "train/accuracy") for one in PAIR]
        relu, softplus = [[next((n for n, a in enumerate(one) if a >= REACHED), never) for one in c] for c in courses]
        yield wb.Cell("relu_sooner", per_seed(np.log(softplus) - np.log(relu), again, d), {"depth": d})
