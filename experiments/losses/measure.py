"""Losses by task, and the effect of the regularizer.

Slides "Learning: Backpropagation for Regression" and "Learning: Regression vs. Classification". What losses pass back
and what the regularizer reaches is checked exactly; whether likelihood classifies better than squared errors is
measured from a usual start and from one with weights five times too large; and what λ does on few examples.
"""

from collections.abc import Iterator

import numpy as np

import workbench as wb

from . import loss_factors

TOLERANCE = 1e-12
GUESS = {"digits": 0.1, "wine": 0.4, "breast_cancer": 0.63}  # share of the most frequent class
CHANCE = {"digits": 1 / 10, "wine": 1 / 3, "breast_cancer": 1 / 2, "diabetes": 0.0}
SHAPES = {0: "architecture=perceptron", 2: "architecture.hidden=[64,64]"}
DECIDING = "digits", 2  # data and depth of the figure, those that decide
GAINS = {"good": 1, "bad": 5}
RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1)}
LAMBDAS = (0, 0.01, 0.03, 0.1, 0.3, 1.0)
FEW = {  # training examples: 132 and 100
    "diabetes": ["data=diabetes", "train.epochs=100", "split.valid=0.2", "split.test=0.5"],
    "digits": ["data=digits", "train.epochs=60", "train.batch_size=20", "split.valid=0.1", "split.test=0.844"],
}
HELPS = {"diabetes": "l2_helps_regression", "digits": "l2_helps_classification"}
SCORE = {"diabetes": "r2", "digits": "accuracy"}
COMPARED = ("likelihood", "logistic squares")
PAIRS = (
    ("bad_start", "bad", *COMPARED),
    ("good_start", "good", *COMPARED),
    ("linear_squares", "good", "linear squares", "likelihood"),
    ("softmax_squares", "good", "softmax squares", "likelihood"),
)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Yield the exact parts, then those on trained losses, then those on λ."""
    yield from exact(study)
    yield from losses(study)
    yield from regularizer(study)


def exact(study: wb.Study) -> Iterator[wb.Cell]:
    """Outputs, penalty, ranges."""
    rng = study.rng("logits")
    z = np.concatenate([-np.logspace(-8, 1.5, study["logits"]), np.logspace(-8, 1.5, study["logits"])])
    factors = {
        "sigmoid": (loss_factors.logistic_factor(z), 1 / 4, "f' = a(1 − a) ≤ 1/4"),
        "softmax": (loss_factors.softmax_factor(rng.normal(0, 5, (study["logits"], 10))), 1 / 10, "|Jv| ≤ |v|/2"),
    }
    for output, (found, bound, proof) in factors.items():
        wrong = (found.off > TOLERANCE) | (found.share > bound + TOLERANCE)
        largest = f"off by {found.off.max():.2g}, share {found.share.max():.3g} of {bound}"
        yield wb.Cell("factor", wb.Exact(len(wrong), int(wrong.sum()), 0.0, largest, proof), {"output": output})
    for decay in study.claim.parts["penalty"].values("λ", float):
        off = [max(loss_factors.penalty(decay, seed)) for seed in study.draws(study["nets"])]
        proof = f"equal to {max(off):.1g}"
        yield wb.Cell("penalty", wb.Exact.within(off, TOLERANCE, f"off by {max(off):.3g}", proof), {"λ": decay})
    for output, ends in RANGES.items():
        best = loss_factors.best_r2(*ends)
        what = f"values from {ends[0]} to {ends[1]}: R² is {float(best):.3f} at best"
        yield wb.Cell("bounded_output", wb.Exact(1, int(best > 0), 0.0, what, what), {"output": output})


def named(loss: str, start: str, data: str, depth: int) -> wb.Arm:
    """An arm of the comparison of losses."""
    return wb.Arm(f"{loss}, {start} start", data=data, depth=depth)


def losses(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracy of every loss, data set and depth from both starts, rates tuned by validation accuracy."""
    cells = [(data, d) for data in study.claim.parts["bad_start"].values("data", str) for d in SHAPES]
    names = [(loss, start) for loss in study.claim.arms for start in GAINS if start == "good" or loss in COMPARED]
    arms: dict[str, list[str]] = {
        named(loss, start, data, d): [*over, f"data={data}", SHAPES[d], f"init.gain={GAINS[start]}"]
        for data, d in cells
        for loss, start in names
        for over in [study.claim.arms[loss]]
    }
    guesses: dict[str, float] = {arm: GUESS[str(arm.at["data"])] for arm in arms if isinstance(arm, wb.Arm)}
    trained = study.train(study.tune(arms, metric="valid/accuracy", tracked=False, chance=guesses))
    for data, d in cells:
        for part, start, first, second in PAIRS:
            pair = [named(loss, start, data, d) for loss in (first, second)]
            found = trained.differences("test/accuracy", pair[0], pair[1], CHANCE[data], chance=GUESS[data])
            yield wb.Cell(part, found, {"data": data, "depth": d})
        if d == 0:
            yield wb.Cell("closed_form", closed_form(study, trained, arms, data), {"data": data})
    data, d = DECIDING
    shown = [(f"{loss},\n{start} start", named(loss, start, data, d)) for loss, start in names]
    values = [(name, one) for name, arm in shown for one in trained.values(arm, "test/accuracy", CHANCE[data])]
    study.keep("accuracy", [{"arm": name, "accuracy": one} for name, one in values])


def deciding(study: wb.Study, width: int) -> Iterator[wb.Cell]:
    """Likelihood against the squared error of a logistic output, two hidden layers, from a bad start."""
    data, d = DECIDING
    net = [f"architecture.hidden=[{','.join([str(width)] * d)}]", f"init.gain={GAINS['bad']}"]
    arms: dict[str, list[str]] = {named(loss, "bad", data, d): [*study.claim.arms[loss], *net] for loss in COMPARED}
    first, second = arms
    trained = study.train(study.tune(arms, metric="valid/accuracy", tracked=False, chance=CHANCE[data]))
    found = trained.differences("test/accuracy", first, second, CHANCE[data], chance=GUESS[data])
    yield wb.Cell("bad_start", found, {"data": data, "depth": d})


def closed_form(study: wb.Study, trained: wb.Trained, arms: dict[str, list[str]], data: str) -> wb.PerSeed:
    """The least squares that training a linear output would end with, against the likelihood as it was trained."""
    squares, likelihood = (named(loss, "good", data, 0) for loss in ("linear squares", "likelihood"))
    found = loss_factors.least_squares_accuracies(study.pack(*arms[squares]).data)
    other = trained.scores(likelihood, "test/accuracy", GUESS[data])
    own = wb.ArmScores(f"least squares, {data}", tuple(found), GUESS[data])
    return wb.PerSeed(tuple(np.subtract(own.values, other.values)), trained.edge(likelihood), (own, other))


def regularizer(study: wb.Study) -> Iterator[wb.Cell]:
    """Scores with every λ minus those without, on few examples, each with its own learning rate."""
    rows = []
    for data, score in SCORE.items():
        base = [*FEW[data], "architecture.hidden=[64]"]
        arms: dict[str, list[str]] = {
            f"{data} λ={decay:g}": [*base, f"optimizer.weight_decay={decay}"] for decay in LAMBDAS
        }
        trained = study.train(study.tune(arms, metric=f"valid/{score}", tracked=False))
        for decay in LAMBDAS[1:]:
            pair = f"{data} λ={decay:g}", f"{data} λ=0"
            found = trained.differences(f"test/{score}", *pair, diverged=CHANCE[data])
            rows += [{"data": data, "λ": decay, "gain": one} for one in found.values]
            yield wb.Cell(HELPS[data], found, {"λ": decay}) if decay < 1 else wb.Cell("too_much", found, {"data": data})
    study.keep("regularizer", rows)
