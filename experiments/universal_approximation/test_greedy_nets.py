"""Greedy networks against a plain least squares fit of the same units, and Barron's constant."""

import numpy as np
import pytest
from scipy import stats
from workbench.experiments.universal_approximation.greedy_nets import (
    across,
    against_bound,
    along,
    built,
    candidates,
    cube,
    errors,
    slope,
    wave,
)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_first_unit_and_errors_are_those_of_least_squares(dimension: int) -> None:
    """The first unit is the one with the largest correlation; its fit with a constant is linear regression."""
    rng = np.random.default_rng(dimension)
    f, x, held = wave(rng, dimension), cube(rng, 300, dimension), cube(rng, 200, dimension)
    pool = candidates(rng, "sigmoid", x, across(rng, 40, dimension))
    found = errors(pool, f, x, held, 3)
    values = pool(x)
    best = int(np.argmax([abs(stats.pearsonr(row, f(x)).statistic) for row in values]))
    fit = stats.linregress(values[best], f(x))
    expected = np.mean((f(held) - fit.intercept - fit.slope * pool(held)[best]) ** 2)
    assert found[0] == pytest.approx(expected, rel=1e-4)


def test_all_units_together_are_a_least_squares_fit() -> None:
    """All units together are a least squares fit, whatever their order."""
    rng = np.random.default_rng(0)
    f, x, held = wave(rng, 2), cube(rng, 300, 2), cube(rng, 200, 2)
    pool = candidates(rng, "tanh", x, across(rng, 6, 2))
    a, b = (np.column_stack([np.ones(len(p)), pool(p).T]) for p in (x, held))
    coefficients = np.linalg.lstsq(a, f(x), rcond=None)[0]
    assert errors(pool, f, x, held, 6)[-1] == pytest.approx(np.mean((f(held) - b @ coefficients) ** 2), rel=1e-3)


@pytest.mark.parametrize("dimension", [1, 3, 10])
def test_barrons_constant_is_the_largest_phase_over_the_cube(dimension: int) -> None:
    """C = sup |w·x| over the corners, for a Fourier measure of total weight 1; the bound is (2C)²/N."""
    f = wave(np.random.default_rng(1), dimension)
    corners = np.array(np.meshgrid(*[[-0.5, 0.5]] * dimension)).reshape(dimension, -1).T
    assert f.first_moment == pytest.approx(np.abs(corners @ f.w).max())
    assert f.first_moment == pytest.approx(np.pi)
    assert f.bound(np.array([1, 4])) == pytest.approx([4 * np.pi**2, np.pi**2])
    assert f(corners) == pytest.approx(np.sin(corners @ f.w))


def test_candidates_lie_as_told() -> None:
    """Along the wave's frequency, with slopes from 4 to 64 times the width, centered at points of the sample."""
    rng = np.random.default_rng(2)
    f, x = wave(rng, 4), cube(rng, 50, 4)
    pool = candidates(rng, "sigmoid", x, along(f, 30))
    slopes = np.abs(pool.a).sum(1)
    assert (slopes >= 4).all()
    assert (slopes <= 64).all()
    assert np.abs(pool.a / slopes[:, None] - f.w / np.abs(f.w).sum()).max() < 1e-12
    assert np.abs(pool(x) - 0.5).min(1).max() < 1e-9


def test_slope_of_a_power() -> None:
    """The slope of N^-1.5 is -1.5."""
    assert slope(3 * np.arange(1.0, 129) ** -1.5, [4, 8, 16, 128]) == pytest.approx(-1.5)


def test_directions_of_the_wave_do_better_than_random_ones() -> None:
    """Units along the wave have below a hundredth of the error of random directions in ten dimensions."""
    one = built(np.random.default_rng(0), 10, 500, 200, 16)
    assert one.along[-1] < 0.01 * one.across[-1] < 0.01 * one.variance


def test_errors_by_barrons_bound() -> None:
    """Errors by Barron's bound have one row for each network; bounds above the variance say nothing."""
    one = built(np.random.default_rng(0), 2, 200, 50, 4)
    n = np.array([1, 2, 3, 4])
    ratios, note = against_bound([one, one], n)
    assert ratios == pytest.approx(np.stack([one.along * n / (4 * np.pi**2)] * 2))
    assert note.startswith("8 of 8 bounds")  # 4π²/4 is above any variance of a wave
    assert against_bound([one], np.array([10**6] * 4))[1].startswith("0 of 4 bounds")
