"""Best uniform approximation: known values, a linear program, and a lower bound that no polynomial beats."""

from math import cos, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy import optimize
from workbench.experiments.universal_approximation import polynomials
from workbench.experiments.universal_approximation.polynomials import best

X = np.linspace(-1, 1, 4001)
# f, degree, error on [-1, 1]: Chebyshev's 2^(1-n) for x^n; 1/8 for |x|; the secant's half-way error for exp
KNOWN = {
    "x^2": (X**2, 1, 1 / 2),
    "x^4": (X**4, 3, 1 / 8),
    "x^5": (X**5, 4, 1 / 16),
    "abs by 1": (np.abs(X), 1, 1 / 2),
    "abs by 2": (np.abs(X), 2, 1 / 8),
    "abs by 3": (np.abs(X), 3, 1 / 8),
    "exp": (np.exp(X), 1, (np.cosh(1) - np.sinh(1) + np.sinh(1) * np.log(np.sinh(1))) / 2),
    "1/(x - 2)": (1 / (X - 2), 3, (2 - 3**0.5) ** 3 / 3),
}


@pytest.mark.parametrize(("y", "degree", "error"), KNOWN.values(), ids=KNOWN)
def test_known_errors(y: np.ndarray, degree: int, error: float) -> None:
    """Chebyshev: x^n by degree n - 1 and 1/(x - a) by degree n have errors in closed form."""
    found = best(X, y, degree)
    assert found.least == pytest.approx(error, rel=1e-5)
    assert found.most - found.least < 1e-12


def linear_program(t: np.ndarray, y: np.ndarray, degree: int) -> float:
    """The smallest E with |y - P(t)| <= E on all points."""
    basis, one = chebyshev.chebvander(t, degree), np.ones((len(t), 1))
    rows = np.block([[basis, -one], [-basis, -one]])
    result = optimize.linprog(
        np.append(np.zeros(degree + 1), 1.0), rows, np.append(y, -y), bounds=[(None, None)] * (degree + 2)
    )
    return float(result.fun)


@pytest.mark.slow
@given(values=st.lists(st.floats(-2, 2), min_size=4, max_size=12), degree=st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_agrees_with_a_linear_program(values: list[float], degree: int) -> None:
    """The best error agrees with a linear program's on any continuous function, kinked and symmetric functions too."""
    t = np.linspace(-1, 1, 81)
    y = np.interp(t, np.linspace(-1, 1, len(values)), values)
    found = best(t, y, degree)
    assert found.most == pytest.approx(linear_program(t, y, degree), abs=1e-6)
    assert found.most - found.least < 1e-9


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_polynomial_beats_the_lower_bound(seed: int) -> None:
    """Random changes of the best coefficients only make it worse on the points of the alternation."""
    y = np.abs(X - 0.3)
    found = best(X, y, 5)
    change = np.random.default_rng(seed).normal(size=6) * 0.01
    other = y - chebyshev.chebval(X, found.chebyshev + change)
    assert np.abs(other[found.alternation]).max() >= found.least


@pytest.mark.parametrize("exchanges", [1, 2])
def test_bounds_hold_before_the_exchange_is_done(exchanges: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped early, `least` and `most` still enclose the smallest error: nothing rests on the iteration's end."""
    y = np.abs(X - 0.3)
    smallest = best(X, y, 5).most
    monkeypatch.setattr(polynomials, "EXCHANGES", exchanges)
    early = best(X, y, 5)
    assert early.most - early.least > 1e-6
    assert early.least <= smallest <= early.most


def test_a_polynomial_is_its_own_best() -> None:
    """A polynomial is its own best: the error is 0, and so is its lower bound."""
    found = best(X, X**3 - X, 4)
    assert found.most < 1e-12
    assert found.least < 1e-12


def test_points_are_moved_to_the_interval() -> None:
    """Points are moved to the interval: on [0, 1] the error of x^3 by degree 2 is 2^-5, at cosines."""
    x = (1 - np.cos(np.linspace(0, pi, 3001))) / 2
    found = best(x, x**3, 2)
    assert found.least == pytest.approx(2**-5)
    assert x[found.alternation] == pytest.approx([(1 - cos(k * pi / 3)) / 2 for k in range(4)], abs=1e-3)
