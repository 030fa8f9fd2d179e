"""Check what maxout contains and how well it fits, by autograd, linear programs, closed forms and exact fractions."""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linprog
from workbench.experiments.relu_family import maxout_fits

SLOPES = st.floats(-1, 1)


@pytest.mark.parametrize("name", ["relu", "absolute", "leaky_relu", "hard_tanh"])
def test_unit_gives_value_and_slope(name: str) -> None:
    """The slope of a unit is autograd's derivative, away from ties."""
    z = maxout_fits.inputs_away_from_ties(200, 1).requires_grad_()
    a, slope = maxout_fits.unit(name, z)
    (expected,) = torch.autograd.grad(a.sum(), z)
    torch.testing.assert_close(slope, expected)


def test_inputs_have_both_signs_and_all_magnitudes() -> None:
    """Inputs span sixteen decades with both signs, and none is zero."""
    z = maxout_fits.inputs_away_from_ties(2000, 0)
    assert (z != 0).all()
    for sign in (-1, 1):
        own = (z * sign)[z * sign > 0]
        assert own.min() < 1e-7
        assert own.max() > 1e7


@pytest.mark.slow
@given(SLOPES, st.integers(0, 100))
def test_maxout_contains_every_leaky_unit(slope: float, seed: int) -> None:
    """Maxout contains max(z, slope z) for slopes up to 1: relu at 0, abs z at -1."""
    apart = maxout_fits.containment("leaky_relu", (1.0, slope), seed, slope=slope)
    assert set(apart) == {"output", "grad_in", "l1.W", "l1.b"}
    assert max(apart.values()) < 1e-12


@pytest.mark.parametrize(("name", "scales"), [("absolute", (1,)), ("relu", (1, -1)), ("tanh", (1, 0))])
def test_other_pieces_differ(name: str, scales: tuple[float, ...]) -> None:
    """Maxout of other pieces is another unit: one piece is no |z|, |z| is no relu, and tanh has no two pieces."""
    assert min(maxout_fits.containment(name, scales, 0).values()) > 0.1


@pytest.mark.parametrize("k", range(1, 9))
def test_square_fit_is_best(k: int) -> None:
    """Upper bound, lower bound, the general fit and the package's layer all say 1/(2k²)."""
    expected = Fraction(1, 2 * k * k)
    assert maxout_fits.square_error(maxout_fits.square_fit(k)) == maxout_fits.square_bound(k) == expected
    fit = maxout_fits.best_fit(maxout_fits.CONVEX["x²"], k)
    assert fit.error == pytest.approx(float(expected), rel=1e-12)
    assert maxout_fits.attained(maxout_fits.CONVEX["x²"], fit) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.slow
@given(st.lists(st.fractions(-3, 3, max_denominator=50), min_size=1, max_size=5))
def test_no_other_pieces_do_better(offsets: list[Fraction]) -> None:
    """Pieces shifted by any amounts, where each is still the largest somewhere, miss x² by as much or more."""
    k = len(offsets)
    moved = [
        (slope, value + shift / 100) for (slope, value), shift in zip(maxout_fits.square_fit(k), offsets, strict=True)
    ]
    assert maxout_fits.square_error(moved) >= maxout_fits.square_bound(k)


def test_pieces_in_the_wrong_order_are_refused() -> None:
    """Pieces in the wrong order are refused: a piece below the others has no interval."""
    with pytest.raises(ValueError, match="each must be the largest"):
        maxout_fits.square_error([(Fraction(-1), Fraction(0)), (Fraction(0), Fraction(-5)), (Fraction(1), Fraction(0))])


@pytest.mark.slow
@pytest.mark.parametrize("name", maxout_fits.CONVEX)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_best_fit_is_that_of_linear_programs(name: str, k: int) -> None:
    """The best fit is the best of all cuts of a grid, with an affine function by a linear program for each piece."""
    convex = maxout_fits.CONVEX[name]
    fit = maxout_fits.best_fit(convex, k)
    touching = np.clip([convex.touch(slope) for slope in fit.slopes], convex.low, convex.high)
    grid = np.unique(np.concatenate([np.linspace(convex.low, convex.high, 15), fit.knots, touching]))
    errors = {
        (i, j): _best_affine(grid[i : j + 1], convex.f(grid[i : j + 1])) for i, j in combinations(range(len(grid)), 2)
    }
    last = len(grid) - 1
    cuts = [(0, *inner, last) for inner in combinations(range(1, last), k - 1)]
    best = min(max(errors[pair] for pair in pairwise(cut)) for cut in cuts)
    assert fit.error == pytest.approx(best, rel=1e-6, abs=1e-9)


def _best_affine(x: np.ndarray, y: np.ndarray) -> float:
    ones = np.ones_like(x)
    above, below = np.stack([x, ones, -ones], 1), np.stack([-x, -ones, -ones], 1)
    solved = linprog([0, 0, 1], A_ub=np.concatenate([above, below]), b_ub=np.concatenate([y, -y]), bounds=(None, None))
    return float(solved.fun)


@pytest.mark.parametrize("name", maxout_fits.CONVEX)
@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_best_fit_has_equal_errors_and_is_attained(name: str, k: int) -> None:
    """Every interval's own best error is the fit's, which proves it best; the package's maxout layer has it."""
    convex = maxout_fits.CONVEX[name]
    fit = maxout_fits.best_fit(convex, k)
    assert len(fit.slopes) <= k
    assert fit.slopes == sorted(fit.slopes)
    for a, b in pairwise(fit.knots):
        assert convex.error(a, b) == pytest.approx(fit.error, rel=1e-9, abs=1e-15)
    assert maxout_fits.attained(convex, fit) == pytest.approx(fit.error, rel=1e-9, abs=1e-14)


def test_one_piece_for_exp_by_hand() -> None:
    """Half the distance of the chord and its parallel tangent: slope s = sinh 1, touching at log s."""
    s = np.sinh(1)
    chord, tangent = np.cosh(1), s - s * np.log(s)  # both at x = 0
    assert maxout_fits.best_fit(maxout_fits.CONVEX["exp x"], 1).error == pytest.approx((chord - tangent) / 2)


@pytest.mark.parametrize(
    ("name", "curvature"),
    [
        ("x²", lambda x: 2.0),
        ("exp x", np.exp),
        ("x⁴", lambda x: 12 * x * x),
        ("softplus x", lambda x: 0.25 / np.cosh(x / 2) ** 2),
    ],
)
def test_integrals_of_the_curvature(name: str, curvature: object) -> None:
    """Integrals of the curvature, ∫ √f'', equal quadrature."""
    convex = maxout_fits.CONVEX[name]
    integral, _ = quad(lambda x: np.sqrt(curvature(x)), convex.low, convex.high, points=[0])  # type: ignore[operator]
    assert convex.curvature == pytest.approx(integral)


def test_k_pieces_need_k_weight_vectors() -> None:
    """A maxout unit of k pieces needs k weight vectors and gives at most k regions."""
    assert [maxout_fits.weight_vectors(k) for k in (1, 2, 5)] == [1, 2, 5]
    assert max(maxout_fits.regions_of_units(3, 200, 0)) == 3
    assert set(maxout_fits.regions_of_units(1, 20, 0)) == {1}


@pytest.mark.parametrize("k", [1, 4])
def test_constructed_units_have_k_pieces_and_random_ones_no_more(k: int) -> None:
    """Constructed units have k pieces, as the lifted tangents make all of them; random units have no more."""
    made, found = maxout_fits.pieces_made(k, 30, k)
    assert made == k
    assert len(found) == 30
    assert max(found) <= k


@pytest.mark.parametrize(("name", "expected"), [("absolute", [2, 0, 3]), ("maxout", [2, 0, 3]), ("relu", [0, 0, 3])])
def test_values_of_units(name: str, expected: list[float]) -> None:
    """Values of units are as by hand; maxout is max(z, -z)."""
    assert maxout_fits.values(name, (-2.0, 0.0, 3.0)) == expected


@pytest.mark.parametrize("name", maxout_fits.CONVEX)
def test_law_of_the_best_error(name: str) -> None:
    """Scaled errors 16 k² E near their limit, and layers have the error of their fit."""
    coarse, fine = (maxout_fits.law(maxout_fits.CONVEX[name], ks) for ks in ((1, 4), (2, 8, 32)))
    assert max(*coarse.off, *fine.off) < 1e-9
    assert (len(coarse.off), len(fine.off)) == (2, 3)
    assert abs(fine.scaled - fine.limit) <= abs(coarse.scaled - coarse.limit) + 1e-9
    assert fine.scaled == pytest.approx(fine.limit, rel=0.1, abs=1e-9)


def test_a_fit_that_is_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that misses by more than its fit says is noticed."""
    monkeypatch.setattr(maxout_fits, "attained", lambda convex, fit: 1.5 * fit.error)
    law = maxout_fits.law(maxout_fits.CONVEX["x²"], (1, 2))
    assert law.off == pytest.approx([0.25, 0.0625])
    assert law.scaled == pytest.approx(law.limit)
