"""Intervals for runs that share one data set or learning rates: by hand, and how often they cover what they are for."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from workbench.claims.evidence import PerSeed
from workbench.claims.resampled import errors, fold_variance
from workbench.claims.rules import Above, Label, Within
from workbench.claims.trained_arms import draws_data, shared_ratio
from workbench.config.compose import configure
from workbench.core.stats import middle_error

VALUES = (0.1, 0.3, 0.2, 0.6, 0.5, 0.4, 0.35, 0.25, 0.15, 0.45)


def width(sample: PerSeed) -> float:
    """Length of the interval that is judged."""
    interval = sample.interval(0.95)
    return interval.high - interval.low


def test_the_corrected_interval_is_stretched_as_nadeau_and_bengio_say() -> None:
    """The corrected variance is (1/n + n_test/n_train) s², not s²/n; without a test part nothing changes."""
    plain, corrected = PerSeed(VALUES), PerSeed(VALUES, ratio=0.8)
    assert corrected.of_seeds(0.95) == plain.interval(0.95) == plain.of_seeds(0.95)
    assert corrected.interval(0.95).mean == plain.interval(0.95).mean
    assert width(corrected) / width(plain) == pytest.approx(sqrt((1 / 10 + 0.8) / (1 / 10)))
    assert PerSeed(VALUES, ratio=0.0).interval(0.95) == plain.interval(0.95)
    assert PerSeed(VALUES, ratio=0.0).p_above(0.1) == plain.p_above(0.1)


def test_the_variance_over_folds_by_hand() -> None:
    """Two folds of two: winsorized values are the values; sums 2 and -2 over squares of 1, times 2/1 over 4/3."""
    values = (1.0, -1.0, 1.0, -1.0)
    assert fold_variance(values, 2) == pytest.approx(2 * (2**2 + 2**2) / (4 / 3 * 4))
    assert fold_variance(VALUES, len(VALUES)) == pytest.approx(1), "folds of one are independent values"
    assert fold_variance((2.0,) * 8, 4) == 1.0
    error, kept = middle_error(VALUES)
    among = fold_variance(VALUES, 4)
    assert errors(VALUES, 0.5, 4) == [(error * sqrt(max(1, among) + 5), kept - 1), (error * sqrt(among), 3)]
    assert errors(VALUES, 0.0, 1) == [(error, kept - 1)]


@pytest.mark.parametrize(("ratio", "folds"), [(0.3, 1), (0.0, 4), (0.3, 4)])
@pytest.mark.parametrize("bound", [0.0, 0.2, 0.33])
def test_tests_and_interval_agree(bound: float, ratio: float, folds: int) -> None:
    """The one-sided p value is above 2.5 % exactly where the interval holds the bound."""
    one = PerSeed(VALUES, ratio=ratio, folds=folds)
    assert (one.p_above(bound) > 0.025) is (one.interval(0.95).low < bound)
    assert one.p_above(bound) >= PerSeed(VALUES).p_above(bound)
    mirrored = PerSeed(tuple(-value for value in VALUES), ratio=ratio, folds=folds)
    assert one.p_above(bound) == pytest.approx(mirrored.p_below(-bound))


@pytest.mark.parametrize("ratio", [-0.1, float("inf"), float("nan")])
def test_a_ratio_that_is_none(ratio: float) -> None:
    """A ratio of test to training examples that is negative, infinite or NaN raises ValueError."""
    with pytest.raises(ValueError, match="ratio must be test over training examples"):
        PerSeed(VALUES, ratio=ratio)


def test_the_correction_covers_other_data_where_seeds_alone_do_not() -> None:
    """A test part of 40 of 100 examples drawn anew by each of ten seeds; the truth is that of all such data."""
    rng, seeds_cover, corrected_cover = np.random.default_rng(8), 0, 0
    for _ in range(600):
        data = rng.normal(size=100)
        scores = tuple(float(data[rng.permutation(100)[:40]].mean() + 0.02 * rng.normal()) for _ in range(10))
        one = PerSeed(scores, ratio=40 / 60)
        seeds_cover += one.of_seeds(0.95).low <= 0 <= one.of_seeds(0.95).high
        corrected_cover += one.interval(0.95).low <= 0 <= one.interval(0.95).high
    assert corrected_cover >= 0.9 * 600
    assert seeds_cover < 0.75 * 600


@pytest.mark.parametrize(("tuning", "alone_misses"), [(0.0, False), (1.0, True), (2.0, True)])
def test_folds_cover_other_tuning_where_seeds_alone_do_not(tuning: float, alone_misses: bool) -> None:
    """Sixteen seeds of four folds whose rates shift what they find by so many spreads; the truth is over all rates."""
    rng, covered, alone = np.random.default_rng(9), 0, 0
    for _ in range(500):
        values = tuple((rng.normal(size=16) + tuning * np.tile(rng.normal(size=4), 4)).tolist())
        one = PerSeed(values, folds=4)
        covered += one.interval(0.95).low <= 0 <= one.interval(0.95).high
        alone += one.of_seeds(0.95).low <= 0 <= one.of_seeds(0.95).high
    assert covered >= stats.binom.ppf(1e-3, 500, 0.94)
    assert (alone < 0.9 * 500) is alone_misses


@pytest.mark.parametrize("n", [10, 80, 2000])
def test_what_no_number_of_seeds_decides_is_said(n: int) -> None:
    """An effect nearer to the bound than other data differ: no seeds are asked for; one that is further is decided."""
    rng, rule = np.random.default_rng(3), Above(than=0.0, absent=-10.0)
    noise = rng.normal(size=n)
    noise = noise - np.median(noise)
    near, far = (PerSeed(tuple(noise + shift), ratio=0.8) for shift in (0.5, 8.0))
    assert rule.judge(near).label is Label.inconclusive
    assert "no number of seeds on these data decides" in rule.judge(near).reason
    assert rule.judge(far).label is Label.supported
    assert "no number of seeds" in Within(margin=1.0).judge(PerSeed(tuple(noise), ratio=0.8)).reason
    assert "no number of seeds" not in rule.judge(PerSeed(tuple(0.05 * noise + 0.001), ratio=0.0)).reason


@pytest.mark.parametrize(
    ("overrides", "ratio"),
    [
        (("data=digits", "split.valid=0.1", "split.test=0.4"), 0.8),
        (("data=xor",), 0.0),
        (("data=annuli", "data.seed=null", "split.test=0.8"), 0.0),
        (("data=annuli", "split.valid=0.1", "split.test=0.8"), 8.0),
    ],
)
def test_the_ratio_of_a_configuration(overrides: tuple[str, ...], ratio: float) -> None:
    """Test over training examples of a shared data set; 0 where each seed draws its own, or all parts are the same."""
    made = configure(overrides)
    assert shared_ratio(made) == pytest.approx(ratio)
    assert draws_data(made) is ("data.seed=null" in overrides)
