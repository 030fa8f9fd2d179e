"""Rings in exact numbers, and the probes: against closed forms, brute force and known R²."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from workbench.experiments.representation import rings

from workbench.data.batches import pack_data
from workbench.data.datasets import annuli
from workbench.data.splits import split
from workbench.nn.activations import absolute, identity, tanh
from workbench.nn.builders import mlp
from workbench.nn.initializers import Scheme, glorot, uniform_bias
from workbench.nn.params import Params
from workbench.proofs.farkas import Infeasible, Solution
from workbench.proofs.separation import separate


def test_rational_points_lie_on_the_circle() -> None:
    """Rational points have x² + y² = 1 exactly, in the open first quadrant; (3/5, 4/5) comes first."""
    points = list(rings.rational_circle(50))
    assert points[0] == (Fraction(3, 5), Fraction(4, 5))
    assert all(x * x + y * y == 1 and x > 0 and y > 0 for x, y in points)
    assert len(points) == 50


def test_circles_are_no_half_planes_but_polar_points_are() -> None:
    """Farkas excludes a line for circles in (x, y); for (r, any θ) a line separates."""
    points, labels = rings.circles(3)
    assert isinstance(separate(points, labels), Infeasible)
    polar = [(1 + label, Fraction(number, 7)) for number, label in enumerate(labels)]
    assert isinstance(separate(polar, labels), Solution)
    assert rings.wrong_by_radius(polar, labels) == (0, 0.5)


def test_wrong_side_of_the_radius_is_counted() -> None:
    """Points on the wrong side of the radius are counted: of ring 2 at r = 1.4, of ring 1 at r = 1.6."""
    assert rings.wrong_by_radius([(1.4, 0), (1.6, 1), (1.0, 2)], [1, 0, 0]) == (2, pytest.approx(0.1))


@given(st.floats(0, 4), st.floats(-np.pi, np.pi))
def test_accuracy_of_a_line_is_that_counted_on_the_circles(distance: float, turn: float) -> None:
    """A line's accuracy in closed form equals a count of 20,000 points, whatever the line's direction."""
    angles = (np.arange(10_000) + 0.5) / 10_000 * 2 * np.pi
    inner, outer = (radius * np.cos(angles - turn) > distance for radius in (1, 2))
    assert rings.line_accuracy(distance) == pytest.approx(((~inner).mean() + outer.mean()) / 2, abs=3e-4)
    assert rings.line_accuracy(distance) <= 2 / 3 + 1e-12


def test_printed_angle_groups_the_quadrants_and_atan2_does_not() -> None:
    """|y/x| gives groups with as many points above as below the axis; the point itself, as atan2 has it, does not."""
    folded = rings.groups(20, lambda x, y: abs(y / x))
    assert all(2 * sum(group) == len(group) for group in folded.values())
    assert sum(map(len, folded.values())) == 160
    full = rings.groups(20, lambda x, y: (x / (abs(x) + abs(y)), y / (abs(x) + abs(y))))
    assert all(len(set(group)) == 1 for group in full.values())


@pytest.mark.parametrize(("printed", "expected"), [(True, 0.5), (False, 1.0)])
def test_tree_reproduces_the_catalogued_accuracies(printed: bool, expected: float) -> None:
    """The tree's accuracies are the catalogued 0.500 and 0.999."""
    assert rings.tree_accuracy(0, 8000, printed) == pytest.approx(expected, abs=0.03)


def test_collapsed_linear_net_is_the_net_and_a_nonlinear_one_is_not() -> None:
    """Product of matrices against the forward pass, in float64; one tanh layer in between breaks it."""
    scheme = Scheme(glorot(), uniform_bias())
    x = torch.randn(2, 9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for unit, linear in ((identity(), True), (tanh(), False)):
        model = mlp([5, 4], 2, 1, unit)
        params = Params.stack([model.init(seed, scheme) for seed in (0, 1)], torch.float64, torch.device("cpu"))
        assert (float(rings.affine_error(model, params, x, layers=3).max()) < 1e-14) is linear


def test_probe_finds_a_radius_that_is_there_and_none_that_is_not() -> None:
    """Units |x| and |y| hold more of r than the linear x and y, which hold none of it."""
    data = annuli(points=2000)
    packed = pack_data([split(data, 0, 0.2, 0.4, True)], [0], 2, "binary", torch.float64, torch.device("cpu"))
    scores = []
    for unit in (absolute(), identity()):
        model = mlp([2], 2, 1, unit)
        params = Params.stack([model.init(0, Scheme(glorot(), uniform_bias()))], torch.float64, torch.device("cpu"))
        params["l1.W"].copy_(torch.eye(2))
        params["l1.b"].zero_()
        scores += rings.radius_r2(model, params, packed)
    assert scores[0] > 0.8
    assert abs(scores[1]) < 0.03


def test_random_relu_units_beat_a_line() -> None:
    """64 of them decide the rings, none can with a single line's two thirds."""
    assert rings.random_relu_accuracy(np.random.default_rng(0), 64, 400, 1000, 0) > 0.98


def test_samples_are_drawn_anew_for_every_seed() -> None:
    """Samples are drawn anew for every seed, as lists of points and labels."""
    (points, labels), (other, _) = (rings.sample("polar", seed, 10) for seed in (0, 1))
    assert len(points) == len(labels) == 10
    assert all(first != second for first, second in islice(zip(points, other, strict=True), 10))


def test_radius_errors_of_several_samples() -> None:
    """Radius errors count points, wrong points and the least distance over all samples."""
    samples = [([(1.4, 0), (1.6, 1)], [1, 0]), ([(1.0, 2)], [0])]
    assert rings.radius_errors(samples) == (3, 2, pytest.approx(0.1))


def test_groups_of_two_halves_tell_nothing() -> None:
    """Groups of two halves tell nothing; a rule that says the opposite counts too."""
    halves = {"even": [True, False], "above": [True, True], "below": [False, False, True]}
    assert rings.told_apart(halves) == [halves["above"], halves["below"]]


def test_gains_are_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gains are differences: of a tree's accuracies by angle, and of a radius's R² by training."""
    monkeypatch.setattr(rings, "tree_accuracy", lambda seed, points, printed: 0.5 if printed else 0.75 + seed)
    assert rings.tree_gain(0, 10) == 0.25
    monkeypatch.setattr(rings, "radius_r2", lambda model, params, data: params)
    assert rings.radius_gain(None, [0.5, 1.0], [0.25, -1.0], None) == [0.25, 2.0]  # type: ignore[arg-type]
