"""Nets that are constant from the start: against the package's own nets, closed forms, and chains of any angles."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from workbench.experiments.dying_relu.born_dead import DOMAIN, bounds, deaths, live_shares

from tests.reference import build, make_pack
from workbench.data.datasets import Dataset
from workbench.nn.initializers import Scheme, constant, he

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 60))


def chain(width: int, chances: list[float]) -> float:
    """P(both rays dead) after a first layer and one more for each chance of killing both of two live rays at once."""
    q = 0.5**width
    both, one, none = 1 - 2 * q, 2 * q, 0.0  # alive
    for p in chances:
        both, one, none = both * (1 - 2 * q + p), both * 2 * (q - p) + one * (1 - q), none + both * p + one * q
    return none


@given(SIZES)
def test_the_lower_bound_is_the_chain_at_right_angles(size: tuple[int, int]) -> None:
    """The lower bound, stepped backward, is the chain of three states at right angles, stepped forward."""
    width, depth = size
    hidden = depth - 1
    assert bounds(width, depth).lower == pytest.approx(chain(width, [4.0**-width] * (hidden - 1)) if hidden else 0)


@given(SIZES, st.data())
def test_chains_of_any_angles_lie_between_the_bounds(size: tuple[int, int], data: st.DataObject) -> None:
    """Chains with any angles from 0 to π/2 in every layer, as rectified vectors have, lie between the bounds."""
    width, depth = size
    shares = data.draw(st.lists(st.floats(0.25, 0.5), min_size=max(0, depth - 2), max_size=max(0, depth - 2)))
    lower, upper = bounds(width, depth)
    chances = [share**width for share in shares]
    found = chain(width, [4.0**-width, *chances[1:]] if chances else [])  # the first layer leaves a right angle
    assert lower - 1e-12 <= found <= upper + 1e-12


@pytest.mark.parametrize("width", [1, 2, 3, 5, 10])
def test_shallow_nets_in_closed_form(width: int) -> None:
    """A single hidden layer kills both rays never, two with 2 · 4^-N + (1 - 2^(1-N)) 4^-N, which is 5/32 for N = 2."""
    assert bounds(width, 1) == bounds(width, 2) == (0, 0)
    assert bounds(width, 3) == pytest.approx([2 * 4.0**-width + (1 - 2.0 ** (1 - width)) * 4.0**-width] * 2)
    assert bounds(2, 3) == (5 / 32, 5 / 32)


@given(SIZES)
def test_the_upper_bound_is_below_the_plain_one(size: tuple[int, int]) -> None:
    """The upper bound is below the plain bound, the probability that a given ray dies."""
    width, depth = size
    assert bounds(width, depth).upper <= 1 - (1 - 0.5**width) ** (depth - 1) + 1e-12


@given(st.integers(1, 12))
def test_deeper_nets_die_more(width: int) -> None:
    """Lower and upper bounds on dead nets rise with depth and fall with width."""
    found = [bounds(width, depth) for depth in range(1, 30)]
    assert all(one.lower <= two.lower and one.upper <= two.upper for one, two in pairwise(found))
    wider = bounds(width + 1, 20)
    assert wider.lower < bounds(width, 20).lower
    assert wider.upper < bounds(width, 20).upper


@pytest.mark.parametrize(("width", "nets"), [(2, 40_000), (3, 40_000)])
def test_simulated_deaths_are_exact_after_two_layers(width: int, nets: int) -> None:
    """None after the first layer, and the closed form after the second, to four standard errors."""
    died = deaths(width, 3, nets, torch.Generator().manual_seed(0))
    p = bounds(width, 3).lower
    assert died[0] == 0
    assert int(died[1]) / nets == pytest.approx(p, abs=4 * (p * (1 - p) / nets) ** 0.5)
    assert died[2] > died[1]


def test_the_packages_own_nets_die_as_often() -> None:
    """The layers and the initializer that are trained: constant on the domain as often, to four standard errors."""
    line = torch.linspace(-DOMAIN, DOMAIN, 33, dtype=torch.float64)
    nets, width, depth = 1000, 2, 6
    data = Dataset("line", line[:, None].numpy(), line[:, None].numpy(), None, split=False)
    pack = make_pack(
        data,
        range(nets),
        activation="relu",
        loss="squared_error",
        hidden=[width] * (depth - 1),
        schemes=[Scheme(he(), constant(0.0), {})] * nets,
    )
    outputs, _ = pack.objective.model.forward(pack.initial_params(), line.view(1, -1, 1).expand(nets, -1, 1))
    found = float(((outputs.amax(1) - outputs.amin(1)) == 0).double().mean())
    expected = int(deaths(width, depth - 1, 40_000, torch.Generator().manual_seed(1))[-1]) / 40_000
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / nets) ** 0.5)


def test_live_shares_without_biases_are_whole_rays() -> None:
    """Nothing, half or all of the domain, but for x = 0 itself; the share without any is that of the dead."""
    nets = 4000
    shares = live_shares(3, 5, [0.0], nets, torch.Generator().manual_seed(0))[0]
    assert set((shares * 257).round().tolist()) == {0, 128, 256}
    expected = int(deaths(3, 4, 40_000, torch.Generator().manual_seed(1))[-1]) / 40_000
    assert float((shares == 0).double().mean()) == pytest.approx(expected, abs=4 * (expected / nets) ** 0.5)


def test_live_shares_are_where_outputs_change() -> None:
    """Live shares equal those by differences of the same net's outputs, written out layer by layer."""
    stream, biases = torch.Generator().manual_seed(3), [0.0, 0.1, 1.0]
    shares = live_shares(2, 4, biases, 200, stream)
    stream.manual_seed(3)
    weights = [
        torch.randn(200, 2, 1, generator=stream) * 2**0.5,
        *(torch.randn(200, 2, 2, generator=stream) for _ in "ab"),
    ]
    x = torch.linspace(-DOMAIN, DOMAIN, 257, dtype=torch.float64)
    beside = torch.stack([x - 1e-9, x + 1e-9]).view(1, 1, -1)
    relu = build("activation", "relu")
    for row, b in enumerate(biases):
        h = beside.expand(200, 1, -1)
        for W in weights:
            h = relu.forward(W.double() @ h + b)
        left, right = h.view(200, 2, 2, 257).unbind(2)
        changes = (left != right).any(1).double().mean(1)
        assert (changes - shares[row]).abs().max() <= 3 / 257  # at a kink one side changes
