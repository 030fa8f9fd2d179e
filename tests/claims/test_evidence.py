"""Intervals and p values of all forms of evidence against scipy, brute force and numbers worked by hand."""

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.claims.evidence import Estimate, Exact, PerSeed, Rate, Rates, Sample
from workbench.core.stats import middle_interval, middle_t, newcombe, signed_rank, wilson

SKEWED = (0.1, 0.2, 0.4, 0.9, 2.0, 5.3, 0.3)
SAMPLES: list[Sample] = [PerSeed(SKEWED), Rate(7, 20), Rates(7, 20, 3, 15), Estimate(0.35, 0.1, 8, 10)]


@pytest.mark.parametrize(("values", "than", "p"), [((2.0, 2.0), 1.0, 0.25), ((2.0, 2.0), 2.0, 1.0), ((2.0,), 1.0, 0.5)])
def test_equal_seeds_are_worth_what_their_signs_say(values: tuple[float, ...], than: float, p: float) -> None:
    """Values without spread, on which a t test would be certain, get the p of their signs: one half for each seed."""
    assert PerSeed(values).p_above(than) == p


@pytest.mark.parametrize("than", [0.1, 1.0, 1.4])
def test_seeds_pass_both_tests(than: float) -> None:
    """The p value is the larger one; which one that is depends on the side."""
    evidence = PerSeed(SKEWED)
    assert evidence.p_above(than) == max(signed_rank(SKEWED, than), middle_t(SKEWED, than))
    mirrored = [-value for value in SKEWED]
    assert evidence.p_below(than) == max(signed_rank(mirrored, -than), middle_t(mirrored, -than))
    assert evidence.interval(0.9) == middle_interval(SKEWED, 0.9)


def test_either_test_of_seeds_can_decide() -> None:
    """Signs are coarse for few seeds; t is the stricter one where the middle spreads."""
    assert signed_rank(range(11, 16), 0) > middle_t(range(11, 16), 0)
    spread = (0.1, 0.2, 0.3, 5.0, 9.0, 12.0, 14.0)
    assert signed_rank(spread, 0) < middle_t(spread, 0)


def test_one_collapsed_seed_of_ten_takes_nothing_away() -> None:
    """The middle of ten is the same whether one of them lies far below or not; two collapsed widen the interval."""
    nine = tuple(1 + 0.01 * seed for seed in range(9))
    near, far = PerSeed((0.99, *nine)).interval(0.95), PerSeed((-80.0, *nine)).interval(0.95)
    assert near == far
    wide = PerSeed((-80.0, -80.0, -80.0, *nine[:7])).interval(0.95)
    assert wide.high - wide.low > 10 * (near.high - near.low)


@pytest.mark.parametrize("values", [(), (1.0, nan), (inf,), (0.0, -inf)])
def test_seeds_must_be_finite(values: tuple[float, ...]) -> None:
    """A diverged run must be given a value by whoever measures."""
    with pytest.raises(ValueError, match="PerSeed: values must be finite numbers, at least one, got "):
        PerSeed(values)


@pytest.mark.parametrize(("successes", "n", "bound"), [(7, 20, 0.2), (20, 20, 0.95), (0, 5, 0.5), (3, 3, 0.1)])
def test_rate_against_the_sum_of_its_tail(successes: int, n: int, bound: float) -> None:
    """p values are tails of the binomial distribution, summed here; the interval is Wilson's."""
    evidence = Rate(successes, n)
    assert evidence.p_above(bound) == pytest.approx(stats.binom.sf(successes - 1, n, bound), rel=1e-9)
    assert evidence.p_below(bound) == pytest.approx(stats.binom.cdf(successes, n, bound), rel=1e-9)
    assert evidence.interval(0.9) == wilson(successes, n, 0.9)


@pytest.mark.parametrize("counts", [(7, 20, 3, 15), (20, 20, 0, 20), (1, 30, 2, 40), (19, 20, 15, 20)])
@pytest.mark.parametrize("bound", [-0.3, 0.0, 0.05, 0.2])
def test_rates_level_equals_brute_force(counts: tuple[int, int, int, int], bound: float) -> None:
    """The p of two rates equals the smallest level of a fine grid at which the interval lies beyond the bound."""
    evidence = Rates(*counts)
    levels = np.geomspace(1e-9, 0.4999, 200)
    intervals = [newcombe(*counts, 1 - 2 * level) for level in levels]
    for p, beyond in (
        (evidence.p_above(bound), [one.low > bound for one in intervals]),
        (evidence.p_below(bound), [one.high < bound for one in intervals]),
    ):
        if not any(beyond):
            assert p == 1.0 or p > levels[-1]
            continue
        first = beyond.index(True)
        assert (levels[first - 1] * 0.99 if first else 0) <= p <= levels[first] * 1.01
        assert all(beyond[first:]), "intervals are nested"
    assert evidence.interval(0.9) == newcombe(*counts, 0.9)


def test_rates_with_a_certain_difference() -> None:
    """A difference of rates beyond doubt has p = 1e-12, the smallest level looked at, and p = 1 below the bound."""
    evidence = Rates(4000, 4000, 0, 4000)
    assert evidence.p_above(0) == 1e-12
    assert evidence.p_below(0) == 1.0


def test_estimate_equals_the_regressions_own_test() -> None:
    """scipy's linregress tests the slope, of which the estimate knows value and error only."""
    x = np.arange(9.0)
    y = 0.3 * x + np.random.default_rng(0).normal(size=9)
    line = stats.linregress(x, y)
    evidence = Estimate(line.slope, line.stderr, 7, 9)
    assert evidence.p_above(0) == pytest.approx(stats.linregress(x, y, alternative="greater").pvalue, rel=1e-9)
    assert evidence.p_below(0) == pytest.approx(stats.linregress(x, y, alternative="less").pvalue, rel=1e-9)
    shifted = stats.linregress(x, y - 0.2 * x, alternative="greater").pvalue
    assert evidence.p_above(0.2) == pytest.approx(shifted, rel=1e-9)
    low, high = evidence.interval(0.9)[1:3]
    assert [low, high] == pytest.approx(
        [line.slope - 1.894579 * line.stderr, line.slope + 1.894579 * line.stderr], rel=1e-6
    )
    assert evidence.interval(0.9).n == 9


def test_estimate_without_residuals() -> None:
    """A line through all points has a slope beyond doubt."""
    exact = Estimate(2.0, 0.0, 3, 5)
    assert (exact.p_above(1.9), exact.p_above(2.0), exact.p_below(2.1), exact.p_below(2.0)) == (0, 1, 0, 1)
    assert exact.interval(0.95)[:3] == (2, 2, 2)


@pytest.mark.parametrize("evidence", SAMPLES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("level", [0.005, 0.025, 0.1])
def test_interval_and_test_mean_the_same(evidence: Sample, level: float) -> None:
    """A bound far beyond the interval's end has a p value below the level; one inside it has not."""
    interval = evidence.interval(1 - 2 * level)
    width = interval.high - interval.low
    assert evidence.p_above(interval.mean) > level
    assert evidence.p_below(interval.mean) > level
    assert evidence.p_above(interval.high) > 0.5
    assert evidence.p_below(interval.low) > 0.5
    if not isinstance(evidence, PerSeed):
        low, high = interval.low - width / 2, interval.high + width / 2
        assert evidence.p_above(max(low, 0.0) if isinstance(evidence, Rate) else low) < level
        assert evidence.p_below(min(high, 1.0) if isinstance(evidence, Rate) else high) < level


def test_one_seed_has_no_interval() -> None:
    """A single seed's interval has NaN as its lower end, so it decides nothing."""
    assert isnan(PerSeed((2.0,)).interval(0.95).low)


def test_deviations_within_a_tolerance() -> None:
    """Deviations above the tolerance, and NaN, count as counterexamples, and the largest deviation is kept."""
    found = Exact.within([0.5, 1.0, 1.5, 2.5], 1, "one", "why")
    assert found == Exact(4, 2, 2.5, "one", "why")
    assert Exact.within(iter([0.1, nan]), 1).counterexamples == 1
    assert Exact.within(np.array([0.1, 0.2]), 1) == Exact(2, 0, 0.2)


@given(st.lists(st.booleans(), min_size=1))
def test_rates_of_tries(tries: list[bool]) -> None:
    """`Rates.of` counts the successes and tries of two groups."""
    assert Rates.of(tries, [True], ("relu",)) == Rates(sum(tries), len(tries), 1, 1, ("relu",))


@given(st.lists(st.booleans(), min_size=1))
def test_rate_of_tries(tries: list[bool]) -> None:
    """`Rate.of` counts successes and tries of a list, and of an array alike."""
    assert Rate.of(tries) == Rate.of(np.array(tries)) == Rate(sum(tries), len(tries))
