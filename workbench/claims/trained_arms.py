"""Runs of a claim's arms, seed by seed, and the choice of their learning rates."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import fmean

from workbench.claims.evidence import ArmScores, Coordinate, PerSeed
from workbench.config.prepare import build_pack, prepare
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


class FoldRates(str):
    """Override of a learning rate that seeds have by turns, one for each fold of the tuning seeds; reads as the first.

    Seed number i, counted from the study's first, has ``rates[i % len(rates)]``.
    """

    rates: tuple[float, ...]

    def __new__(cls, rates: Sequence[float]) -> "FoldRates":
        """An override that knows the rates of all folds."""
        override = super().__new__(cls, f"optimizer.lr={rates[0]:g}")
        override.rates = tuple(rates)
        return override

    def at(self, number: int) -> float:
        """The rate of seed number i."""
        return float(f"{self.rates[number % len(self.rates)]:g}")

    @property
    def shown(self) -> str:
        """``0.1``, or ``0.1 (3 folds), 0.3``: the rates, and of how many folds each is."""
        folds = sorted(Counter(self.rates).items())
        several = [f"{rate:g}" + (f" ({count} folds)" if count > 1 else "") for rate, count in folds]
        return ", ".join(several) if len(folds) > 1 else f"{folds[0][0]:g}"


class Tuned(dict[str, list[str]]):
    """Arms with their learning rates among the overrides, those of every fold of the tuning seeds.

    `rates` are the best over all tuning seeds, `at_edge` the arms whose best is an end of the grid, `untrained` those
    that come above chance at no rate. `tried` has the last metrics of all tuning runs, by arm, rate and tuning seed.
    """

    def __init__(
        self,
        arms: Mapping[str, list[str]],
        at_edge: tuple[str, ...],
        rates: Mapping[str, float],
        untrained: tuple[str, ...] = (),
        tried: Mapping[str, Mapping[float, Sequence[Mapping[str, float]]]] | None = None,
    ) -> None:
        super().__init__(arms)
        self.at_edge = at_edge
        self.rates = rates
        self.untrained = untrained
        self.tried = tried or {}


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
        known = [self.specs[arm][0] for arm in (first, second) if self.specs.get(arm)]
        ratio = max(map(shared_ratio, known), default=None)
        return PerSeed(tuple(one - other for one, other in pairs), self.edge(first, second), arms, ratio)

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


def shared_ratio(spec: RunSpec) -> float:
    """n_test / n_train of the parts of one data set that seeds draw; 0 where no seed shares data with another.

    That is where the data are drawn anew for each seed, and where every part holds all of them.
    """
    part = spec.config.split
    if draws_data(spec) or not prepare(spec).dataset.split:
        return 0.0
    return part.test / (1 - part.valid - part.test)


def draws_data(spec: RunSpec) -> bool:
    """Check that every seed of the split draws its own data."""
    return spec.resolved["data"].get("seed", 0) is None


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


def fold_rates(scores: Mapping[float, Sequence[float]], metric: str | Score, folds: int) -> FoldRates:
    """The rate that is best in each fold of the tuning seeds, of which number i is in the fold i mod `folds`."""
    by_fold = [{rate: values[fold::folds] for rate, values in scores.items()} for fold in range(folds)]
    return FoldRates([best_rate(one, metric) for one in by_fold])
