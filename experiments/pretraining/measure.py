"""Did deep nets need greedy pretraining, and does a better initialization spare it?

Slide "A Rapidly Evolving Field". Auto-encoders, trained layer by layer, stand against nets that learn from scratch:
from the initialization of the time and from better ones, with learning rates tuned for every arm. Why the start matters
is measured on untrained nets, beside the numbers of Glorot and Bengio: what a layer does to gradients.
"""

from collections.abc import Iterator
from itertools import product
from math import exp, log

import workbench as wb

from . import initial_gradients

ACCURACY, CHANCE, DEEP = "test/accuracy", 0.1, 5
FROM_SCRATCH = ("tanh glorot", "tanh orthogonal", "relu he")
PAIR = ("sigmoid pretrained", "sigmoid standard")
WIDE, NARROW = 256, 128  # units of a layer whose gradients, and whose Jacobian, are looked at


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Compare nets trained from each start, then the starts themselves."""
    yield from training(study)
    yield from starts(study)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracies of deep nets, and of logistic ones over depth."""
    depths = study.claim.parts["was_needed"].values("depth", int)
    wanted = [(arm, DEEP) for arm in study.claim.arms] + [(arm, d) for arm in PAIR for d in depths if d != DEEP]
    arms: dict[str, list[str]] = {wb.Arm(arm, depth=d): [*study.claim.arms[arm], hidden(d)] for arm, d in wanted}
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    pairs: list[tuple[str, dict[str, str | int], str, str]] = []
    for d in depths:
        pairs.append(("was_needed", {"depth": d}, wb.Arm(PAIR[0], depth=d), wb.Arm(PAIR[1], depth=d)))
    for part, first, second in (
        *(("init_suffices", arm, "tanh pretrained") for arm in FROM_SCRATCH),
        ("pretraining_of_tanh", "tanh pretrained", "tanh standard"),
        ("init_of_tanh", "tanh glorot", "tanh standard"),
        ("init_of_sigmoid", "sigmoid glorot", "sigmoid standard"),
    ):
        at: dict[str, str | int] = {"start": first} if part == "init_suffices" else {}
        pairs.append((part, at, wb.Arm(first, depth=DEEP), wb.Arm(second, depth=DEEP)))
    for part, at, first, second in pairs:
        yield wb.Cell(part, trained.differences(ACCURACY, first, second, diverged=CHANCE), at)
    rows = [(arm, d, one) for arm, d in wanted for one in trained.values(wb.Arm(arm, depth=d), ACCURACY, CHANCE)]
    study.keep("accuracy", [dict(zip(("arm", "depth", "accuracy"), row, strict=True)) for row in rows])


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Five logistic layers, pretrained and not; pretraining has half of the epochs, as the claim's own has."""
    epochs = study.specs(seeds=[0])[0].config.train.epochs
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=DEEP): [*study.claim.arms[arm], hidden(DEEP, width)] for arm in PAIR
    }
    first, second = arms
    arms[first].append(f"pretraining.epochs={epochs // 2}")
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    yield wb.Cell("was_needed", trained.differences(ACCURACY, first, second, diverged=CHANCE), {"depth": DEEP})


def hidden(depth: int, width: int = 64) -> str:
    """So many layers of so many units."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def starts(study: wb.Study) -> Iterator[wb.Cell]:
    """Gradient factors and Jacobians of nets that nobody trains."""
    first = study.seeds.start
    rows = []
    part = study.claim.parts["gradient_factor"]
    axes = part.values("activation", str), part.values("init", str), part.values("depth", int)
    for activation, init, depth in product(*axes):
        seeds = range(first, first + study["nets"])
        at: dict[str, str | int] = {"activation": activation, "init": init, "depth": depth}
        found = initial_gradients.gradient_factors(activation, init, seeds, WIDE, depth)
        predicted = log(initial_gradients.weight_factor(init, WIDE))
        yield wb.Cell("gradient_factor", wb.PerSeed(tuple(found - predicted)), at)
        rows += [{**at, "measured": exp(one), "predicted": exp(predicted)} for one in found]
    study.keep("factors", rows)
    seeds = range(first, first + study["jacobians"])
    for name, init in (("jacobian_standard", "uniform_fan_in"), ("jacobian_normalized", "glorot")):
        values = initial_gradients.mean_singular_values("tanh", init, seeds, NARROW, DEEP)
        yield wb.Cell(name, wb.PerSeed(tuple(values)))
