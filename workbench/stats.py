"""Intervals over seeds."""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with the ends of its confidence interval, over n values; the ends are NaN for n = 1."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Distance from the mean to either end."""
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean of independent values."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 0:
        return Interval(nan, nan, nan, 0)
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, nan, nan, 1)
    half = float(stats.sem(array) * stats.t.ppf((1 + confidence) / 2, len(array) - 1))
    return Interval(mean, mean - half, mean + half, len(array))
