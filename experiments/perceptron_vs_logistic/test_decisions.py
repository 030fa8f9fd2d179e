"""The band against correct rounding and its neighbors, comparisons against planted mistakes, costs against a loop."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import floor, inf, log, log2, nextafter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from workbench.experiments.perceptron_vs_logistic import decisions as exact

from workbench.nn import activations

DTYPES = [torch.float32, torch.float64]
BANDS = {dtype: exact.find_band(dtype) for dtype in DTYPES}
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def _rounded(value: Decimal, dtype: torch.dtype) -> Decimal:
    """The nearest number of the type, ties to even."""
    place = Fraction(2) ** (floor(log2(value)) - {torch.float32: 23, torch.float64: 52}[dtype])
    return Decimal(float(round(Fraction(value) / place) * place))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("share", "above"), [(0.5, False), (0.75, False), (0.75 + 1e-6, True), (1.0, True)])
def test_the_derivation_by_correct_rounding(dtype: torch.dtype, share: float, above: bool) -> None:
    """Three operations in 60 digits, each rounded to the type, give ½ for z up to ¾ eps, then more."""
    with localcontext() as digits:
        digits.prec = 60
        inner = _rounded((-Decimal(share * torch.finfo(dtype).eps)).exp(), dtype)
        total = _rounded(1 + inner, dtype)
        assert (_rounded(1 / total, dtype) > 0.5) == above


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_band_ends_where_the_next_number_is_above(dtype: torch.dtype) -> None:
    """The band ends close to ¾ eps, as far as exp is rounded correctly, for a number alone and in a row."""
    band, eps = exact.find_band(dtype), torch.finfo(dtype).eps
    assert eps / 4 <= band.sure <= band.most < 2 * eps
    for width in (1, 64):
        inside, outside = (torch.full((width,), z, dtype=dtype) for z in band)
        assert not exact.logistic_decides(inside).any()
        assert exact.logistic_decides(outside.nextafter(torch.ones_like(outside))).all()


@given(st.floats(allow_nan=False), st.floats(allow_nan=False, width=32))
def test_every_number_is_decided_as_predicted(double: float, single: float) -> None:
    """Every number is decided as predicted, infinities and subnormal numbers too."""
    for value, dtype in ((double, torch.float64), (single, torch.float32)):
        found = exact.compare(torch.tensor([value], dtype=dtype), BANDS[dtype])
        assert (found.unexpected, found.tie, found.example) == (0, int(value == 0), None)


def test_without_a_band_both_sets_count() -> None:
    """Comparing without a band counts five differences: -0, 0, two numbers of the band and its end."""
    band = BANDS[torch.float64]
    values = [-0.0, 0.0, 5e-324, 1e-20, band.sure, nextafter(band.most, inf), -1e-20, 3.0]
    z = torch.tensor(values, dtype=torch.float64)
    assert exact.compare(z, band) == exact.Comparison(8, 2, 3, 0, None)
    assert exact.compare(z, None) == exact.Comparison(8, 2, 3, 5, 0.0)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_another_band_is_noticed(factor: float) -> None:
    """Numbers next to the true edge lie outside of a shorter one and agree inside of a longer one."""
    sure, most = BANDS[torch.float32]
    z = torch.linspace(0, 3 * most, 1001)
    assert exact.compare(z, exact.Band(sure, most)).unexpected == 0
    assert exact.compare(z, exact.Band(factor * sure, factor * most)).unexpected > 100


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("STEP", lambda z: (z > 0).to(z.dtype)),
        ("STEP", lambda z: (z >= 1e-3).to(z.dtype)),
        ("LOGISTIC", lambda z: torch.sigmoid(z) + 1e-7),
        ("LOGISTIC", lambda z: torch.sigmoid(-z)),
    ],
)
def test_another_step_or_another_sigmoid_is_noticed(name: str, f: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another step or sigmoid is noticed, also with a band found anew: no band excuses what is not near 0."""
    monkeypatch.setattr(exact, name, activations.Activation(f, lambda z, a: z, (0.0, 1.0)))  # type: ignore[arg-type]
    band = exact.find_band(torch.float32)
    numbers = exact.adversarial(torch.float32, band.sure, 1000)
    assert sum((exact.compare(z, band) for z in numbers), exact.Comparison()).unexpected


def test_comparisons_add_up() -> None:
    """Comparisons add up their counts, and the first example stays."""
    one, two = exact.Comparison(2, 1, 0, 1, 3.0), exact.Comparison(5, 0, 2, 1, 4.0)
    assert exact.Comparison() + one + two == exact.Comparison(7, 1, 2, 2, 3.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_neurons_are_weighted_sums(dtype: torch.dtype) -> None:
    """Random neurons equal numpy's weighted sums from the same stream; the integers tie often and exactly."""
    normal, integers = exact.random_neurons(np.random.default_rng(1), dtype, 30, 4)
    rng = np.random.default_rng(1)
    W, b, x = (rng.standard_normal(shape).astype(NUMPY[dtype]) for shape in ((30, 1, 4), (30, 1), (30, 4)))
    expected = np.einsum("rni,bi->rb", W, x) + b
    np.testing.assert_allclose(normal.squeeze(2), expected, rtol=0, atol=20 * torch.finfo(dtype).eps)
    assert normal.shape == integers.shape == (30, 30, 1)
    assert torch.equal(integers, integers.round())
    assert 10 < int((integers == 0).sum()) < 300


@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_numbers_reach_both_ends(dtype: torch.dtype) -> None:
    """Numbers of both signs: 0, the smallest, the edge with its neighbors, almost the largest; all finite."""
    z = torch.cat(list(exact.adversarial(dtype, BANDS[dtype].sure, 1000)))
    edge = np.array(BANDS[dtype].sure, NUMPY[dtype])
    smallest = np.nextafter(NUMPY[dtype](0), NUMPY[dtype](1))
    wanted = [0.0, smallest, edge, np.nextafter(edge, NUMPY[dtype](0)), np.nextafter(edge, NUMPY[dtype](1))]
    assert set(map(float, wanted)) <= set(z.tolist())
    assert z.isfinite().all()
    assert z.max() > torch.finfo(dtype).max / 2
    assert torch.equal(z.sort().values, (-z).sort().values)


def test_every_float32_counts_up() -> None:
    """The first chunk is 0 and the numbers that follow it, the second their negatives."""
    chunks = exact.every_float32()
    first, second = next(chunks), next(chunks)
    assert torch.equal(first, -second)
    assert torch.equal(torch.nextafter(first[:-1], torch.tensor(torch.inf)), first[1:])
    assert float(next(chunks)[0]) == float(torch.nextafter(first[-1], torch.tensor(torch.inf)))


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.floats(-5, 5), min_size=1, max_size=4),
    st.floats(0.1, 10),
    st.floats(0.1, 10),
)
def test_costs_are_those_of_a_loop(
    examples: list[tuple[float, float]], thresholds: list[float], cost_fp: float, cost_fn: float
) -> None:
    """Costs equal a loop's: deciding 1 costs where the example is 0, deciding 0 where it is 1."""
    z, ones = (torch.tensor([column], dtype=torch.float64) for column in zip(*examples, strict=True))
    found = exact.costs(z, ones, torch.tensor(thresholds, dtype=torch.float64), cost_fp, cost_fn)
    for threshold, cost in zip(thresholds, found[0].tolist(), strict=True):
        paid = [cost_fp * (1 - one) if value > threshold else cost_fn * one for value, one in examples]
        assert cost == pytest.approx(sum(paid) / len(paid), abs=1e-12)


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=12), st.floats(0.05, 20), st.floats(-8, 8))
def test_no_threshold_is_cheaper_than_that_of_the_costs(zs: list[float], ratio: float, other: float) -> None:
    """No threshold has a lower expected cost, by the probabilities σ(z), than the logarithm of the costs' ratio."""
    z = torch.tensor([zs], dtype=torch.float64)
    best, another = exact.costs(z, z.sigmoid(), torch.tensor([log(ratio), other]).double(), ratio, 1.0)[0].tolist()
    assert best <= another + 1e-9


@pytest.mark.parametrize("ratio", [Fraction(1, 9), Fraction(1), Fraction(3)])
def test_costs_by_ratio_sum_to_two(ratio: Fraction) -> None:
    """A false positive and a false negative cost 2 together, and the former `ratio` times the latter."""
    z, y = torch.tensor([[1.0, -1.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    both, positive, negative = (
        2 * exact.by_ratio(z, own, torch.tensor([0.0]), ratio).item() for own in (y, y * 0, y * 0 + 1)
    )
    assert both == pytest.approx(2)
    assert positive == pytest.approx(float(ratio) * negative)


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=9, unique=True))
def test_thresholds_make_every_decision(zs: list[float]) -> None:
    """The thresholds give one decision for each cut of the sorted z, none and all included."""
    z = torch.tensor([zs], dtype=torch.float64)
    decisions = {tuple(row) for row in (z.unsqueeze(2) > exact.every_decision(z).unsqueeze(1))[0].T.tolist()}
    assert {sum(row) for row in decisions} >= {0, len(zs)}
    cuts = [(a + b) / 2 for a, b in pairwise(sorted(zs))]
    assert decisions == {tuple(value > cut for value in zs) for cut in (-inf, *cuts, inf)}


@given(st.lists(st.floats(-6, 6), min_size=2, max_size=9), st.sampled_from([Fraction(1, 9), Fraction(1), Fraction(9)]))
def test_no_threshold_is_cheaper_than_the_logarithm_of_the_ratio(zs: list[float], ratio: Fraction) -> None:
    """No possible decision is cheaper than by log(ratio); some are where all z are on a threshold's wrong side."""
    z = torch.tensor([zs], dtype=torch.float64)
    assert exact.cheaper(z, log(ratio), ratio) == (len(zs) + 1, 0)
    assert exact.cheaper(z.abs() + 3, 20.0, ratio)[1] > 0


def test_the_step_is_one_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit step is 1 at 0, which contradicts the rule z > 0; a step that is 0 there contradicts nothing."""
    assert exact.tie_contradicts()
    monkeypatch.setattr(
        exact, "STEP", activations.Activation(lambda z: (z > 0).to(z.dtype), lambda z, a: z, (0.0, 1.0))
    )
    assert not exact.tie_contradicts()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounded_sigmoid_steps_around_a_quarter(dtype: torch.dtype) -> None:
    """The rounded sigmoid exceeds ½ in steps of half an eps, never further from z/4, and not at all in the band."""
    units = torch.linspace(-3, 4, 141, dtype=torch.float64)
    found = exact.rounded_excess(units, dtype)
    assert (found - units / 4).abs().max() < 1
    assert found[(units > 0) & (units * torch.finfo(dtype).eps < BANDS[dtype].sure)].abs().max() == 0
    assert found[-1] >= 0.5


def test_totals_are_those_of_all_tensors() -> None:
    """Totals summed over chunks equal the comparison of all numbers."""
    z = torch.linspace(-1, 1, 101)
    chunks = exact.total(z.split(7), BANDS[torch.float32])
    assert chunks == exact.compare(z, BANDS[torch.float32])
    assert exact.total([], BANDS[torch.float32]) == exact.Comparison()
