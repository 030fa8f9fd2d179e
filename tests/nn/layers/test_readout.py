"""Readouts against autograd, numbers worked by hand, and packs."""

import inspect

import pytest
import torch
from torch import Tensor

from tests.nn.test_layers import EXACT, _randn
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import Layer, Mode
from workbench.nn.layers.readout import Last, Mean

READOUTS: list[Layer] = [Last(), Mean(), Last(back=1)]


def lengths(*numbers: int, positions: int, replicas: int = 1) -> Tensor:
    """Present positions [R, B, T] of right-padded examples with these lengths; each replica shifts them by one."""
    rows = [torch.tensor(numbers).roll(shift) for shift in range(replicas)]
    return torch.arange(positions) < torch.stack(rows).unsqueeze(2)


@pytest.mark.parametrize("layer", READOUTS, ids=repr)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("replicas", "positions", "units"), [(1, 1, 1), (3, 5, 4), (2, 9, 1)])
def test_gradient_equals_autograd_and_packs_keep_bits(
    layer: Layer, masked: bool, replicas: int, positions: int, units: int
) -> None:
    """grad_in is autograd's; a replica alone has the bits it has in the pack."""
    x = _randn(replicas, 3, positions, units).requires_grad_()
    present = lengths(positions, 1, (positions + 1) // 2, positions=positions, replicas=replicas) if masked else None
    out, tape = layer.forward({}, x, Mode(present=present))
    grad_out = _randn(*out.shape, seed=1)
    (expected,) = torch.autograd.grad((out * grad_out).sum(), [x])
    grad_in = layer.backward({}, tape, grad_out, {})
    assert grad_in is not None
    torch.testing.assert_close(grad_in, expected, **EXACT)
    assert layer.backward({}, tape, grad_out, {}, need_grad_in=False) is None
    for r in range(replicas):
        alone, alone_tape = layer.forward(
            {}, x[r : r + 1], Mode(present=None if present is None else present[r : r + 1])
        )
        assert torch.equal(alone[0], out[r])
        back = layer.backward({}, alone_tape, grad_out[r : r + 1], {})
        assert back is not None
        assert torch.equal(back[0], grad_in[r])


def test_worked_by_hand() -> None:
    """Of 1, 2, 6 with two present: last 2, mean 3/2; with all present: last 6, mean 3; with none: first 1, mean 0.

    On reversed time the last is the first, 1.
    """
    x = torch.tensor([1.0, 2.0, 6.0]).view(1, 1, 3, 1)
    for count, last, mean in ((2, 2, 1.5), (3, 6, 3), (0, 1, 0)):
        mode = Mode(present=lengths(count, positions=3))
        assert [layer.forward({}, x, mode)[0].item() for layer in READOUTS] == [last, mean, 1]
    assert [layer.forward({}, x)[0].item() for layer in READOUTS] == [6, 3, 1]


@pytest.mark.parametrize("layer", READOUTS, ids=repr)
def test_wrong_shapes_are_named(layer: Layer) -> None:
    """Errors say which readout, what it wants and what came."""
    name = type(layer).__name__
    forward = inspect.unwrap(type(layer).forward)  # without the test suite's annotation checks
    with pytest.raises(ShapeError, match=rf"{name}: x must be \[R, B, T, U\], got \[2, 3, 4\]; put the readout after"):
        forward(layer, {}, _randn(2, 3, 4))
    mode = Mode(present=torch.ones(2, 3, 4, dtype=torch.bool))
    with pytest.raises(ShapeError, match=rf"{name}: Mode.present must be \[2, 3, 5\], got \[2, 3, 4\]; mark each"):
        forward(layer, {}, _randn(2, 3, 5, 4), mode)
