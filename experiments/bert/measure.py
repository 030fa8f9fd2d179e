"""Does pre-training a deep bidirectional Transformer pay, and does each of these words matter?

Slide "A Rapidly Evolving Field", BERT. Encoders learn a language from sentences without labels, then a task from few
labels: the number of a verb (at a token), and the document that a block of text is from (of a block). All budgets of
labels have as many steps of fine-tuning. Learning rates are tuned at `FEW` labels.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np

import workbench as wb
from workbench.config.prepare import prepare
from workbench.data.agreement import bayes_accuracy

ACCURACY = "test/accuracy"
INVARIABLE, CUE = 0.5, 0.5  # shares of the grammar's nouns with one form, and of verbs with a word that tells
TASKS = {
    "number": [
        *("data=agreement", "data.clauses=0", "data.examples=6000", "data.seed=null"),
        *(f"data.invariable={INVARIABLE}", f"data.cue={CUE}", "split.valid=0.04", "split.test=0.16"),
    ],
    "documents": ["data=documents", "data.count=4", "split.valid=0.06", "split.test=0.1"],
}
UNLABELED, EPOCHS = {"number": 4700, "documents": 2200}, {"number": 4, "documents": 6}  # of pre-training
RATES = {
    "number": 0.006,
    "documents": 0.01,
}  # of pre-training, at which masked tokens of other sentences are known best
FEW, MANY = 50, 1000
FINE_TUNING, BATCH = 128, 16  # steps, examples
ONE_TASK = ("gru", "pre-trained gru", "one block", "four blocks")  # arms trained on numbers alone
SLOPE = ("scratch", "masked", "left-to-right")  # arms trained with every number of labels
CONTEXT = {"left-to-right": "left"}  # of an arm's guess at a verb's number; the others see both sides
COMPARED = (  # part, arm and its rival
    ("helps", "masked", "scratch"),
    ("not_just_steps", "masked", "more steps"),
    ("structure", "masked", "shuffled"),
)
ON_NUMBERS = (
    ("bidirectional_tokens", "masked", "left-to-right"),
    ("both_ways_later", "masked", "left then both"),
    ("deep", "four blocks", "one block"),
    ("attention_needed", "masked", "pre-trained gru"),
)
ON_DOCUMENTS = (("bidirectional_words", "masked", "left-to-right"),)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Tune at few labels, train at every number of labels, compare."""
    rows = []
    for task in TASKS:
        arms = {arm: over for arm, over in study.claim.arms.items() if task == "number" or arm not in ONE_TASK}
        few: dict[str, list[str]] = {
            wb.Arm(arm, task=task, labels=FEW): settings(arm, over, task, FEW) for arm, over in arms.items()
        }
        tuned = study.tune(few, chance=chance(study, task))
        trained = study.train(wb.Tuned(everywhere(study, task, tuned), tuned.at_edge, tuned.rates))
        yield from comparisons(study, task, trained)
        rows += [
            {**arm.at, "arm": arm.name, "seed": seed, "accuracy": accuracy}
            for arm in map(as_arm, trained.metrics)
            for seed, accuracy in zip(study.seeds, trained.values(arm, ACCURACY, chance(study, task)), strict=True)
        ]
    table = study.keep("accuracy", rows)
    numbers = table[table["task"] == "number"]
    yield wb.Cell("bayes", bounded(list(zip(numbers["arm"], numbers["accuracy"], strict=True)), tested(study)))


def as_arm(arm: str) -> wb.Arm:
    """The arm's name as what it was made of."""
    assert isinstance(arm, wb.Arm)
    return arm


def settings(arm: str, overrides: list[str], task: str, labels: int) -> list[str]:
    """Overrides of an arm with so many labels of a task: pre-training, and epochs for as many steps at any number."""
    values = {"examples": UNLABELED[task], "epochs": EPOCHS[task], "lr": RATES[task]}
    pretraining = [f"pretraining.{key}={value}" for key, value in values.items()]
    begins = any(one.startswith("pretraining=") for one in overrides)
    steps = FINE_TUNING + (arm == "more steps") * EPOCHS[task] * -(-UNLABELED[task] // BATCH)
    epochs = max(1, round(steps / -(-labels // BATCH)))
    return [*TASKS[task], *overrides, *pretraining * begins, f"split.limit={labels}", f"train.epochs={epochs}"]


def everywhere(study: wb.Study, task: str, tuned: wb.Tuned) -> dict[str, list[str]]:
    """Arms with their tuned rates at few labels, and those that are shown over labels at all other numbers, too."""
    arms = dict(tuned)
    for arm, over in tuned.items():
        name = as_arm(arm).name
        if name not in SLOPE:
            continue
        for labels in study["labels"]:
            if labels != FEW:
                own = settings(name, study.claim.arms[name], task, labels)
                arms[wb.Arm(name, task=task, labels=labels)] = [*own, over[-1]]
    return arms


def comparisons(study: wb.Study, task: str, trained: wb.Trained) -> Iterator[wb.Cell]:
    """Differences of two arms' test accuracies, by seed."""
    guess = chance(study, task)

    def pair(arm: str, rival: str, labels: int) -> wb.PerSeed:
        first, second = (wb.Arm(one, task=task, labels=labels) for one in (arm, rival))
        return trained.differences(ACCURACY, first, second, diverged=guess)

    for part, arm, rival in COMPARED:
        yield wb.Cell(part, pair(arm, rival, FEW), {"task": task})
    for part, arm, rival in ON_NUMBERS if task == "number" else ON_DOCUMENTS:
        yield wb.Cell(part, pair(arm, rival, FEW))
    for labels in study.claim.parts["helps_with_more"].values("labels", int):
        yield wb.Cell("helps_with_more", pair("masked", "scratch", labels), {"task": task, "labels": labels})
    few, many = (pair("masked", "scratch", labels) for labels in (FEW, MANY))
    change = tuple(np.subtract(many.values, few.values))
    edge, arms = (tuple(dict.fromkeys((*getattr(few, name), *getattr(many, name)))) for name in ("at_edge", "arms"))
    yield wb.Cell("fades", wb.PerSeed(change, edge, arms, few.ratio), {"task": task})


def chance(study: wb.Study, task: str) -> float:
    """Accuracy of guessing the most frequent class: the shares of both numbers are equal."""
    if task == "number":
        return 0.5
    y = prepare(study.specs(*TASKS[task], seeds=[0])[0]).dataset.y
    return float(np.bincount(y).max() / len(y))


def tested(study: wb.Study) -> int:
    """Number of test examples of a seed."""
    shared = prepare(spec := study.specs(*TASKS["number"], seeds=[0])[0])
    return len(shared.split(spec.config.split).test.y)


def bounded(scores: list[tuple[str, float]], examples: int) -> wb.Exact:
    """Check that no arm's accuracy exceeds that of the best guess from what it sees by four standard errors."""
    beyond = {}
    for arm, accuracy in scores:
        best = float(bayes_accuracy(CONTEXT.get(arm, "both"), INVARIABLE, CUE))  # type: ignore[arg-type]
        beyond[f"{arm}: {accuracy:.3f} of at most {best:.3f}"] = (accuracy - best) / sqrt(best * (1 - best) / examples)
    worst = max(beyond, key=lambda name: beyond[name])
    return wb.Exact.within([beyond[name] for name in beyond], 4.0, worst)
