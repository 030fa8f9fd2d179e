"""ReLU against tanh and sigmoid: who learns sooner, and who is computed faster?

Slide "ReLU vs. Sigmoid and Tanh". Epochs to 25 % train error as in the figure that the claim comes from, learning rates
chosen for every net as there, with weights of a good scale and with AlexNet's. The time of the functions themselves and
of whole training steps is measured beside it.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

import workbench as wb

from . import processor_times

ERROR, CHANCE = 0.25, 0.1
DEPTHS, SHOWN = (1, 3, 6), 3
WEIGHTS, OTHERS = ("scaled", "alexnet"), ("tanh", "sigmoid")
UNITS = ("relu", *OTHERS)
PROCESSES = 10


def hidden(depth: int, width: int = 64) -> str:
    """So many layers of so many units."""
    return f"architecture.hidden=[{','.join([str(width)] * depth)}]"


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Epochs, then times."""
    yield from epochs(study)
    yield from times(study)


def epochs(study: wb.Study) -> Iterator[wb.Cell]:
    """Epochs to the train error, of all arms at all depths, at the rates at which they take fewest."""
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=d): [*over, hidden(d)] for arm, over in study.claim.arms.items() for d in DEPTHS
    }
    never = last_epoch(study) + 1
    tuned = study.tune(arms, partial(needed, never), tracked=False, chance=CHANCE)
    study.train(tuned)
    again = study.train(tuned, tracked=False)
    for other in OTHERS:
        for d in DEPTHS:
            for weights in WEIGHTS:
                found = ratio(again, never, other, weights, d)
                yield wb.Cell(f"than_{other}", found, {"weights": weights, "depth": d})
    cells = [(other, d, ratio(again, never, other, "scaled", d)) for other in OTHERS for d in DEPTHS]
    ratios = [(other, d, one) for other, d, found in cells for one in found.values]
    study.keep("ratios", [{"other": other, "depth": d, "log ratio": one} for other, d, one in ratios])
    courses = {arm: [padded(one, never) for one in errors(again, wb.Arm(arm, depth=SHOWN))] for arm in study.claim.arms}
    rows = [(arm, n, one) for arm, several in courses.items() for run in several for n, one in enumerate(run)]
    study.keep("errors", [{"arm": arm, "epoch": n, "error": one} for arm, n, one in rows])


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """ReLU against tanh in three layers with scaled weights."""
    never, other, weights = last_epoch(study) + 1, "tanh", "scaled"
    arms: dict[str, list[str]] = {
        wb.Arm(arm, depth=SHOWN): [*study.claim.arms[arm], hidden(SHOWN, width)]
        for arm in (f"relu {weights}", f"{other} {weights}")
    }
    again = study.train(study.tune(arms, partial(needed, never), tracked=False, chance=CHANCE), tracked=False)
    yield wb.Cell(f"than_{other}", ratio(again, never, other, weights, SHOWN), {"weights": weights, "depth": SHOWN})


def last_epoch(study: wb.Study) -> int:
    """The number of epochs that nets train."""
    return study.specs(seeds=[0])[0].config.train.epochs


def errors(trained: wb.Trained, arm: str) -> list[list[float]]:
    """Train error by epoch, for each seed."""
    return [[1 - a for a in one] for one in trained.course(arm, "train/accuracy")]


def needed(never: int, trained: wb.Trained, arm: str) -> list[float]:
    """Epochs to the train error by seed, `never` where it is not reached."""
    return [reached(one, ERROR, never) for one in errors(trained, arm)]


def ratio(trained: wb.Trained, never: int, other: str, weights: str, depth: int) -> wb.PerSeed:
    """ln of how many times the epochs of ReLU another unit takes."""
    pair = [wb.Arm(f"{unit} {weights}", depth=depth) for unit in (other, "relu")]
    slow, quick = (np.log(needed(never, trained, arm)) for arm in pair)
    arms = tuple(trained.scores(arm, "train/accuracy", CHANCE) for arm in pair)
    return wb.PerSeed(tuple(slow - quick), trained.edge(*pair), arms)


def reached(errors: list[float], wanted: float, never: int) -> float:
    """The epoch, between two records, at which an error is down to the one wanted."""
    for epoch, error in enumerate(errors):
        if error <= wanted:
            before = errors[epoch - 1] if epoch else error
            return epoch - ((wanted - error) / (before - error) if before > error else 0)
    return never


def padded(errors: list[float], epochs: int) -> list[float]:
    """The course of a run that diverged, with chance from there on."""
    return [*errors, *[0.9] * (epochs - len(errors))]


def times(study: wb.Study) -> Iterator[wb.Cell]:
    """Processor times of the functions and of whole steps, a number per process."""
    found = processor_times.in_processes(PROCESSES, study.offset)
    for other in OTHERS:
        yield wb.Cell("fast", wb.PerSeed(tuple(one["functions"][other] for one in found)), {"other": other})
        for width in study.claim.parts["fast_step"].values("width", int):
            ratios = tuple(one[str(width)][other] for one in found)
            yield wb.Cell("fast_step", wb.PerSeed(ratios), {"other": other, "width": width})
