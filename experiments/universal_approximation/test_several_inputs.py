"""Fits in the square and the cube: the functions, the grid, and what is and is not found."""

from collections.abc import Iterator

import numpy as np
import pytest
from workbench.experiments.universal_approximation import least_squares_nets, several_inputs
from workbench.experiments.universal_approximation.approximation import TARGETS, make
from workbench.experiments.universal_approximation.several_inputs import NAMES, Fit


def test_functions_of_one_input_are_those_of_the_other_parts() -> None:
    """Functions of one input are those of the same name in the other parts, on the interval."""
    x = several_inputs.grid(1, 101)
    expected = np.stack([TARGETS[name].f(x[:, 0]) for name in NAMES], axis=1)
    assert several_inputs.targets(x) == pytest.approx(expected, abs=1e-15)


def test_functions_of_two_inputs_by_hand() -> None:
    """Functions of two inputs by hand: sin(π/2) sin(3π/2) = -1; max(0.05, 0.45); 1/(1 + 25 (1/4 + 1/4))."""
    assert several_inputs.targets(np.array([[0.25, 0.75]]))[0] == pytest.approx([-1, 0.45, 1 / 13.5])


@pytest.mark.parametrize(("inputs", "points"), [(1, 5), (2, 3), (3, 3)])
def test_grid_holds_corners_and_center(inputs: int, points: int) -> None:
    """The grid holds each point once, corners and center included; a grid of half the points lies in it."""
    found = several_inputs.grid(inputs, points)
    assert len({tuple(point) for point in found.tolist()}) == points**inputs
    assert {(0.0,) * inputs, (0.5,) * inputs, (1.0,) * inputs} <= {tuple(point) for point in found.tolist()}
    finer = {tuple(point) for point in several_inputs.grid(inputs, 2 * points - 1).tolist()}
    assert {tuple(point) for point in found.tolist()} <= finer


def test_with_one_input_they_are_the_other_random_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of one input, with the same draws on the same points, have the errors of the other random networks."""
    fs = [TARGETS[name].f for name in NAMES]
    monkeypatch.setattr(least_squares_nets, "FITTED", slice(None, None, 2))
    networks = least_squares_nets.network(np.random.default_rng(0), make("tanh"), 32, fs)
    (found,) = several_inputs.fits(np.random.default_rng(0), "tanh", 1, [32], 1)
    assert [fit.error for fit in found] == pytest.approx(least_squares_nets.largest_errors(networks, fs), rel=1e-6)
    assert [fit.target for fit in found] == list(NAMES)


def test_more_units_are_closer_but_polynomials_are_not() -> None:
    """More tanh units come closer in the square; z² gives a quadratic at any size, which cannot follow the hills."""
    rng = np.random.default_rng(0)
    few, many = (max(fit.error for fit in one) for one in several_inputs.fits(rng, "tanh", 2, [16, 128], 1))
    assert many < few / 2
    (quadratic,) = several_inputs.fits(rng, "z^2", 2, [128], 1)
    assert max(fit.error for fit in quadratic) > 0.5


def test_networks_are_taken_until_one_is_close_enough() -> None:
    """The last is never fitted; of each bound the first size with a network within it, for all functions."""
    errors = {(2, 0): (0.5, 0.2), (2, 1): (0.6, 0.005), (4, 0): (0.1, 0.3), (4, 1): (0.001, 0.02)}

    def several() -> Iterator[list[Fit]]:
        for drawn, pair in errors.items():
            yield [Fit("tanh", 2, *drawn, name, error) for name, error in zip("ab", pair, strict=True)]
        pytest.fail("one more was fitted")

    taken = several_inputs.enough(several(), [0.4, 0.05])
    assert [(fit.units, fit.draw) for fit in taken[::2]] == list(errors)
    assert several_inputs.first_within(taken, 0.4) == (4, 0.3)
    assert several_inputs.first_within(taken, 0.05) == (4, 0.02)
    assert several_inputs.first_within(taken, 0.001) == (None, 0.02)
    assert several_inputs.first_within(taken[:4], 0.55) == (2, 0.5)


def test_draws_of_a_size_differ() -> None:
    """Draws of one size differ and are numbered."""
    first, second = several_inputs.fits(np.random.default_rng(0), "tanh", 2, [8], 2)
    assert [one[0].draw for one in (first, second)] == [0, 1]
    assert first[0].error != second[0].error


def test_sizes_leave_points_to_judge_by() -> None:
    """No network has more units than half of the points it is fitted on."""
    for inputs, sizes in several_inputs.SIZES.items():
        assert max(sizes) <= len(several_inputs.grid(inputs, (several_inputs.POINTS[inputs] + 1) // 2)) / 2
