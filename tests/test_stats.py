"""Intervals against a published table, scipy's own and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from workbench.stats import mean_interval


def test_interval_worked_by_hand() -> None:
    """1 … 5: mean 3, s = √2.5, so s/√5 = √½; t(0.975, 4) = 2.776 from the printed tables."""
    interval = mean_interval([1, 2, 3, 4, 5])
    assert interval.mean == 3
    assert interval.n == 5
    assert interval.half_width == pytest.approx(2.776 * math.sqrt(0.5), abs=5e-4)
    assert interval.low == pytest.approx(3 - 1.963, abs=5e-4)
    assert interval.high == pytest.approx(3 + 1.963, abs=5e-4)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 30])
def test_interval_equals_scipys(n: int, confidence: float) -> None:
    """The interval that belongs to the one-sample t test."""
    values = np.random.default_rng(n).normal(3, 2, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    interval = mean_interval(values.tolist(), confidence)
    assert interval.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 2000 intervals at 90 % over five normal values, the share that holds the mean is 0.9 ± 4 standard errors."""
    draws = np.random.default_rng(0).normal(7, 3, (2000, 5))
    intervals = [mean_interval(row.tolist(), 0.9) for row in draws]
    covered = np.mean([one.low <= 7 <= one.high for one in intervals])
    assert abs(covered - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2000)


def test_interval_of_one_value_has_no_ends() -> None:
    """One seed says nothing of the spread."""
    interval = mean_interval([2.5])
    assert (interval.mean, interval.n) == (2.5, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_interval_of_nothing() -> None:
    """No value, no mean, and no warning from numpy."""
    interval = mean_interval([])
    assert interval.n == 0
    assert math.isnan(interval.mean)


def test_interval_of_equal_values_is_a_point() -> None:
    """No spread, no width."""
    assert mean_interval([4.0, 4.0, 4.0])[:3] == (4, 4, 4)
