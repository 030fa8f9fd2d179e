"""How often rules are wrong, by simulation with fixed seeds: at most 5 %, where the truth lies exactly at the bound.

A count of wrong labels fails a test where a rate of 5 % would exceed it less than once in a thousand times (an exact
binomial bound). The true rates are below: about 2.5 % for symmetric values, up to 4.9 % for exponential ones.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.claims.made_up import claim, part, reproduced
from workbench.claims.evidence import Cell, Estimate, PerSeed, Rate, Rates, Sample
from workbench.claims.rules import Above, Below, Label, Rule, Within
from workbench.claims.verdict import Reproduction, corrected, judge, overall

pytestmark = pytest.mark.slow

Generator = np.random.Generator
Draw = Callable[[Generator, tuple[int, int]], NDArray[np.float64]]
TOLERATED, FLIPS = 1e-3, 256
# means 0; the accuracy is that of two arms on 180 examples, which differ by multiples of 1/180
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size) - 1,
    "lognormal": lambda rng, size: rng.lognormal(0, 0.5, size) - np.exp(0.125),
    "t3": lambda rng, size: rng.standard_t(3, size),
    "accuracy": lambda rng, size: (rng.binomial(180, 0.95, size) - rng.binomial(180, 0.95, size)) / 180,
}
WRONG = {Label.supported, Label.refuted}


def most(simulations: int, rate: float = 0.05) -> int:
    """The count that a rate exceeds less than once in a thousand times."""
    return int(stats.binom.isf(TOLERATED, simulations, rate))


def least(simulations: int, rate: float) -> int:
    """The count that a rate stays below less than once in a thousand times."""
    return int(stats.binom.ppf(TOLERATED, simulations, rate))


def near(values: NDArray[np.float64], bound: float, rng: Generator) -> NDArray[np.bool_]:
    """Which rows may have a label: the others have a sign-flip p value of 7 % or more on 256 patterns, on both sides.

    A p value of 2.5 % shows itself as one of 7 % or more in one of 20 000 cases.
    """
    deviations = values - bound
    signs = rng.integers(0, 2, (FLIPS, values.shape[1])) * 2 - 1
    sums, reached = deviations @ signs.T, deviations.sum(1)[:, None]
    share = np.minimum((sums >= reached).mean(1), (sums <= reached).mean(1))
    return np.asarray(share < 0.07)


def labels(rule: Rule, values: NDArray[np.float64], bound: float) -> Counter[Label]:
    """How often the rule gives each label, a row being the seeds of a study."""
    rows = values[near(values, bound, np.random.default_rng(1))]
    return Counter(rule.judge(PerSeed(tuple(row.tolist()))).label for row in rows)


@pytest.mark.parametrize("n", [6, 10, 20])
@pytest.mark.parametrize("name", DRAWS)
def test_above_errs_in_at_most_5_percent(name: str, n: int) -> None:
    """The effect is exactly at the bound for both labels: one draw counts both errors."""
    simulations = 500 if n == 20 else 2000
    values = DRAWS[name](np.random.default_rng(n), (simulations, n))
    found = labels(Above(than=0), values, 0)
    assert max(found[label] for label in WRONG) <= most(simulations), found


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("rule", [Below(than=3, absent=3), Within(margin=8), Within(margin=8, around=16)])
def test_below_and_within_err_in_at_most_5_percent(rule: Below | Within, name: str) -> None:
    """Ten seeds, the effect at the bound of `below`, and at either end of the interval of `within`."""
    bound = 3.0 if isinstance(rule, Below) else 8.0
    values = bound + DRAWS[name](np.random.default_rng(5), (2000, 10))
    found = labels(rule, values, bound)
    assert max(found[label] for label in WRONG) <= most(2000), found


@pytest.mark.parametrize("n", [6, 10])
def test_within_errs_no_more_where_both_ends_are_near(n: int) -> None:
    """A margin as small as the spread: neither end alone decides."""
    values = 0.5 + DRAWS["normal"](np.random.default_rng(n), (2000, n))
    found = labels(Within(margin=0.5), values, 0.5)
    assert max(found[label] for label in WRONG) <= most(2000), found


@pytest.mark.parametrize(("n", "decided"), [(5, False), (6, True)])
def test_fewer_than_six_seeds_decide_nothing(n: int, decided: bool) -> None:
    """Of 5 equal signs the permutation test makes 1/32, of 6 it makes 1/64."""
    values = PerSeed(tuple(9 + 0.1 * seed for seed in range(n)))
    expected = {Label.supported, Label.refuted} if decided else {Label.inconclusive}
    assert {Above(than=1).judge(values).label, Above(than=100).judge(values).label} == expected


# effect, spread of the differences, seeds, label, and the share of 600 to 2000 simulated studies that had it
POWER = [
    (2.0, 0.5, 10, Label.supported, 0.98),
    (2.0, 1.0, 10, Label.supported, 0.72),
    (2.0, 1.5, 10, Label.supported, 0.39),
    (2.0, 1.0, 20, Label.supported, 0.98),
    (2.0, 1.5, 20, Label.supported, 0.79),
    (2.0, 2.0, 20, Label.supported, 0.53),
    (0.0, 0.5, 10, Label.refuted, 0.72),
    (0.0, 0.5, 20, Label.refuted, 0.98),
    (0.0, 1.0, 20, Label.refuted, 0.52),
]


@pytest.mark.parametrize(("effect", "spread", "n", "label", "power"), POWER)
def test_power_is_at_least_what_is_written(effect: float, spread: float, n: int, label: Label, power: float) -> None:
    """Above 1, else absent below 0.5, for normal differences: an effect twice the smallest that counts, and none."""
    simulations = 40 if n == 20 else 300
    values = effect + spread * np.random.default_rng(n).normal(size=(simulations, n))
    found = Counter(Above(than=1).judge(PerSeed(tuple(row.tolist()))).label for row in values)
    assert found[label] >= least(simulations, power), found
    assert sum(found[one] for one in WRONG - {label}) == 0


@pytest.mark.parametrize("n", [5, 20, 100, 400])
@pytest.mark.parametrize("truth", [0.05, 0.5, 0.95])
def test_rate_errs_in_at_most_5_percent(n: int, truth: float) -> None:
    """Without simulation: the probabilities of all counts for which the label is wrong."""
    for rule in (Above(than=truth, absent=truth), Below(than=truth, absent=truth)):
        error = dict.fromkeys(Label, 0.0)
        for count in range(n + 1):
            error[rule.judge(Rate(count, n)).label] += stats.binom.pmf(count, n, truth)
        assert max(error[label] for label in WRONG) <= 0.025
        if n >= 100:
            assert max(error[label] for label in WRONG) > 0.008


def rates_errors(rule: Rule, n: int, first: float, other: float) -> dict[Label, float]:
    """The probability of each label, over all pairs of counts that are not next to impossible."""
    found = dict.fromkeys(Label, 0.0)
    pmf = [stats.binom.pmf(range(n + 1), n, truth) for truth in (first, other)]
    for i in range(n + 1):
        for j in range(n + 1):
            chance = pmf[0][i] * pmf[1][j]
            if chance > 1e-5:
                found[rule.judge(Rates(i, n, j, n)).label] += chance
    return found


@pytest.mark.parametrize(("first", "other"), [(0.5, 0.5), (0.9, 0.9), (0.6, 0.5)])
def test_rates_err_in_at_most_5_percent(first: float, other: float) -> None:
    """Two groups of ten, whose difference is the bound; the margin of `within` on both sides."""
    bound = first - other
    for rule in (Above(than=bound, absent=bound), Within(around=bound - 0.6, margin=0.6)):
        found = rates_errors(rule, 10, first, other)
        assert max(found[label] for label in WRONG) <= 0.05, found


def slope(rng: Generator, skewed: bool) -> Estimate:
    """Of a regression on eight points without a slope."""
    noise = rng.exponential(size=8) if skewed else rng.normal(size=8)
    line = stats.linregress(np.arange(8.0), noise)
    return Estimate(line.slope, line.stderr, 6, 8)


@pytest.mark.parametrize("skewed", [False, True])
def test_slopes_err_in_at_most_5_percent(skewed: bool) -> None:
    """At the bound of all three rules."""
    rng = np.random.default_rng(3)
    slopes = [slope(rng, skewed) for _ in range(1000)]
    for rule in (Above(than=0), Below(than=0, absent=0), Within(around=-5, margin=5)):
        found = Counter(rule.judge(one).label for one in slopes)
        assert max(found[label] for label in WRONG) <= most(1000), found
        assert min(found[label] for label in WRONG) > 10


def estimates(rng: Generator, cells: int) -> Iterator[Estimate]:
    """Means of ten normal values around 0."""
    for values in rng.normal(size=(cells, 10)):
        yield Estimate(float(values.mean()), float(stats.sem(values)), 9, 10)


@pytest.mark.parametrize(("decided_by", "alone"), [("any", Label.supported), ("all", Label.refuted)])
def test_one_cell_of_eight_errs_in_at_most_5_percent(decided_by: str, alone: Label) -> None:
    """Each effect is at the bound: supported by any cell, or refuted by one of all, 5 % together and not each."""
    made = claim(parts={"p": part("Says.", "above", than=0, cells={"c": list(range(8))}, decided_by=decided_by)})
    rng, found, undivided = np.random.default_rng(4), Counter[Label](), 0
    up = alone is Label.supported
    for _ in range(600):
        cells = list(estimates(rng, 8))
        (verdict,) = judge(made, (Cell("p", one, {"c": place}) for place, one in enumerate(cells)))
        found[verdict.label] += 1
        undivided += any(min(one.p_above(0), 1 - one.p_above(0)) <= 0.025 and (one.value > 0) == up for one in cells)
    assert found[alone] <= most(600)
    assert found.keys() == {alone, Label.inconclusive}, "the other label needs all eight"
    assert undivided > most(600), "this many there would be"


def test_seven_claims_err_in_at_most_5_percent_together() -> None:
    """Seven claims without any effect: what is left after Holm's correction is wrong in 5 % of the families."""
    template = reproduced([Cell("p", Estimate(0.0, 1.0, 9, 10))], parts={"p": part("Says.", "above", than=0)})
    made = claim(parts={"p": part("Says.", "above", than=0)})

    def one(number: int, estimate: Sample) -> Reproduction:
        parts = judge(made, [Cell("p", estimate)])
        return template.model_copy(update={"name": f"{number}", "label": overall(parts), "parts": parts})

    rng, before, after = np.random.default_rng(6), 0, 0
    for _ in range(400):
        family = [one(number, estimate) for number, estimate in enumerate(estimates(rng, 7))]
        before += any(each.label in WRONG for each in family)
        after += any(each.holm in WRONG for each in corrected(family))
    assert after <= most(400)
    assert before > most(400, 0.15), "without the correction"
