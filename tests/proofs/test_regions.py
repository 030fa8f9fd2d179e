"""Nets along a line: cells and breakpoints against the nets themselves, autograd, brute force and exact tents."""

from fractions import Fraction
from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from workbench.nn.activations import relu
from workbench.nn.builders import highway_mlp, mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.proofs import regions

UNITS = ("relu", "absolute", "leaky_relu", "hard_tanh", "maxout", "identity")
UNIT_LINE = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def _net(layers: list[tuple[list[list[float]], list[float]]]) -> regions.PiecewiseLinearNet:
    """A relu net of one input from its (W, b)."""
    hidden = [len(b) for _, b in layers[:-1]]
    params = {}
    for number, (W, b) in enumerate(layers, start=1):
        params[f"l{number}.W"] = torch.tensor([W], dtype=torch.float64)
        params[f"l{number}.b"] = torch.tensor([b], dtype=torch.float64)
    return regions.PiecewiseLinearNet(mlp(hidden, 1, len(layers[-1][1]), relu()), params)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.sampled_from(UNITS), st.integers(0, 10**6))
def test_pieces_are_the_net(unit: str, seed: int) -> None:
    """Values and slopes in every cell are the net's own, by forward and by autograd; cells cover the line in order."""
    net = regions.random_net(unit, seed)
    start, direction = regions.random_line(net, seed)
    pieces = net.pieces(start, direction)
    curve = net.curve(start, direction)
    assert (pieces.knots.diff() > 0).all()
    assert pieces.knots[[0, -1]].tolist() == [0, 1]
    t = torch.linspace(0, 1, 501, dtype=torch.float64)
    torch.testing.assert_close(pieces.at(t), curve(t), rtol=1e-11, atol=1e-11)
    anchors = pieces.anchors
    slopes = torch.autograd.functional.jvp(curve, anchors, torch.ones_like(anchors))[1]
    torch.testing.assert_close(pieces.slopes, slopes, rtol=1e-10, atol=1e-10)
    assert regions.second_differences(curve, pieces).max() < 1e-10
    assert regions.distances(curve, pieces).max() < 1e-10


@pytest.mark.slow
@settings(max_examples=30)
@given(st.sampled_from(["relu", "absolute", "leaky_relu", "hard_tanh", "maxout"]), st.integers(0, 10**6))
def test_no_breakpoint_is_missed_or_made_up(unit: str, seed: int) -> None:
    """Slopes on a fine grid change exactly where breakpoints lie."""
    net = regions.random_net(unit, seed)
    line = regions.random_line(net, seed)
    pieces = net.pieces(*line)
    found = regions.breakpoints(pieces)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)
    y = net.curve(*line)(t)
    bent = (y.diff(n=2, dim=0).abs().amax(1) > 1e-9 * y.abs().max()).nonzero().flatten() + 1
    for place in t[bent]:
        assert (found - place).abs().min() <= 1 / 4000 + 1e-12
    for place in found:  # slopes just beside a breakpoint differ
        near = pieces.slopes[pieces.cell(place + torch.tensor([-1e-9, 1e-9], dtype=torch.float64))]
        assert not torch.equal(near[0], near[1])


@pytest.mark.parametrize("unit", ["tanh", "softplus", "sigmoid", "softsign", "gelu"])
def test_smooth_units_are_no_pieces(unit: str) -> None:
    """Second differences of nets that bend everywhere are no rounding."""
    for seed in range(10):
        net = regions.random_net(unit, seed)
        line = regions.random_line(net, seed)
        assert regions.second_differences(net.curve(*line), net.pieces(*line)).max() > 1e-6


def test_a_net_worked_by_hand() -> None:
    """relu(x) + relu(x - 1), and relu of it minus 2: x, then 2x - 1, which passes 2 at x = 3/2."""
    net = _net([([[1], [1]], [0, -1]), ([[1, 1]], [-2]), ([[3]], [1])])
    pieces = net.pieces(*UNIT_LINE, -inf, inf)
    assert pieces.knots.tolist() == [-inf, 0, 1, 1.5, inf]
    assert pieces.slopes.flatten().tolist() == [0, 0, 0, 6]
    assert regions.breakpoints(pieces).tolist() == [1.5], "units that bend without effect do not count"
    assert regions.regions_of_the_input(net) == 2


def test_breakpoints_that_coincide_are_one() -> None:
    """Three copies of a unit, one of them in float noise, make one breakpoint; units that never move make none."""
    net = _net([([[1], [3], [1 + 1e-15], [0]], [-0.1, -0.3, -0.1, 0]), ([[1, 1, 1, 5]], [0])])
    assert regions.regions_of_the_input(net) == 2


def test_a_bend_that_cancels_is_no_breakpoint() -> None:
    """relu(x) - relu(-x) is x."""
    assert regions.regions_of_the_input(_net([([[1], [-1]], [0, 0]), ([[1, -1]], [0])])) == 1


@pytest.mark.parametrize("depth", range(1, 13))
def test_sawtooth_is_exact(depth: int) -> None:
    """Knots j/2^L and slopes ±2^L without rounding; values as by rational arithmetic."""
    pieces = regions.sawtooth(depth).pieces(*UNIT_LINE)
    assert pieces.knots.tolist() == [j / 2**depth for j in range(2**depth + 1)]
    assert pieces.slopes.flatten().tolist() == [2**depth, -(2**depth)] * 2 ** (depth - 1)
    assert regions.count(pieces) == 2**depth
    for t in (Fraction(1, 8), Fraction(355, 512), Fraction(4095, 4096)):
        y = t
        for _ in range(depth):
            y = 2 * y if y <= Fraction(1, 2) else 2 - 2 * y
        assert float(y) == regions.sawtooth(depth).curve(*UNIT_LINE)(torch.tensor([float(t)]).double()).item()


def test_layers_without_pieces_are_refused() -> None:
    """A highway layer multiplies two functions of t."""
    model = highway_mlp(3, 1, 2, 1, relu())
    net = regions.PiecewiseLinearNet.drawn(model, 0, Scheme(he(), constant()))
    with pytest.raises(TypeError, match="got Highway"):
        net.pieces(torch.zeros(2).double(), torch.ones(2).double())


@pytest.mark.parametrize("layer", [1, 2, 5])
def test_a_wide_unit_crosses_zero_once_on_average(layer: int) -> None:
    """The integral of Rice's formula in the docstring, and the first layer, where every unit crosses once for sure."""
    q = layer
    crossings, _ = quad(lambda t: (2 * (2 * t * t + q) - 4 * t * t) ** 0.5 / (torch.pi * (2 * t * t + q)), -inf, inf)
    assert crossings == pytest.approx(1)
    assert regions.regions_of_the_input(regions.gaussian_relu_net([37], layer)) == 38


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_outputs_bend_the_pieces(output: str) -> None:
    """Sigmoid and softmax outputs of the pieces equal torch's of the logits, and are not linear on a piece."""
    net = regions.random_net("relu", 3)
    line = regions.random_line(net, 3)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    logits = net.curve(*line)(t)
    expected = torch.sigmoid(logits) if output == "sigmoid" else torch.softmax(logits, 1)
    torch.testing.assert_close(net.curve(*line, output)(t), expected)
    assert regions.second_differences(net.curve(*line, output), net.pieces(*line)).max() > 1e-6


def test_one_replica_of_a_pack() -> None:
    """A net made of one replica of a pack computes with that replica's parameters in float64."""
    params = {"l1.W": torch.arange(6.0).view(3, 1, 2), "l1.b": torch.arange(3.0).view(3, 1)}
    net = regions.PiecewiseLinearNet.of(mlp([], 2, 1, relu()), params, 1)
    assert net.curve(torch.zeros(2).double(), torch.ones(2).double())(torch.ones(1).double()).tolist() == [[6.0]]
