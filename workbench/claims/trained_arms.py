"""Runs of a claim's arms, seed by seed, and the choice of their learning rates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import fmean

from workbench.claims.evidence import ArmScores, Coordinate, PerSeed
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.core.errors import NumericsError, unknown_name
from workbench.engine.replicas import Pack
from workbench.nn.params import Params
from workbench.runs.train_pack import PackResult

LOWER_IS_BETTER = ("loss",)
Arms = Mapping[str, Sequence[str]]


class Arm(str):
    """The name of an arm in a cell, ``relu depth=3``, with what it is made of: ``Arm("relu", depth=3)``."""

    name: str
    at: dict[str, Coordinate]

    def __new__(cls, name: str, **at: Coordinate) -> "Arm":
        """A name that knows what it is of."""
        arm = super().__new__(cls, " ".join([name, *(f"{key}={value}" for key, value in at.items())]))
        arm.name, arm.at = name, at
        return arm


class Tuned(dict[str, list[str]]):
    """Arms with their best learning rate among the overrides.

    `at_edge` are those whose best is an end of the grid, `untrained` those that come above chance at no rate.
    """

    def __init__(
        self,
        arms: Mapping[str, list[str]],
        at_edge: tuple[str, ...],
        rates: Mapping[str, float],
        untrained: tuple[str, ...] = (),
    ) -> None:
        super().__init__(arms)
        self.at_edge = at_edge
        self.rates = rates
        self.untrained = untrained


@dataclass(frozen=True)
class Trained:
    """The last metrics of every arm's runs, in the order of the seeds."""

    metrics: Mapping[str, Sequence[Mapping[str, float]]]
    at_edge: tuple[str, ...] = ()
    specs: Mapping[str, Sequence[RunSpec]] = field(default_factory=dict)
    packs: Sequence[tuple[Sequence[RunSpec], PackResult]] = ()

    def values(self, arm: str, metric: str, diverged: float | None = None) -> list[float]:
        """One number per seed; a run without this metric, because it diverged, counts as `diverged`.

        Raises NumericsError where a run has none and `diverged` is not given.
        """
        if arm not in self.metrics:
            raise unknown_name("arm", arm, self.metrics)
        found = [metrics.get(metric, diverged) for metrics in self.metrics[arm]]
        if any(value is None for value in found):
            known = sorted({name for metrics in self.metrics[arm] for name in metrics})
            raise NumericsError(
                f"arm {arm}: every run must have {metric}, {found.count(None)} of {len(found)} have not; say what a "
                f"diverged run counts as with diverged=..., or take one of {', '.join(known)}"
            )
        return [value for value in found if value is not None]

    def differences(
        self,
        metric: str,
        first: str,
        second: str,
        diverged: float | None = None,
        accuracy: str | None = None,
        chance: float | None = None,
    ) -> PerSeed:
        """First arm minus second arm, seed by seed, with the accuracies of both.

        `accuracy` is the metric that tells whether they train, `chance` what guessing has, which a diverged run counts
        as: without them `metric` itself, if it is an accuracy, and `diverged`.
        """
        pairs = zip(self.values(first, metric, diverged), self.values(second, metric, diverged), strict=True)
        scored_by = metric if accuracy is None and metric.endswith("/accuracy") else accuracy
        guess = diverged if chance is None else chance
        arms: tuple[ArmScores, ...] = ()
        if scored_by is not None and guess is not None:
            arms = self.scores(first, scored_by, guess), self.scores(second, scored_by, guess)
        return PerSeed(tuple(one - other for one, other in pairs), self.edge(first, second), arms)

    def edge(self, *arms: str) -> tuple[str, ...]:
        """Select the arms whose learning rate is at an end of its grid."""
        return tuple(arm for arm in arms if arm in self.at_edge)

    def scores(self, arm: str, accuracy: str, chance: float) -> ArmScores:
        """An arm's accuracies, seed by seed, beside that of guessing."""
        return ArmScores(arm, tuple(self.values(arm, accuracy, chance)), chance)

    def course(self, arm: str, metric: str) -> list[list[float]]:
        """A metric wherever it was taken, by seed; scores before training and after each epoch, until a run diverged.

        Raises NumericsError for runs that were kept elsewhere.
        """
        found = {
            id(spec): result.history.series(metric, position)[1]
            for specs, result in self.packs
            for position, spec in enumerate(specs)
        }
        specs = list(self.specs.get(arm, ()))
        if not specs or any(id(spec) not in found for spec in specs):
            raise NumericsError(f"arm {arm}: what it did on the way is known where it was trained with tracked=False")
        return [found[id(spec)] for spec in specs]

    def final(self, arm: str) -> tuple[Pack, Params]:
        """The arm's pack with the parameters its runs ended with, replicas in the order of the seeds.

        Raises NumericsError for runs that were kept elsewhere: parameters stay in memory.
        """
        flats = {
            id(spec): flat[position]
            for specs, result in self.packs
            for flat in [result.final]
            for position, spec in enumerate(specs)
            if position in flat
        }
        specs = list(self.specs.get(arm, ()))
        if not specs or any(id(spec) not in flats for spec in specs):
            raise NumericsError(f"arm {arm}: final parameters are kept where it was trained with tracked=False")
        pack = build_pack(specs)
        params = pack.initial_params()
        for row, spec in enumerate(specs):
            params.flat[row].copy_(flats[id(spec)])
        return pack, params


Score = Callable[[Trained, str], Sequence[float]]


def scored(trained: Trained, arm: str, metric: str | Score) -> list[float]:
    """Tuning score of an arm by seed; a diverged run gets the worst score."""
    if not isinstance(metric, str):
        return list(metric(trained, arm))
    return trained.values(arm, metric, inf if _lower_is_better(metric) else -inf)


def _lower_is_better(metric: str | Score) -> bool:
    return not isinstance(metric, str) or metric.rpartition("/")[2] in LOWER_IS_BETTER


def best_rate(scores: Mapping[float, Sequence[float]], metric: str | Score) -> float:
    """The learning rate with the best mean over tuning seeds; of equal ones the smallest."""
    sign = 1 if _lower_is_better(metric) else -1
    means = {rate: fmean(values) for rate, values in scores.items()}
    return min(means, key=lambda rate: (sign * means[rate] if isfinite(means[rate]) else inf, rate))


def beyond(grid: Sequence[float], best: float) -> float | None:
    """The next rate past the end of a rising grid that `best` lies on, in the grid's own ratio; None inside it."""
    if best == grid[0]:
        return best * grid[0] / grid[1]
    return best * grid[-1] / grid[-2] if best == grid[-1] else None
