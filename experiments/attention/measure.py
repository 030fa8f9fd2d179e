"""Transformers in place of RNNs and CNNs: what do they do better, and what worse?

Slide "A Rapidly Evolving Field". That they replaced others is history. What can be measured is why: nets of as many
parameters see as many examples in as many steps, each kind with its own learning rate, in five tasks of which each asks
for one ability. How far a signal goes in untrained nets is proved by their Jacobians.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, log2, sqrt
from statistics import fmean

import numpy as np

import workbench as wb
from workbench.claims.evidence import Coordinate

from . import paths, scores, step_times
from .nets import Sequences, sized

NETS, POSITIONS = 100, 16
RIVALS = {"recurrent": ("elman", "gru", "lstm"), "convolutional": ("tcn",)}
ATTENTION, CONTROLS = "transformer", {"blocks": "transformer, 1 block", "order": "transformer, no positions"}
WITHIN = 0.05  # of accuracy: a learning rate as good as the best

RECALL = ["data=recall", "data.seed=null", "data.keys=8", "data.values=8", "data.examples=5000", "train.epochs=3"]
COPY = ["data=copy", "data.seed=null", "data.symbols=8", "data.examples=2400"]
STATE = ["data.seed=null", "data.length=16", "data.examples=2400"]
AGREEMENT = ["data=agreement", "data.seed=null", "data.clauses=2", "data.examples=3000", "split.test=0.2"]
TEXT = ["data=text", "data.length=32", "data.min_count=1000", "train.batch_size=8"]
TEXT += ["split.limit=1600", "split.valid=0.02", "split.test=0.03"]


@dataclass(frozen=True)
class Task:
    """A task: the part that it decides, in which cell, its overrides and score, of which `sign` 1 says more is better.

    `controlled` says that the transformers with one block and without positions are trained, too.
    """

    name: str
    overrides: list[str]
    at: Mapping[str, Coordinate] = field(default_factory=dict)
    score: str = scores.ACCURACY
    sign: int = 1
    controlled: bool = False

    @property
    def label(self) -> str:
        """Name and cell."""
        return " ".join([self.name, *map(str, self.at.values())])


TASKS = [
    Task("recall", [*RECALL, "data.pairs=4", "data.length=16"], {"pairs": 4}, controlled=True),
    Task("copy", [*COPY, "data.length=8"], {"symbols": 8}, "test/exact"),
    Task("state", ["data=parity_stream", *STATE], {"sum": "parity"}),
    Task("state", ["data=counter", *STATE], {"sum": "modulo 5"}),
    Task("agreement", AGREEMENT, score=scores.FAR_ACCURACY),
    Task("text", TEXT, score="test/bits", sign=-1),
]
LONGER = [
    Task("recall", [*RECALL, "data.pairs=8", "data.length=32", "data.keys=16", "train.epochs=6"], {"pairs": 8}),
    Task("copy", [*COPY, "data.length=16", "train.epochs=4"], {"symbols": 16}, "test/exact"),
]


@dataclass(frozen=True)
class Played:
    """A task with its tuned and trained nets; `chance` is the accuracy of guessing."""

    task: Task
    tuned: wb.Tuned
    trained: wb.Trained
    chance: float
    classes: int

    def best(self, family: str) -> str:
        """The arm of a family whose validation loss is least on the tuning seeds."""
        return min(RIVALS[family], key=self._tuning_loss)

    def _tuning_loss(self, arm: str) -> float:
        return fmean(run.get("valid/loss", inf) for run in self.tuned.tried[arm][self.tuned.rates[arm]])

    def gain(self, arm: str, other: str) -> wb.PerSeed:
        """How much better the task's score of an arm is than that of another, seed by seed."""
        pair = (arm, other) if self.task.sign > 0 else (other, arm)
        return self.trained.differences(self.task.score, *pair, self._diverged, scores.ACCURACY, self.chance)

    @property
    def _diverged(self) -> float:
        """The score of a run that diverged: that of guessing."""
        return {"test/exact": 0.0, "test/bits": log2(self.classes)}.get(self.task.score, self.chance)

    def values(self, arm: str) -> list[float]:
        """An arm's scores, seed by seed."""
        return self.trained.values(arm, self.task.score, self._diverged)

    def good_rates(self, arm: str, rates: list[float]) -> np.ndarray:
        """Count by tuning seed the learning rates with an accuracy within `WITHIN` of the best."""
        tried = self.tuned.tried[arm]
        found = np.array([[run.get("valid/accuracy", 0.0) for run in tried[rate]] for rate in rates])
        counts: np.ndarray = (found >= found.max(0) - WITHIN).sum(0)
        return counts


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Facts about untrained nets, then tasks, then what a step costs."""
    for net in study.claim.parts["path"].values("net", str):
        yield wb.Cell("path", paths.paths(study, net, NETS, POSITIONS), {"net": net})
    yield wb.Cell("positions", paths.permuted(study, NETS))
    yield from tasks(study)
    yield wb.Cell("cost", step_times.growth(study, ATTENTION, "lstm"))


def tasks(study: wb.Study) -> Iterator[wb.Cell]:
    """All nets in all tasks."""
    played = []
    for task in [*TASKS, *(LONGER if study["longer"] else [])]:
        played.append(play(study, task))
        yield from compared(study, played[-1])
    yield from windows(study, played[: len(TASKS)])
    keep(study, played)


def play(study: wb.Study, task: Task) -> Played:
    """Tune and train all nets in a task."""
    data = scores.dataset_of(study, task.overrides)
    sizes = Sequences(data.vocabulary or 0, data.x.shape[1], data.n_classes or 0)
    chosen = [arm for arm in study.claim.arms if task.controlled or arm not in CONTROLS.values()]
    arms = {arm: [*study.claim.arms[arm], *task.overrides, *sized(arm, sizes)] for arm in chosen}
    guess, looks = scores.chance(data), task.score == scores.FAR_ACCURACY
    tuned = study.tune(arms, tracked=False, chance=guess)
    study.tuning |= {f"{task.label}: {arm}": study.tuning.pop(arm) for arm in arms}
    trained = study.train(tuned, tracked=not looks)
    return Played(task, tuned, scores.with_far(trained) if looks else trained, guess, sizes.classes)


def compared(study: wb.Study, played: Played) -> Iterator[wb.Cell]:
    """The transformer beside the best of each family, beside its own controls, and beside n-grams."""
    task = played.task
    for family in RIVALS:
        yield wb.Cell(f"{task.name}_{family}", played.gain(ATTENTION, played.best(family)), task.at)
    for part, arm in CONTROLS.items():
        if task.controlled:
            yield wb.Cell(part, played.gain(ATTENTION, arm))
    reached = played.trained.scores(ATTENTION, scores.ACCURACY, played.chance)
    specs = played.trained.specs[ATTENTION]
    counted = wb.ArmScores("trigrams", tuple(map(scores.ngram_accuracy, specs)), played.chance)
    over = tuple(np.subtract(reached.values, counted.values))
    shared = played.gain(ATTENTION, ATTENTION).ratio
    found = wb.PerSeed(over, played.trained.edge(ATTENTION), (reached, counted), shared)
    yield wb.Cell("over_ngrams", found, {"task": task.label})


def windows(study: wb.Study, played: list[Played]) -> Iterator[wb.Cell]:
    """Number of good learning rates of the transformer less that of each rival, mean over tasks, by tuning seed."""
    rates = study.claim.learning_rates
    for family in RIVALS:
        by_task = [one.good_rates(ATTENTION, rates) - one.good_rates(one.best(family), rates) for one in played]
        means = np.mean(by_task, 0)
        error = float(np.std(means, ddof=1)) / sqrt(len(means)) if len(means) > 1 else inf
        evidence = wb.Estimate(float(means.mean()), error, max(len(means) - 1, 1), len(means))
        yield wb.Cell("window", evidence, {"rival": family})


def keep(study: wb.Study, played: list[Played]) -> None:
    """Keep the scores of all nets, and the gains over the best of each family."""
    rows = [
        {"task": one.task.label, "net": arm, "seed": seed, "score": score}
        for one in played
        for arm in one.tuned
        for seed, score in zip(study.seeds, one.values(arm), strict=True)
    ]
    study.keep("scores", rows)
    gains = [
        {"task": one.task.label, "rival": family, "net": one.best(family), "gain": gain}
        for one in played
        for family in RIVALS
        for gain in one.gain(ATTENTION, one.best(family)).values
    ]
    study.keep("gains", gains)
