"""Coverage of intervals: the share of held means and its nominal value, where both are known."""

import numpy as np
import pytest

from tests.offset_coverage import nominal, share
from workbench.core.stats import Interval, middle_interval


def test_independent_normal_studies_hold_each_other_in_the_nominal_share() -> None:
    """Intervals of 120 studies of 20 normal numbers hold each other's means as often as a t interval should."""
    draws = np.random.default_rng(5).normal(size=(120, 20))
    held, error = share([middle_interval(values.tolist()) for values in draws])
    assert held == pytest.approx(nominal(20), abs=3 * error)
    assert 0.005 < error < 0.04


def test_pairs_are_ordered_and_no_study_is_its_own_pair() -> None:
    """Of three intervals the wide one holds both other means, the narrow ones hold one another: 4 of 6 pairs."""
    intervals = [Interval(0.0, -9.0, 9.0, 4), Interval(2.0, 1.0, 3.0, 4), Interval(2.5, 1.5, 3.5, 4)]
    assert share(intervals)[0] == pytest.approx(4 / 6)


def test_nominal_share_of_many_numbers_is_that_of_normal_ones() -> None:
    """With many numbers a mean lies in another's 95 % interval with probability P(|z| < 1.96/√2) = 0.834."""
    assert nominal(10_000) == pytest.approx(0.834, abs=1e-3)
