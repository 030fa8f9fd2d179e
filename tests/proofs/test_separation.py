"""Half-spaces against brute force and a perceptron, kinked neurons against evaluation, and XOR against its proof."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import ACTIVATION_TWINS
from workbench.proofs import separation as exact
from workbench.proofs.farkas import Infeasible, Solution, refutes, satisfies

QUARTER = Fraction(1, 4)
COORDINATES = st.integers(-3, 3) | st.fractions(-2, 2, max_denominator=4)


@st.composite
def labeled_points(draw: st.DrawFn) -> tuple[list[list[Fraction]], list[int]]:
    """Up to seven points in up to three dimensions, each with a label; points may coincide."""
    size = draw(st.integers(1, 3))
    points = draw(st.lists(st.lists(COORDINATES, min_size=size, max_size=size), min_size=1, max_size=7))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(points), max_size=len(points)))
    return [[Fraction(entry) for entry in x] for x in points], labels


@pytest.mark.slow
@given(labeled_points())
def test_every_labeling_is_separated_or_excluded_with_a_proof(case: tuple[list[list[Fraction]], list[int]]) -> None:
    """Weights label every point as wanted; multipliers make a point of both hulls, which no hyperplane can part."""
    points, labels = case
    answer = exact.separate(points, labels)
    if isinstance(answer, Solution):
        *w, b = answer.u
        z = [sum(wi * xi for wi, xi in zip(w, x, strict=True)) + b for x in points]
        assert [int(value > 0) for value in z] == labels
        return
    assert refutes(answer, *exact.half_space(points, labels))
    hulls = []
    for label in (0, 1):
        members = [(y, x) for y, x, own in zip(answer.y, points, labels, strict=True) if own == label]
        assert sum(y for y, _ in members) == Fraction(1, 2)
        hulls.append([sum(2 * y * x[axis] for y, x in members) for axis in range(len(points[0]))])
    assert hulls[0] == hulls[1]


@pytest.mark.slow
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=3), st.data())
def test_what_a_neuron_labels_can_be_separated(u: list[int], data: st.DataObject) -> None:
    """Labels that come from some weights, strictly, are never excluded."""
    size = len(u) - 1
    drawn = data.draw(st.lists(st.lists(COORDINATES, min_size=size, max_size=size), min_size=1, max_size=6))
    z = [sum(w * Fraction(x) for w, x in zip(u, point, strict=False)) + u[-1] for point in drawn]
    kept = [(point, int(value > 0)) for point, value in zip(drawn, z, strict=True) if value]
    if kept:
        assert isinstance(exact.separate(*zip(*kept, strict=True)), Solution)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "separable"), [(1, 4), (2, 14), (3, 104)])
def test_the_number_of_threshold_functions_is_the_published_one(size: int, separable: int) -> None:
    """4, 14 and 104 Boolean functions of 1, 2 and 3 variables are linearly separable (OEIS A000609)."""
    answers = [answer for _, answer in exact.labelings(list(product((0, 1), repeat=size)))]
    assert sum(isinstance(answer, Solution) for answer in answers) == separable


def test_xor_is_excluded_by_a_quarter_of_each_row() -> None:
    """The four inequalities sum to 0 ≥ 4."""
    assert exact.separate(exact.SQUARE, exact.XOR) == Infeasible((QUARTER,) * 4)


@pytest.mark.slow
def test_xor_is_the_worst_labeling_of_the_square() -> None:
    """Only XOR and its opposite miss, each by one point; AND is possible."""
    worst = [labels for labels in product((0, 1), repeat=4) if exact.best_agreement(exact.SQUARE, labels) < 1]
    assert worst == [exact.XOR, tuple(1 - label for label in exact.XOR)]
    assert {exact.best_agreement(exact.SQUARE, labels) for labels in worst} == {Fraction(3, 4)}
    assert isinstance(exact.separate(exact.SQUARE, exact.AND), Solution)


@pytest.mark.slow
@settings(max_examples=40)  # up to 16 systems each
@given(
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=4),
    st.sampled_from([(0, 1), (Fraction(1, 100), 1), (-1, 1), (1, 1)]),
    st.data(),
)
def test_kinked_regression_finds_the_neuron_that_made_the_values(
    points: list[tuple[Fraction, Fraction]], slopes: tuple[Fraction, Fraction], data: st.DataObject
) -> None:
    """Some cell fits, and the weights of every cell that does give the values; the others are refuted."""
    below, above = map(Fraction, slopes)
    w1, w2, b = (Fraction(data.draw(COORDINATES)) for _ in range(3))

    def neuron(u: tuple[Fraction, ...], x: tuple[Fraction, Fraction]) -> Fraction:
        z = u[0] * x[0] + u[1] * x[1] + u[2]
        return max(z, Fraction(0)) * above + min(z, Fraction(0)) * below

    values = [neuron((w1, w2, b), x) for x in points]
    cells = list(exact.kinked_regression(points, values, below, above))
    fits = [cell for cell in cells if isinstance(cell.answer, Solution)]
    assert len(cells) == 2 ** len(points)
    assert fits
    for cell in cells:
        if isinstance(cell.answer, Solution):
            assert satisfies(cell.answer, *cell.system)
            assert [neuron(cell.answer.u, x) for x in points] == values
        else:
            assert refutes(cell.answer, *cell.system)


@pytest.mark.parametrize(("below", "possible"), [(0, 0), (Fraction(1, 100), 0), (1, 0), (-1, 8)])
def test_xor_as_values_needs_a_kink_that_turns_round(below: Fraction, possible: int) -> None:
    """ReLU, leaky ReLU and the identity fit in no cell, |z| in eight: ±(x₁ - x₂) with each 0 on either side."""
    answers = [cell.answer for cell in exact.kinked_regression(exact.SQUARE, exact.XOR, below, 1)]
    assert sum(isinstance(answer, Solution) for answer in answers) == possible
    assert len(answers) == 16


@pytest.mark.parametrize("name", sorted(ACTIVATION_TWINS))
def test_falls_are_found_where_the_twin_falls(name: str) -> None:
    """Falls of an activation are found exactly where differences of torch's function on a grid fall."""
    z = torch.linspace(-8, 8, 161, dtype=torch.float64)
    drops = ACTIVATION_TWINS[name](z).diff().min().item() < -1e-9
    found = exact.falls(name, 8.0, 160)
    assert bool(found.falls) == drops
    assert (found.first is None) == (found.falls == 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unit", exact.SINGLE_UNITS)
def test_one_unit_that_is_not_monotone_computes_xor(unit: str, dtype: torch.dtype) -> None:
    """Each single unit that is not monotone computes XOR exactly, in float32 and float64."""
    x = torch.tensor(exact.SQUARE, dtype=dtype)
    assert exact.SINGLE_UNITS[unit](x).tolist() == list(exact.XOR)


@pytest.mark.parametrize("activation", ["unit_step", "sigmoid", "tanh", "relu", "leaky_relu", "softplus", "elu"])
def test_two_hidden_units_compute_xor(activation: str) -> None:
    """Two hidden units compute XOR, with the values of the same net in torch's activation."""
    x = torch.tensor(exact.SQUARE, dtype=torch.float64)
    z = exact.parity_units(activation, x)
    assert (z > 0).tolist() == [bool(label) for label in exact.XOR]
    f, s = ACTIVATION_TWINS[activation], x.sum(1)
    if activation in ("unit_step", "sigmoid", "tanh"):
        width = 2 if activation == "tanh" else 1
        expected = (f(20 * s - 10) - f(20 * s - 30)) / width - 0.5
    else:
        expected = f(20 * s) - 2 * f(20 * s - 20) - 10
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("activation", ["unit_step", "sigmoid", "tanh", "relu", "leaky_relu", "softplus"])
def test_a_hidden_unit_per_bit_computes_parity(activation: str, bits: int) -> None:
    """A hidden unit per bit computes the parity of every pattern of up to 7 bits."""
    points = list(product((0, 1), repeat=bits))
    z = exact.parity_units(activation, torch.tensor(points, dtype=torch.float64))
    assert (z > 0).tolist() == [sum(point) % 2 == 1 for point in points]
    assert exact.parity(points) == tuple((z > 0).int().tolist())


@pytest.mark.parametrize("bits", exact.PARITY)
def test_no_half_space_holds_the_odd_patterns(bits: int) -> None:
    """Multipliers prove that no half-space holds the odd patterns, while AND of the same bits has weights."""
    points = exact.PARITY[bits]
    assert len(points) == 2**bits
    assert isinstance(exact.separate(points, exact.parity(points)), Infeasible)
    assert isinstance(exact.separate(points, [int(all(point)) for point in points]), Solution)
