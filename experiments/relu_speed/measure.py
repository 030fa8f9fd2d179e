"""ReLU against tanh and sigmoid: who learns sooner, and who is computed faster?

Slide "ReLU vs. Sigmoid and Tanh". Epochs to 25 % train error as in the figure that the claim comes from, learning rates
chosen for every net as there, with weights of a good scale and with AlexNet's. The time of the functions themselves and
of whole training steps is measured beside it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch

import workbench as wb
from workbench.nn.activations import Activation

ERROR, CHANCE = 0.25, 0.1
DEPTHS, SHOWN = (1, 3, 6), 3
WEIGHTS, OTHERS = ("scaled", "alexnet"), ("tanh", "sigmoid")
UNITS = ("relu", *OTHERS)
ROUNDS, CALLS, DESCENTS, STEPS = 10, 50, 3, 20


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
    never = study.specs(seeds=[0])[0].config.train.epochs + 1

    def errors(trained: wb.Trained, arm: str) -> list[list[float]]:
        return [[1 - a for a in one] for one in trained.course(arm, "train/accuracy")]

    def needed(trained: wb.Trained, arm: str) -> list[float]:
        return [reached(one, ERROR, never) for one in errors(trained, arm)]

    tuned = study.tune(arms, needed, tracked=False, chance=CHANCE)
    study.train(tuned)
    again = study.train(tuned, tracked=False)

    def ratio(other: str, weights: str, depth: int) -> wb.PerSeed:
        pair = [wb.Arm(f"{unit} {weights}", depth=depth) for unit in (other, "relu")]
        slow, quick = (np.log(needed(again, arm)) for arm in pair)
        arms = tuple(again.scores(arm, "train/accuracy", CHANCE) for arm in pair)
        return wb.PerSeed(tuple(slow - quick), again.edge(*pair), arms)

    for other in OTHERS:
        for d in DEPTHS:
            for weights in WEIGHTS:
                yield wb.Cell(f"than_{other}", ratio(other, weights, d), {"weights": weights, "depth": d})
    ratios = [(other, d, one) for other in OTHERS for d in DEPTHS for one in ratio(other, "scaled", d).values]
    study.keep("ratios", [{"other": other, "depth": d, "log ratio": one} for other, d, one in ratios])
    courses = {arm: [padded(one, never) for one in errors(again, wb.Arm(arm, depth=SHOWN))] for arm in study.claim.arms}
    rows = [(arm, n, one) for arm, several in courses.items() for run in several for n, one in enumerate(run)]
    study.keep("errors", [{"arm": arm, "epoch": n, "error": one} for arm, n, one in rows])


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
    """Processor time of the functions, and of whole steps."""
    z = torch.tensor(study.rng("z").normal(size=(64, 32, 64)), dtype=torch.float32)
    functions: dict[str, Callable[[], object]] = {}
    for unit in UNITS:
        functions[unit] = partial(both, study.activation(unit), z)
    for other, ratio in compared(functions, CALLS).items():
        yield wb.Cell("fast", ratio, {"other": other})
    for width in study.claim.parts["fast_step"].values("width", int):
        sizes = hidden(3, width), "split.test=0.88"
        packs = {unit: study.pack(f"activation={unit}", *sizes, seeds=study.draws(2)) for unit in UNITS}
        steps: dict[str, Callable[[], object]] = {}
        for unit, pack in packs.items():
            steps[unit] = partial(study.descend, pack, STEPS)
        for other, ratio in compared(steps, DESCENTS).items():
            yield wb.Cell("fast_step", ratio, {"other": other, "width": width})


def both(f: Activation, z: torch.Tensor) -> torch.Tensor:
    """f and f' of all z."""
    return f.derivative(z, f.forward(z))


def compared(work: Mapping[str, Callable[[], object]], calls: int) -> dict[str, wb.PerSeed]:
    """ln of the time of each over that of the first, in rounds in which all take turns."""
    spent = np.empty((ROUNDS, len(work), calls))
    for number in range(ROUNDS):
        for call in range(calls):
            for place, one in enumerate(work.values()):
                start = time.process_time()
                one()
                spent[number, place, call] = time.process_time() - start
    medians = np.log(np.median(spent, 2))
    return {other: wb.PerSeed(tuple(medians[:, place] - medians[:, 0])) for place, other in enumerate(work) if place}
