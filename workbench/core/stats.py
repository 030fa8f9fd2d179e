"""Confidence intervals and tests over seeds: means, proportions, families of p-values.

SciPy imports its parts when they are first used, and `scipy.stats` takes longer than a table of means.
"""

from collections.abc import Sequence
from math import hypot, inf, nan, sqrt
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

MIDDLE = 0.25  # of the values at either end that the interquartile mean leaves out
EXACT_RANKS = 500  # of more values signed ranks are taken as normal


class Interval(NamedTuple):
    """An estimate with the ends of its confidence interval, over n values; the ends are NaN for n = 1."""

    mean: float
    low: float
    high: float
    n: int


def _check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")


def _check_counts(successes: int, n: int) -> None:
    """Raise ValueError unless 0 ≤ successes ≤ n and n ≥ 1."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"successes must lie in 0 … n with n at least 1, got {successes} of {n}")


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Convert to an array; raises ValueError where it is empty or holds NaN or infinity."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"values must be finite numbers, at least one, got {values}")
    return array


def t_half(df: float, confidence: float = 0.95) -> float:
    """Half of Student's t interval for a standard error of 1, with `df` degrees of freedom."""
    return float(scipy.special.stdtrit(df, (1 + confidence) / 2))


def t_above(t: float, df: float) -> float:
    """One-sided p value: the chance of Student's t with `df` degrees of freedom above `t`."""
    return float(scipy.special.stdtr(df, -t))


def t_interval(value: float, standard_error: float, df: float, n: int, confidence: float = 0.95) -> Interval:
    """Student's t interval for an estimate with `df` degrees of freedom: n - 2 for the slope of a fitted line.

    Raises ValueError unless standard_error ≥ 0, df > 0 and 0 < confidence < 1.
    """
    _check_fraction("confidence", confidence)
    if standard_error < 0 or df <= 0:
        raise ValueError(f"standard_error must be at least 0 and df above 0, got {standard_error} and {df}")
    half = standard_error and standard_error * t_half(df, confidence)
    return Interval(value, value - half, value + half, n)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean of independent values; NaN ends for one value, all NaN for none."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 0:
        return Interval(nan, nan, nan, 0)
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, nan, nan, 1)
    return t_interval(mean, float(array.std(ddof=1) / np.sqrt(len(array))), len(array) - 1, len(array), confidence)


def mean_intervals(
    values: NDArray[np.float64], confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, low and high of `mean_interval` for each column of values [n, columns], with n of at least 1."""
    n, mean = len(values), values.mean(0)
    if n == 1:
        return mean, np.full_like(mean, nan), np.full_like(mean, nan)
    half = values.std(0, ddof=1) / sqrt(n) * t_half(n - 1, confidence)
    return mean, mean - half, mean + half


def _middle(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean of the middle half of the values, its standard error, and over how many values it is (Tukey, McLaughlin)."""
    array = np.sort(_finite(values))
    n = len(array)
    cut = int(MIDDLE * n)
    inner = array[cut : n - cut]
    kept, spread = len(inner), float(np.ptp(inner))
    if n == 1 or spread == 0:
        return float(inner[0]), nan if n == 1 else 0.0, kept
    winsorized = np.clip((array - inner[0]) / spread, 0, 1)  # on [0, 1] no power of a deviation underflows
    error = spread * float(winsorized.std(ddof=1)) * sqrt((n - 1) / (kept * (kept - 1)))
    return float(inner.mean()), error, kept


def middle_error(values: Sequence[float]) -> tuple[float, int]:
    """Standard error of the interquartile mean and the number of values in it, whose t has one degree less."""
    _, error, kept = _middle(values)
    return error, kept


def middle_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for the interquartile mean, by the winsorized variance (Tukey and McLaughlin 1963).

    A quarter of the values, rounded down, is left out at either end. Ends are NaN for one value.
    """
    mean, error, kept = _middle(values)
    if len(values) == 1:
        return Interval(mean, nan, nan, 1)
    return t_interval(mean, error, kept - 1, len(values), confidence)


def middle_t(values: Sequence[float], than: float = 0.0) -> float:
    """One-sided p value of interquartile mean > than, by the same t; of one value one half."""
    mean, error, kept = _middle(values)
    if len(values) == 1:
        return 0.5
    if error == 0:
        return 0.0 if mean > than else 1.0
    return t_above((mean - than) / error, kept - 1)


def signed_rank(values: Sequence[float], than: float = 0.0) -> float:
    """One-sided p value of Wilcoxon's signed ranks for values above `than`, exact up to EXACT_RANKS values.

    Values equal to `than` keep their rank and count on neither side (Pratt 1959); ranks of ties are their mean.
    """
    deviations = _finite(values) - than
    if len(deviations) > EXACT_RANKS:
        return float(scipy.stats.wilcoxon(deviations, zero_method="pratt", alternative="greater").pvalue)
    _, places, counts = np.unique(np.abs(deviations), return_inverse=True, return_counts=True)
    ranks = (2 * counts.cumsum() - counts + 1)[places][deviations != 0]  # twice the rank, a whole number also for ties
    ranks //= np.gcd.reduce(ranks, initial=0) or 1
    reached = int(ranks[deviations[deviations != 0] > 0].sum())
    chances = np.zeros(int(ranks.sum()) + 1)  # of each sum of ranks, where every sign is a coin
    chances[0] = 1.0
    for rank in ranks:
        chances /= 2
        chances[rank:] += chances[:-rank].copy()
    return min(1.0, float(chances[reached:].sum()))


def minimum_detectable(standard_deviation: float, n: int, confidence: float = 0.95, power: float = 0.8) -> float:
    """Shift of the mean that a t test of n values, two-sided at 1 - confidence, detects with this power.

    Raises ValueError unless standard_deviation is finite and ≥ 0, n ≥ 2, and both probabilities lie in (0, 1).
    """
    _check_fraction("confidence", confidence)
    _check_fraction("power", power)
    if not (0 <= standard_deviation < inf and n >= 2):
        raise ValueError(f"standard_deviation must be at least 0 and n at least 2, got {standard_deviation} and {n}")
    noncentrality = scipy.special.nctdtrinc(n - 1, 1 - power, scipy.stats.t.ppf((1 + confidence) / 2, n - 1))
    return max(0.0, float(noncentrality)) * standard_deviation / sqrt(n)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval for a proportion (Wilson 1927); raises ValueError unless 0 ≤ successes ≤ n and n ≥ 1."""
    _check_fraction("confidence", confidence)
    _check_counts(successes, n)
    low, high = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(low), float(high), n)


def newcombe(successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95) -> Interval:
    """Hybrid score interval for the first proportion minus the other, unpaired (Newcombe 1998, method 10).

    Raises ValueError as `wilson` does.
    """
    first, second = wilson(successes, n, confidence), wilson(other_successes, other_n, confidence)
    difference = first.mean - second.mean
    low = difference - hypot(first.mean - first.low, second.high - second.mean)
    high = difference + hypot(first.high - first.mean, second.mean - second.low)
    return Interval(difference, low, high, n + other_n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p-values, in the given order (Holm 1979); raises ValueError for numbers outside [0, 1]."""
    array = np.asarray(p_values, dtype=np.float64)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"p-values must be numbers from 0 to 1, got {list(p_values)}")
    order = np.argsort(array)
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1)), 1)
    return [float(p) for p in adjusted]
