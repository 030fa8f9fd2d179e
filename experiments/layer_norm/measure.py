"""Layer normalization: simpler than batch normalization, and able to replace it?

Slide "A Rapidly Evolving Field". What "simpler" means is checked exactly on untrained nets: no state, no difference
between training and evaluation, no dependence on the batch. Whether it can replace batch normalization is measured in
batches of four sizes, with learning rates tuned for every arm and size.
"""

from collections.abc import Iterator

import numpy as np
import torch

import workbench as wb

ACCURACY, CHANCE, REACHED = "test/accuracy", 0.1, 0.95
EPOCHS = {2: 6, 4: 8, 16: 15, 128: 60}  # batch size -> epochs
ROUNDING = 1e-12
SMALL, USUAL, LARGE = min(EPOCHS), 16, max(EPOCHS)
UNITS = ("relu", "sigmoid")
LAYER, BATCH = " + layer norm", " + batch norm"
PARTS = {"relu": "can_replace", "sigmoid": "logistic_units"}


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Untrained nets, then trained ones."""
    for unit in UNITS:
        yield wb.Cell("simpler", simpler(study, unit + LAYER), {"activation": unit})
        changed = (outputs(study, unit + BATCH)[2]).flatten(1).amax(1)
        proof = "the mean and the variance that it divides by are those of the batch"
        yield wb.Cell(
            "depends_on_others",
            wb.Exact(len(changed), int((changed < ROUNDING).sum()), 0.0, "", proof),
            {"activation": unit},
        )
    yield from training(study)


def outputs(study: wb.Study, arm: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs [R, 64, O] in training; how far those in evaluation, and those in batches of 8, are from them."""
    pack = study.pack(*study.claim.arms[arm], "dtype=float64")
    model, params = pack.objective.model, pack.initial_params()
    x, _ = pack.data.chunk(pack.data.train, 0, 64)
    z, _ = model.forward(params, x, pack.mode(0))
    evaluated, _ = model.forward(params, x)
    parts = torch.cat([model.forward(params, part, pack.mode(0))[0] for part in torch.split(x, 8, 1)], 1)
    return z, (evaluated - z).abs(), (parts - z).abs()


def simpler(study: wb.Study, arm: str) -> wb.Exact:
    """Check that nets have no running statistics and give an example the same output in any batch."""
    z, evaluated, alone = outputs(study, arm)
    pack = study.pack(*study.claim.arms[arm])
    states = [len(pack.objective.model.buffers(scheme)) for scheme in pack.schemes]
    wrong = (evaluated > 0).any(2).sum() + (alone > ROUNDING).any(2).sum() + sum(map(bool, states))
    checked = 2 * z.shape[0] * z.shape[1] + len(states)
    proof = "mean and variance are of one example's own units, in training and in evaluation"
    example = f"states: {max(states)}, evaluation off by {float(evaluated.max()):.2g}, alone {float(alone.max()):.2g}"
    return wb.Exact(checked, int(wrong), float(torch.maximum(evaluated, alone).max()), example, proof)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """All arms in batches of all sizes."""
    arms: dict[str, list[str]] = {
        wb.Arm(arm, batch=size): [*overrides, f"train.batch_size={size}", f"train.epochs={epochs}"]
        for arm, overrides in study.claim.arms.items()
        for size, epochs in EPOCHS.items()
    }
    tuned = study.tune(arms, tracked=False, chance=CHANCE)
    trained = study.train(tuned)
    for unit in UNITS:
        better = {
            size: trained.differences(
                ACCURACY, wb.Arm(unit + LAYER, batch=size), wb.Arm(unit + BATCH, batch=size), diverged=CHANCE
            )
            for size in EPOCHS
        }
        for size, difference in better.items():
            yield wb.Cell(PARTS[unit], difference, {"batch": size})
        few, many = better[SMALL], better[LARGE]
        grown = wb.PerSeed(
            tuple(np.subtract(few.values, many.values)), few.at_edge + many.at_edge, few.arms + many.arms
        )
        yield wb.Cell("small_batches", grown, {"activation": unit})
    yield from sooner(study, tuned)
    rows = [
        (unit, unit + norm, size, wb.Arm(unit + norm, batch=size))
        for unit in UNITS
        for norm in ("", BATCH, LAYER)
        for size in EPOCHS
    ]
    study.keep(
        "accuracy",
        [
            {"unit": unit, "arm": arm, "batch": size, "accuracy": accuracy}
            for unit, arm, size, name in rows
            for accuracy in trained.values(name, ACCURACY, CHANCE)
        ],
    )


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """ReLU nets in batches of 16."""
    net = f"architecture.hidden=[{width},{width},{width}]"
    arms: dict[str, list[str]] = {
        wb.Arm(arm, batch=USUAL): [*study.claim.arms[arm], net] for arm in ("relu" + LAYER, "relu" + BATCH)
    }
    first, second = arms
    trained = study.train(study.tune(arms, tracked=False, chance=CHANCE))
    yield wb.Cell(PARTS["relu"], trained.differences(ACCURACY, first, second, diverged=CHANCE), {"batch": USUAL})


def sooner(study: wb.Study, tuned: wb.Tuned) -> Iterator[wb.Cell]:
    """Epochs to a train accuracy in large batches; one more than there are where it is never reached."""
    arms = {unit: [wb.Arm(unit + norm, batch=LARGE) for norm in (BATCH, LAYER)] for unit in UNITS}
    again = study.train({arm: tuned[arm] for several in arms.values() for arm in several}, tracked=False)
    for unit, several in arms.items():
        courses = [again.course(arm, "train/accuracy") for arm in several]
        batch, layer = [
            [next((n for n, a in enumerate(one) if a >= REACHED), EPOCHS[LARGE] + 1) for one in c] for c in courses
        ]
        edge = tuple(arm for arm in several if arm in tuned.at_edge)
        scores = tuple(again.scores(arm, ACCURACY, CHANCE) for arm in several)
        yield wb.Cell("faster", wb.PerSeed(tuple(np.log(batch) - np.log(layer)), edge, scores), {"activation": unit})
