"""Random nets on random lines: deviations and counts against nets whose pieces are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from workbench.experiments.piecewise_linear import random_lines

from workbench.proofs import regions

SHAPES = ([4, 4], [16, 16], [8] * 4)


def test_deviations_are_of_every_cell() -> None:
    """Every cell has a deviation: about 0 for straight units, more for units that bend between breakpoints."""
    cells = sum(len(pieces.values) for _, _, pieces in random_lines.random_lines("relu", range(5)))
    assert len(random_lines.deviations("relu", range(5))) == cells
    assert max(random_lines.deviations("relu", range(5))) < 1e-10
    assert max(random_lines.deviations("tanh", range(5))) > 1e-3


def test_nets_that_hardly_move_are_left_out() -> None:
    """Nets whose output hardly moves are left out; the others bend where their unit or their output does."""
    assert len(random_lines.bends("tanh", "identity", range(6), 0.0)) == 6
    assert random_lines.bends("tanh", "identity", range(6), 1e9) == []
    assert min(random_lines.bends("relu", "softmax", range(6), 0.1)) > 1e-6
    assert max(random_lines.bends("relu", "identity", range(6), 0.1)) < 1e-10


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_sawtooth_has_two_to_the_depth_pieces(depth: int) -> None:
    """The sawtooth has 2^depth pieces with slopes of ±2^depth, and not one piece more."""
    assert random_lines.is_sawtooth(depth, 2**depth)
    assert not random_lines.is_sawtooth(depth, 2**depth + 1)


def test_a_sawtooth_that_is_too_flat_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A net with the number of pieces asked for, but the slopes of another depth, is no sawtooth."""
    monkeypatch.setattr(regions, "sawtooth", lambda depth, made=regions.sawtooth: made(depth + 1))
    assert not random_lines.is_sawtooth(3, 16)


def test_initial_pieces_by_seed_and_shape() -> None:
    """Initial pieces by seed and shape are each net's own count."""
    found = random_lines.initial_pieces(SHAPES, [3, 5])
    nets = [[regions.gaussian_relu_net(shape, seed) for shape in SHAPES] for seed in (3, 5)]
    assert found.tolist() == [[regions.regions_of_the_input(net) for net in row] for row in nets]


@given(st.floats(0.5, 2), st.floats(-3, 3), st.floats(-5, 5))
def test_trends_of_planes(per_unit: float, per_layer: float, constant: float) -> None:
    """Counts that are linear in units and layers give their slopes, whatever the constant; n + 1 pieces no other."""
    units, depths = np.array([sum(shape) for shape in SHAPES]), np.array([len(shape) for shape in SHAPES])
    exact = constant + per_unit * units + per_layer * depths
    assert random_lines.trends(exact[None], SHAPES)[0] == pytest.approx([per_unit])
    both = random_lines.trends(np.stack([units + 1, units * (1 + depths) + 1]), SHAPES)[1]
    assert both == pytest.approx([0, 1], abs=1e-9)


def test_breakpoints_by_unit_are_means_over_segments() -> None:
    """Two tents in a row: 3 breakpoints on [0, 1] and 1 on its first half, of 4 units; a segment to itself is none."""
    x = torch.tensor([[0.0], [1.0], [0.5]], dtype=torch.float64)
    found = random_lines.breakpoints_per_unit(regions.sawtooth(2), x, [(0, 1), (0, 2), (1, 1)])
    assert found == pytest.approx((3 + 1) / 2 / 4)
