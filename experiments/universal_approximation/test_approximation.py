"""Built networks: their proved bounds for any Lipschitz function, and what the theorem's hypotheses leave out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench.experiments.universal_approximation.approximation import (
    BUMP_DEFECT,
    BUMP_SPREAD,
    TARGETS,
    Target,
    construction,
    make,
    units,
    violated,
)

NAMES = ["sigmoid", "tanh", "hard_tanh", "softsign", "unit_step", "relu", "leaky_relu", "absolute", "softplus", "bump"]
X = np.linspace(0, 1, 1001)
VIOLATED = {
    "sigmoid": [],
    "tanh": [],
    "hard_tanh": [],
    "softsign": [],
    "unit_step": ["continuous"],
    "relu": ["bounded"],
    "leaky_relu": ["bounded"],
    "softplus": ["bounded"],
    "absolute": ["bounded", "increasing"],
    "bump": ["increasing"],
    "monomial": ["bounded", "increasing"],
}


def zigzag(values: list[float]) -> Target:
    """The function that joins equidistant values by straight lines."""
    places = np.linspace(0, 1, len(values))
    steepest = float(np.abs(np.diff(values)).max()) * (len(values) - 1)
    return Target(lambda x: np.interp(x, places, values), steepest, max(map(abs, values)), float(np.ptp(values)))


@pytest.mark.parametrize("name", NAMES)
@given(values=st.lists(st.floats(-3, 3), min_size=2, max_size=9), n=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_no_lipschitz_function_exceeds_the_bound(name: str, values: list[float], n: int) -> None:
    """The bound holds for every Lipschitz function, not for the three targets alone."""
    target, way = zigzag(values), construction(name)
    error = np.abs(way.build(target.f, n)(X) - target.f(X)).max()
    assert error <= way.within(target, n) + 1e-7 * (1 + target.size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_size_named_for_eps_is_the_smallest_whose_bound_is_below_it(name: str, target: Target) -> None:
    """The size named for eps has a bound below eps; with one interval less the bound is eps or more."""
    way = construction(name)
    n = way.intervals(target, 0.02)
    assert way.within(target, n) < 0.02 <= way.within(target, n - 1)
    assert way.knots(len(way.build(target.f, n))) == n


@pytest.mark.parametrize(("name", "target"), TARGETS.items(), ids=TARGETS)
def test_constants_of_the_targets(name: str, target: Target) -> None:
    """Steepest slope, size and range, against a fine grid that cannot exceed them and comes close."""
    x = np.linspace(0, 1, 100_001)
    y = target.f(x)
    measured = [np.abs(np.diff(y)).max() * 1e5, np.abs(y).max(), np.ptp(y)]
    assert measured == pytest.approx([target.lipschitz, target.size, target.range], rel=1e-6)
    assert target.lipschitz >= measured[0] * (1 - 1e-9)


def test_relu_interpolates() -> None:
    """A ReLU network is f at its knots and straight between them."""
    network = construction("relu").build(np.exp, 8)
    knots = np.linspace(0, 1, 9)
    assert network(knots) == pytest.approx(np.exp(knots), abs=1e-12)
    assert network(X) == pytest.approx(np.interp(X, knots, np.exp(knots)), abs=1e-12)


@pytest.mark.parametrize("name", ["absolute", "leaky_relu"])
def test_other_bent_units_are_the_same_interpolant(name: str) -> None:
    """Networks of other bent units equal the ReLU network on all of [0, 1], by identities of their units."""
    same = construction("relu").build(np.cos, 13)(X)
    assert construction(name).build(np.cos, 13)(X) == pytest.approx(same, abs=1e-12)


def test_weights_of_bump() -> None:
    """Weights of bump sum to 1 but for the defect, and their spread is 0.6233 at most, as bounded, not 0.6."""
    x, k = np.linspace(0, 1, 1001)[:, None], np.arange(-20, 22)
    p = np.exp(-((x - k) ** 2)) / np.sqrt(np.pi)
    assert np.abs(p.sum(1) - 1).max() <= BUMP_DEFECT
    assert (p * np.abs(x - k)).sum(1).max() == pytest.approx(0.6233, abs=1e-4)
    assert BUMP_SPREAD >= 0.6234


@pytest.mark.parametrize(("name", "lacking"), VIOLATED.items(), ids=VIOLATED)
def test_hypotheses(name: str, lacking: list[str]) -> None:
    """The hypotheses of the theorem that a unit lacks are named."""
    assert violated(name) == lacking


@pytest.mark.parametrize("name", ["monomial", "elu"])
def test_units_without_a_construction_are_refused(name: str) -> None:
    """Units without a construction of their own are refused by name."""
    with pytest.raises(ValueError, match=f"{name}: needs a construction of its own"):
        construction(name)


def test_an_eps_out_of_reach_is_refused() -> None:
    """An eps below what bump reaches is refused, as its weights never sum to 1 exactly."""
    with pytest.raises(ValueError, match=r"eps must be above 0\.00011, got 0\.0001"):
        construction("bump").intervals(TARGETS["sine"], 1e-4)


def test_units_are_the_packages_own() -> None:
    """Units are the package's own with the constants of their defaults, in single precision too."""
    z = np.array([-2.0, 0.5], dtype=np.float32)
    assert units(make("leaky_relu"), z).tolist() == pytest.approx([-0.02, 0.5])
    assert units(make("sigmoid"), z).dtype == np.float32


@pytest.mark.parametrize("degree", [1, 3, 5])
def test_monomials_are_made_by_name(degree: int) -> None:
    """Monomials z^p are made by name, beside the package's names."""
    assert units(make(f"z^{degree}"), np.array([-2.0, 3.0])).tolist() == [(-2.0) ** degree, 3.0**degree]
