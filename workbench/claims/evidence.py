"""Evidence of one cell of a claim, in the forms that rules judge.

Exact and Witness are facts about everything that was checked. The others are samples: they have an interval and a
one-sided p value for any bound.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf, isfinite, nan, sqrt

import scipy

from workbench.claims.resampled import Error, errors
from workbench.core.stats import (
    Interval,
    middle_error,
    middle_interval,
    middle_t,
    newcombe,
    signed_rank,
    t_above,
    t_half,
    t_interval,
    wilson,
)

MOST_SEEDS = 64  # 2⁻⁶³ is below any level
Coordinate = str | int | float


@dataclass(frozen=True)
class Exact:
    """A statement about all of something: how often it was checked, and how often it failed.

    `worst` is the largest deviation met, `example` describes the first counterexample, and `certificate` says what
    proves the statement beyond the cases checked (empty where nothing does).
    """

    checked: int
    counterexamples: int = 0
    worst: float = 0.0
    example: str = ""
    certificate: str = ""

    @classmethod
    def within(cls, deviations: Iterable[float], tolerance: float, example: str = "", certificate: str = "") -> "Exact":
        """Build evidence that no deviation exceeds a tolerance; a NaN counts as above."""
        values = list(map(float, deviations))
        failed = sum(not value <= tolerance for value in values)
        return cls(len(values), failed, max(values), example, certificate)


@dataclass(frozen=True)
class Witness:
    """A statement that something exists: `what` was found, or was looked for.

    Only where the search was `exhaustive` does finding nothing refute it. `value` is a number to show.
    """

    found: bool
    what: str
    exhaustive: bool = False
    value: float | None = None


@dataclass(frozen=True)
class ArmScores:
    """Accuracies of one arm, seed by seed, and what guessing would have: a net is told from chance by them."""

    arm: str
    values: tuple[float, ...]
    chance: float


@dataclass(frozen=True)
class PerSeed:
    """One number per seed: a paired difference of two arms, a log ratio, a slope.

    `at_edge` names the arms whose learning rate was best at an end of its grid, `arms` are the accuracies of those that
    are compared. What is judged is the interquartile mean, from which one collapsed run in ten takes nothing away;
    shares of successes are `Rates`. `population` says what the interval is for, beyond other seeds: with `ratio`,
    n_test / n_train, other data like these; with `folds` of tuning seeds, other tuning. A study fills them in.
    `cut_off` says why numbers could be others had more been tried, such as deeper nets; no rule decides by such ones.

    Raises ValueError for numbers that are not finite: what a run that diverged is worth must be said by whoever
    measures. So it does for a ratio that is none.
    """

    values: tuple[float, ...]
    at_edge: tuple[str, ...] = ()
    arms: tuple[ArmScores, ...] = ()
    ratio: float | None = None
    folds: int = 1
    population: str = ""
    cut_off: str = ""

    def __post_init__(self) -> None:
        if not self.values or not all(map(isfinite, self.values)):
            raise ValueError(f"PerSeed: values must be finite numbers, at least one, got {self.values}")
        if self.ratio is not None and not 0 <= self.ratio < inf:
            raise ValueError(f"PerSeed: ratio must be test over training examples, 0 or more, got {self.ratio}")

    def of_seeds(self, confidence: float) -> Interval:
        """Student's t interval of the interquartile mean, for other seeds on these data with this tuning."""
        return middle_interval(self.values, confidence)

    def interval(self, confidence: float) -> Interval:
        """The widest of the intervals for other seeds, other data like these, and other tuning."""
        own = self.of_seeds(confidence)
        half = max((error * t_half(df, confidence) for error, df in self._errors), default=nan)
        return own._replace(low=own.mean - half, high=own.mean + half)

    @property
    def _errors(self) -> Sequence[Error]:
        return errors(self.values, self.ratio or 0.0, self.folds) if len(self.values) > 1 else ()

    def spread(self, confidence: float = 0.95) -> tuple[float, int]:
        """Standard deviation and number of values with which a t test finds a shift as it does with these."""
        _, kept = middle_error(self.values)
        interval = self.interval(confidence)
        return (interval.high - interval.mean) / t_half(kept - 1, confidence) * sqrt(kept), kept

    @property
    def lasting(self) -> float:
        """Standard error that no number of seeds takes away, as they all share one data set."""
        return middle_error(self.values)[0] * sqrt(len(self.values) * (self.ratio or 0.0))

    def p_above(self, bound: float) -> float:
        """Interquartile mean > bound: the largest p value of Wilcoxon's signed ranks and of Student's t tests."""
        beyond = self.of_seeds(0.95).mean - bound
        wider = (_t_test(beyond, error, df) for error, df in self._errors)
        return max(signed_rank(self.values, bound), middle_t(self.values, bound), *wider)

    def p_below(self, bound: float) -> float:
        """Interquartile mean < bound, by the same tests."""
        return replace(self, values=tuple(-value for value in self.values)).p_above(-bound)


@lru_cache(maxsize=256)
def least_p(n: int) -> float:
    """The least p value that n values of a `PerSeed` can have against a bound: all of them beyond it, and equal."""
    return PerSeed((1.0,) * n).p_above(0.0)


def enough(level: float) -> int | None:
    """The least number of values of a `PerSeed` with which any p value can be as low as a level, if there is one."""
    return next((n for n in range(2, MOST_SEEDS) if least_p(n) <= level), None)


@dataclass(frozen=True)
class Rate:
    """Number of successes among n independent tries; a study says in `population` what tries the interval is for."""

    successes: int
    n: int
    population: str = ""

    @classmethod
    def of(cls, succeeded: Iterable[bool]) -> "Rate":
        """Count the successes of single tries."""
        tries = list(map(bool, succeeded))
        return cls(sum(tries), len(tries))

    def interval(self, confidence: float) -> Interval:
        """Wilson's."""
        return wilson(self.successes, self.n, confidence)

    def p_above(self, bound: float) -> float:
        """Exact binomial test."""
        return float(scipy.stats.binomtest(self.successes, self.n, bound, alternative="greater").pvalue)

    def p_below(self, bound: float) -> float:
        """Exact binomial test."""
        return float(scipy.stats.binomtest(self.successes, self.n, bound, alternative="less").pvalue)


@dataclass(frozen=True)
class Rates:
    """Success rate of one group minus that of another, as if unpaired; `at_edge` and `population` as of `PerSeed`.

    Of the same seeds, whose successes go together if anything, the interval is wider than it had to be.
    """

    successes: int
    n: int
    other_successes: int
    other_n: int
    at_edge: tuple[str, ...] = ()
    population: str = ""

    @classmethod
    def of(cls, succeeded: Iterable[bool], other: Iterable[bool], at_edge: tuple[str, ...] = ()) -> "Rates":
        """Count the successes of both groups' single tries."""
        first, second = Rate.of(succeeded), Rate.of(other)
        return cls(first.successes, first.n, second.successes, second.n, at_edge)

    def interval(self, confidence: float) -> Interval:
        """Newcombe's, from Wilson's intervals of both."""
        return newcombe(self.successes, self.n, self.other_successes, self.other_n, confidence)

    def p_above(self, bound: float) -> float:
        """The level at which the interval begins at the bound."""
        return self._level(lambda interval: interval.low - bound)

    def p_below(self, bound: float) -> float:
        """The level at which the interval ends at the bound."""
        return self._level(lambda interval: bound - interval.high)

    def _level(self, room: Callable[[Interval], float]) -> float:
        def at(level: float) -> float:
            return float(room(self.interval(1 - 2 * level)))

        least, most = 1e-12, 0.5 - 1e-9
        if at(least) > 0:
            return least
        return float(scipy.optimize.brentq(at, least, most)) if at(most) > 0 else 1.0


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error, such as a slope of a regression on `df` degrees of freedom over n points."""

    value: float
    standard_error: float
    df: int
    n: int

    def interval(self, confidence: float) -> Interval:
        """Student's t."""
        return t_interval(self.value, self.standard_error, self.df, self.n, confidence)

    def p_above(self, bound: float) -> float:
        """t test of value > bound."""
        return _t_test(self.value - bound, self.standard_error, self.df)

    def p_below(self, bound: float) -> float:
        """t test of value < bound."""
        return _t_test(bound - self.value, self.standard_error, self.df)


def _t_test(beyond: float, standard_error: float, df: int) -> float:
    if standard_error == 0:
        return 0.0 if beyond > 0 else 1.0
    return t_above(beyond / standard_error, df)


Sample = PerSeed | Rate | Rates | Estimate
Evidence = Exact | Witness | Sample


@dataclass(frozen=True)
class Cell:
    """Evidence for one part of a claim in one cell of its map: ``Cell("limit", Rate(3, 400), {"hidden": 2})``."""

    part: str
    evidence: Evidence
    at: Mapping[str, Coordinate] = field(default_factory=dict)
