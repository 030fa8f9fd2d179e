"""Intervals and tests against published tables, statsmodels, scipy's own, enumeration and simulation."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.api import OLS, add_constant
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workbench.core.stats import (
    holm,
    mean_interval,
    middle_error,
    middle_interval,
    middle_t,
    minimum_detectable,
    newcombe,
    signed_rank,
    t_interval,
    wilson,
)

CONFIDENCES = st.floats(0.5, 0.999)
FRACTIONS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
# the differences in height of crossed and self-fertilized maize, in eighths of an inch
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_interval_worked_by_hand() -> None:
    """1 … 5: mean 3, s = √2.5, so s/√5 = √½; t(0.975, 4) = 2.776 from the printed tables."""
    interval = mean_interval([1, 2, 3, 4, 5])
    assert interval.mean == 3
    assert interval.n == 5
    assert (interval.high - interval.low) / 2 == pytest.approx(2.776 * math.sqrt(0.5), abs=5e-4)
    assert interval.low == pytest.approx(3 - 1.963, abs=5e-4)
    assert interval.high == pytest.approx(3 + 1.963, abs=5e-4)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 30])
def test_interval_equals_scipys(n: int, confidence: float) -> None:
    """The interval of a mean is scipy's, which belongs to the one-sample t test."""
    values = np.random.default_rng(n).normal(3, 2, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    interval = mean_interval(values.tolist(), confidence)
    assert interval.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The share of 2000 intervals at 90 % over five normal values that hold the mean is 0.9 ± 4 standard errors."""
    draws = np.random.default_rng(0).normal(7, 3, (2000, 5))
    intervals = [mean_interval(row.tolist(), 0.9) for row in draws]
    covered = np.mean([one.low <= 7 <= one.high for one in intervals])
    assert abs(covered - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2000)


def test_interval_of_one_value_has_no_ends() -> None:
    """An interval of a single value has a mean but no ends, because one seed says nothing of the spread."""
    interval = mean_interval([2.5])
    assert (interval.mean, interval.n) == (2.5, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_interval_of_nothing() -> None:
    """An interval of no values has no mean, and numpy does not warn."""
    interval = mean_interval([])
    assert interval.n == 0
    assert math.isnan(interval.mean)


def test_interval_of_equal_values_is_a_point() -> None:
    """An interval of equal values is a point: no spread, no width."""
    assert mean_interval([4.0, 4.0, 4.0])[:3] == (4, 4, 4)


def test_interval_of_a_slope_equals_statsmodels() -> None:
    """scipy's linregress gives the slope and its standard error, the interval needs nothing else."""
    x, noise = np.arange(9.0), np.random.default_rng(0).normal(0, 1, 9)
    line = stats.linregress(x, 2 * x + noise)
    expected = OLS(2 * x + noise, add_constant(x)).fit().conf_int(0.1)[1]
    interval = t_interval(line.slope, line.stderr, 7, 9, 0.9)
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-10)
    assert (interval.mean, interval.n) == (line.slope, 9)


@pytest.mark.parametrize("n", [2, 3, 8, 20, 21])
def test_middle_equals_the_trimmed_mean_of_scipy(n: int) -> None:
    """The middle's mean equals scipy's, and its error scipy's for large samples, times a factor for whole quarters."""
    values = np.random.default_rng(n).lognormal(size=n)
    interval, (error, kept) = middle_interval(values.tolist()), middle_error(values.tolist())
    assert interval.mean == pytest.approx(stats.trim_mean(values, 0.25), rel=1e-12)
    assert (interval.high - interval.low) / 2 == pytest.approx(error * stats.t.ppf(0.975, kept - 1), rel=1e-9)
    if n % 4 == 0:
        asymptotic = float(stats.mstats.trimmed_stde(values, (0.25, 0.25)))
        assert error == pytest.approx(asymptotic * 0.5 * math.sqrt(n * (n - 1) / (kept * (kept - 1))), rel=1e-9)
    p = middle_t(values.tolist(), interval.low)
    assert p == pytest.approx(0.025, rel=1e-6)


def test_middle_worked_by_hand() -> None:
    """The middle of 1, 2, 4, 100 by hand is 3; winsorized 2, 2, 4, 4 have variance 4/3, times 3 over 2."""
    interval, (error, kept) = middle_interval([4, 100, 1, 2]), middle_error([4, 100, 1, 2])
    assert (interval.mean, kept) == (3, 2)
    assert error == pytest.approx(math.sqrt(4 / 3 * 3 / 2))
    assert middle_interval([4, 1e300, -1e300, 2])[:3] == interval[:3], "the ends do not matter"


def test_middle_without_spread() -> None:
    """The middle of equal values is a point, of which the t test has no doubt; a single value has no interval."""
    assert middle_interval([2.0, 2.0, 2.0, 9.0])[:3] == (2, 2, 2)
    assert [middle_t([2.0] * 3, than) for than in (1.0, 2.0, 3.0)] == [0, 1, 1]
    alone = middle_interval([2.5])
    assert (alone.mean, alone.n) == (2.5, 1)
    assert math.isnan(alone.low)
    assert middle_t([2.5], 0.0) == 0.5


def test_signed_rank_of_darwins_maize_by_enumeration() -> None:
    """The p-value of Darwin's maize is that of enumeration over all 2¹⁵ signs of the ranks, some of which are ties."""
    flips = np.array(list(itertools.product((-1, 1), repeat=len(DARWIN))))
    ranks = stats.rankdata(np.abs(DARWIN))
    reached = ranks @ np.sign(DARWIN)
    assert signed_rank(DARWIN) == pytest.approx(float(np.mean(flips @ ranks >= reached)), rel=1e-12)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8), st.integers(-2, 2))
def test_signed_rank_equals_brute_force(values: list[int], than: int) -> None:
    """The signed-rank p-value equals brute force over all signs, ties and zeros included."""
    deviations = np.array(values) - than
    ranks = stats.rankdata(np.abs(deviations)) * (deviations != 0)
    sums = [sum(signs * ranks) for signs in itertools.product((-1, 1), repeat=len(values))]
    expected = np.mean(np.array(sums) >= sum(np.sign(deviations) * ranks) - 1e-9)
    assert signed_rank(values, than) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [12, 40, 501])
def test_signed_rank_equals_scipys(n: int) -> None:
    """Signed-rank p-values equal scipy's: exact without ties, by the normal distribution for more than 500 values."""
    values = np.random.default_rng(n).normal(0.2, size=n)
    method = "exact" if n <= 500 else "asymptotic"
    expected = stats.wilcoxon(values - 0.1, alternative="greater", method=method).pvalue
    assert signed_rank(values.tolist(), 0.1) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(("confidence", "power"), [(0.95, 0.8), (0.99, 0.9), (0.9, 0.5)])
@pytest.mark.parametrize("n", [5, 10, 60])
def test_detectable_shift_equals_statsmodels(n: int, confidence: float, power: float) -> None:
    """Detectable shifts equal statsmodels', which count the wrong tail too, to 1e-3, and scale with the deviation."""
    expected = TTestPower().solve_power(nobs=n, alpha=1 - confidence, power=power)
    assert minimum_detectable(1, n, confidence, power) == pytest.approx(expected, rel=1e-3)
    assert minimum_detectable(2.5, n, confidence, power) == pytest.approx(2.5 * expected, rel=1e-3)


def test_detectable_shift_is_detected_as_often_as_it_says() -> None:
    """The share of 20 000 t tests of three values that find the detectable shift is 0.9 ± 4 standard errors."""
    shift = minimum_detectable(2, 3, 0.99, 0.9)
    draws = np.random.default_rng(0).normal(5 + shift, 2, (20_000, 3))
    found = np.mean(stats.ttest_1samp(draws, 5, axis=1).pvalue < 0.01)
    assert abs(found - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 20_000)


def test_detectable_shift_at_the_ends() -> None:
    """Two values by the noncentral t itself; many by the printed 1.960 + 0.842; a power below the level needs none."""
    shift = minimum_detectable(1, 2)
    assert stats.nct.sf(stats.t.isf(0.025, 1), 1, shift * math.sqrt(2)) == pytest.approx(0.8, abs=1e-6)
    assert minimum_detectable(1, 40_000) == pytest.approx((1.960 + 0.842) / 200, rel=1e-3)
    assert minimum_detectable(1, 5, power=0.01) == 0
    assert minimum_detectable(0, 5) == 0


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_printed(successes: int, n: int, low: float, high: float) -> None:
    """Wilson's interval as in Newcombe 1998, Interval estimation for the single proportion, table I, method 3."""
    interval = wilson(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert (interval.mean, interval.n) == (successes / n, n)


@given(FRACTIONS, CONFIDENCES)
def test_wilson_equals_statsmodels(fraction: tuple[int, int], confidence: float) -> None:
    """Wilson's interval equals statsmodels' and holds the proportion, within 0 and 1."""
    interval = wilson(*fraction, confidence)
    expected = proportion_confint(*fraction, 1 - confidence, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


@pytest.mark.parametrize(
    ("successes", "n", "other_successes", "other_n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1),
        (10, 10, 0, 10, 0.6075, 1),
    ],
)
def test_newcombe_as_printed(
    successes: int, n: int, other_successes: int, other_n: int, low: float, high: float
) -> None:
    """Newcombe 1998, Interval estimation for the difference between independent proportions, table II, method 10."""
    interval = newcombe(successes, n, other_successes, other_n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)
    assert interval.mean == pytest.approx(successes / n - other_successes / other_n, abs=1e-15)
    assert interval.n == n + other_n


@pytest.mark.slow
@given(FRACTIONS, FRACTIONS, CONFIDENCES)
def test_newcombe_equals_statsmodels(first: tuple[int, int], other: tuple[int, int], confidence: float) -> None:
    """Newcombe's interval equals statsmodels', lies within -1 and 1, and changes its sign where samples are swapped."""
    interval = newcombe(*first, *other, confidence)
    expected = confint_proportions_2indep(*first, *other, method="newcomb", compare="diff", alpha=1 - confidence)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
    assert -1 <= interval.low <= interval.mean <= interval.high <= 1
    turned = newcombe(*other, *first, confidence)
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low), abs=1e-12)


def test_holm_worked_by_hand() -> None:
    """Holm's p-values by hand: 4 · 0.005; 3 · 0.01; 2 · 0.03, which 0.04 may not undercut; and an empty family."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("m", [1, 2, 3, 10])
def test_holm_equals_statsmodels(m: int) -> None:
    """Holm's p-values equal statsmodels', with ties, in the order given."""
    p_values = np.random.default_rng(m).integers(0, 20, m) / 100
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone(p_values: list[float]) -> None:
    """Holm's p-value is never below the p-value, above Bonferroni's or above 1; larger p-values stay larger."""
    adjusted = holm(p_values)
    assert all(p <= one <= min(1, len(p_values) * p) for p, one in zip(p_values, adjusted, strict=True))
    ranked = [one for _, one in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(adjusted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(4, 3), "successes must lie in 0 … n with n at least 1, got 4 of 3"),
        (lambda: wilson(-1, 3), "got -1 of 3"),
        (lambda: wilson(0, 0), "got 0 of 0"),
        (lambda: newcombe(1, 3, 5, 4), "got 5 of 4"),
        (lambda: holm([0.1, math.nan]), r"p-values must be numbers from 0 to 1, got \[0.1, nan\]"),
        (lambda: holm([1.1]), "p-values"),
        (lambda: holm([-0.1]), "p-values"),
        (lambda: middle_interval([]), "values"),
        (lambda: middle_interval([1, math.nan]), r"values must be .* got \[1, nan\]"),
        (lambda: middle_interval([1, math.inf]), "values"),
        (lambda: signed_rank([]), "values"),
        (lambda: signed_rank([1, math.nan]), "values"),
        (lambda: t_interval(1, -1, 3, 4), "standard_error must be at least 0 and df above 0, got -1 and 3"),
        (lambda: t_interval(1, 1, 0, 2), "got 1 and 0"),
        (lambda: minimum_detectable(-1, 5), "standard_deviation must be at least 0 and n at least 2, got -1 and 5"),
        (lambda: minimum_detectable(1, 1), "got 1 and 1"),
        (lambda: minimum_detectable(math.nan, 5), "got nan and 5"),
        (lambda: minimum_detectable(1, 5, power=1), "power must lie strictly between 0 and 1, got 1"),
    ],
)
def test_bad_arguments_are_refused(call: Callable[[], object], message: str) -> None:
    """Bad arguments are refused with the value and the rule."""
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, math.nan])
@pytest.mark.parametrize(
    "call",
    [
        lambda confidence: t_interval(1, 1, 1, 3, confidence),
        lambda confidence: mean_interval([1, 2], confidence),
        lambda confidence: middle_interval([1, 2], confidence),
        lambda confidence: wilson(1, 2, confidence),
        lambda confidence: newcombe(1, 2, 1, 3, confidence),
        lambda confidence: minimum_detectable(1, 3, confidence),
    ],
)
def test_confidence_is_a_fraction(call: Callable[[float], object], confidence: float) -> None:
    """A confidence that is a percentage, 0, 1, negative or NaN is refused with the rule and the value."""
    with pytest.raises(ValueError, match=f"confidence must lie strictly between 0 and 1, got {confidence}"):
        call(confidence)
