"""Intervals for runs that share one data set: by hand, and how often they cover what they are for."""

from math import sqrt

import numpy as np
import pytest

from workbench.claims.evidence import PerSeed
from workbench.claims.resampled import Resampled, crossed_interval, wider
from workbench.core.stats import Interval

VALUES = (0.1, 0.3, 0.2, 0.6, 0.5, 0.4, 0.35, 0.25, 0.15, 0.45)


def test_the_corrected_interval_is_stretched_as_nadeau_and_bengio_say() -> None:
    """From s²/n to (1/n + n_test/n_train) s²; without a test part nothing changes."""
    one, plain = Resampled(VALUES, ratio=0.8), PerSeed(VALUES)
    own, corrected = plain.interval(0.95), one.interval(0.95)
    assert one.of_seeds(0.95) == own
    assert (corrected.mean, corrected.n) == (own.mean, own.n)
    assert (corrected.high - corrected.low) / (own.high - own.low) == pytest.approx(sqrt((1 / 10 + 0.8) / (1 / 10)))
    assert wider(own, corrected) == corrected
    assert f"[{own.low:.4g}, {own.high:.4g}]" in one.populations(0.95)
    assert f"[{corrected.low:.4g}, {corrected.high:.4g}]" in one.populations(0.95)
    same = Resampled(VALUES)
    assert same.interval(0.95) == own
    assert same.p_above(0.1) == plain.p_above(0.1)


@pytest.mark.parametrize("bound", [0.0, 0.2, 0.33])
def test_tests_and_interval_agree(bound: float) -> None:
    """The one-sided p value is above 2.5 % exactly where the interval holds the bound."""
    one = Resampled(VALUES, ratio=0.3)
    assert (one.p_above(bound) > 0.025) is (one.interval(0.95).low < bound)
    assert one.p_above(bound) >= PerSeed(VALUES).p_above(bound)
    mirrored = Resampled(tuple(-value for value in VALUES), ratio=0.3)
    assert one.p_above(bound) == pytest.approx(mirrored.p_below(-bound))


@pytest.mark.parametrize("ratio", [-0.1, float("inf"), float("nan")])
def test_a_ratio_that_is_none(ratio: float) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match="ratio must be test over training examples"):
        Resampled(VALUES, ratio=ratio)


def test_crossed_interval_by_hand() -> None:
    """Two by two: rows 0 and 4, columns 0 and 2, no rest: MS 16 and 4, df = 20² / (16² + 4²), t² x 20 / 4."""
    found = crossed_interval([[0.0, 2.0], [4.0, 6.0]], 0.95)
    from scipy import stats

    half = stats.t.ppf(0.975, 400 / 272) * sqrt(20 / 4)
    assert found == pytest.approx(Interval(3.0, 3 - half, 3 + half, 4))
    with pytest.raises(ValueError, match="two splits and two weights"):
        crossed_interval([[1.0, 2.0]], 0.95)


@pytest.mark.parametrize(("split", "weights", "rest"), [(1.0, 0.2, 0.5), (0.1, 1.0, 0.5), (0.0, 0.0, 1.0)])
def test_crossed_intervals_cover_the_mean(split: float, weights: float, rest: float) -> None:
    """Of 95 % intervals at least 94 %; those that take all scores for independent miss far more where they are not."""
    rng, covered, naive = np.random.default_rng(5), 0, 0
    for _ in range(1000):
        table = split * rng.normal(size=(6, 1)) + weights * rng.normal(size=5) + rest * rng.normal(size=(6, 5))
        found = crossed_interval(table.tolist(), 0.95)
        covered += found.low <= 0 <= found.high
        naive += abs(table.mean()) <= 2.045 * table.std(ddof=1) / sqrt(table.size)
    assert covered >= 930
    assert naive < 700 or split == 0


def test_the_correction_covers_other_data_where_seeds_alone_do_not() -> None:
    """A test part of 40 of 100 examples drawn anew by each of ten seeds; the truth is that of all such data."""
    rng, seeds_cover, corrected_cover = np.random.default_rng(8), 0, 0
    for _ in range(600):
        data = rng.normal(size=100)
        scores = tuple(float(data[rng.permutation(100)[:40]].mean() + 0.02 * rng.normal()) for _ in range(10))
        one = Resampled(scores, ratio=40 / 60)
        seeds_cover += one.of_seeds(0.95).low <= 0 <= one.of_seeds(0.95).high
        corrected_cover += one.interval(0.95).low <= 0 <= one.interval(0.95).high
    assert corrected_cover >= 0.9 * 600
    assert seeds_cover < 0.75 * 600
