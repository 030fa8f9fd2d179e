"""Diagnostics against plain sums, autograd and numbers worked by hand; each is one number per replica."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import Twin, blobs, build, make_pack, stems
from workbench.diagnostics.grad_norm import grad_norm
from workbench.diagnostics.units import SATURATED_BELOW, count
from workbench.nn.activations import Activation, absolute, relu, tanh
from workbench.nn.params import Layout, Params

NAMES = ("dead_rate", "saturation")


def _rate(name: str, slope: Tensor, activation: Activation, chunks: int = 1) -> Tensor:
    """The diagnostic over examples that come in chunks."""
    first, *others = (count(activation, part.clone()) for part in torch.tensor_split(slope, chunks, dim=1))
    for other in others:
        first += other
    return first.rates("l1")[f"{name}/l1"]


def test_grad_norm_worked_by_hand() -> None:
    """l1: ‖(3, 4, 12)‖ = 13 over W and b together; l2: ‖(84, 0)‖ = 84; all: √(13² + 84²) = 85."""
    grads = Params.zeros(Layout({"l1.W": (1, 2), "l1.b": (1,), "l2.W": (1, 1), "l2.b": (1,)}), 2, torch.empty(0))
    grads["l1.W"][1] = torch.tensor([[3.0, 4.0]])
    grads["l1.b"][1] = 12
    grads["l2.W"][1] = 84
    norms = grad_norm(grads)
    assert {name: values.tolist() for name, values in norms.items()} == {
        "grad_norm/l1": [0, 13],
        "grad_norm/l2": [0, 84],
        "grad_norm/all": [0, 85],
    }


def test_grad_norm_equals_autograd() -> None:
    """Per layer and replica, the norm of the gradients that torch computes for that replica's own net."""
    pack = make_pack(blobs(100, 5, 3), [0, 1, 2], hidden=[4, 3])
    params = pack.initial_params()
    grads = Params.zeros(params.layout.trained, 3, params.flat)
    x, y = pack.data.chunk(pack.data.train, 0, 20)
    pack.objective.gradients(params, grads, x, y)
    norms = grad_norm(grads)
    assert list(norms) == ["grad_norm/l1", "grad_norm/l2", "grad_norm/l3", "grad_norm/all"]
    for r in range(3):
        twin = Twin(params, r, "tanh")
        torch.nn.functional.cross_entropy(twin(x[r]), y[r].argmax(1)).backward()
        squares = [
            float(linear.weight.grad.square().sum() + linear.bias.grad.square().sum()) for linear in twin.linears
        ]
        for number, square in enumerate(squares, start=1):
            assert float(norms[f"grad_norm/l{number}"][r]) == pytest.approx(math.sqrt(square), rel=1e-10)
        assert float(norms["grad_norm/all"][r]) == pytest.approx(math.sqrt(sum(squares)), rel=1e-10)


def test_grad_norm_of_small_gradients_does_not_underflow() -> None:
    """Vanishing gradients of 1e-30 in float32, whose squares single precision cannot hold, are still measured."""
    grads = Params.zeros(Layout({"l1.W": (1, 4)}), 1, torch.empty(0, dtype=torch.float32))
    grads["l1.W"].fill_(1e-30)
    assert float(grad_norm(grads)["grad_norm/l1"]) == pytest.approx(2e-30, rel=1e-6)


def test_unit_rates_worked_by_hand() -> None:
    """Four units over two examples: slopes (0, 0) dead and flat, (0, 1) half flat, (.04, -.04) flat, (.05, 1) not."""
    slope = torch.tensor([[[0, 0, 0.04, 0.05], [0, 1, -0.04, 1]]], dtype=torch.float64)
    assert _rate("dead_rate", slope, tanh()).tolist() == [1 / 4]
    assert _rate("saturation", slope, tanh()).tolist() == [(2 + 1 + 2 + 0) / 8]
    # with a supremum of 1/4, flat is below 0.0125: the third and fourth units no longer are
    assert _rate("saturation", slope, build("activation", "sigmoid")).tolist() == [(2 + 1 + 0 + 0) / 8]
    steps = torch.tensor([[[0, 0, -1, 1], [0, 1, -1, -1]]], dtype=torch.float64)
    assert _rate("dead_rate", steps, absolute(), chunks=2).tolist() == [1 / 4]
    assert _rate("saturation", steps, absolute(), chunks=2).tolist() == [(2 + 1) / 8]


@pytest.mark.parametrize("activation", stems("activation"))
@pytest.mark.parametrize("chunks", [1, 3])
def test_unit_rates_equal_numpy(activation: str, chunks: int) -> None:
    """The definitions, written once more in numpy, replica by replica; chunks change nothing."""
    f = build("activation", activation)
    z = 4 * torch.randn(3, 10, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z[:, :, :2] = -z[:, :, :2].abs()  # relu: two dead units
    constants = tuple(f.constants.values())
    slope = f.derivative(z, f.forward(z, *constants), *constants)
    array = np.abs(slope.numpy())
    dead = [(one == 0).all(axis=0).mean() for one in array]
    flat = [(one < SATURATED_BELOW * f.max_slope).mean() if math.isfinite(f.max_slope) else 0.0 for one in array]
    np.testing.assert_allclose(_rate("dead_rate", slope, f, chunks), dead, rtol=1e-12)
    np.testing.assert_allclose(_rate("saturation", slope, f, chunks), flat, rtol=1e-12, atol=1e-15)
    if activation == "relu":
        assert min(dead) >= 2 / 7


@pytest.mark.parametrize("name", NAMES)
def test_unit_rates_are_one_fraction_per_replica(name: str) -> None:
    """[R], between 0 and 1, in double precision whatever the slopes' precision."""
    slope = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)).sub(0.5).relu()
    for activation, own in ((tanh(), slope), (relu(), slope.sign())):
        rates = _rate(name, own, activation)
        assert rates.shape == (3,)
        assert rates.dtype == torch.float64
        assert ((rates >= 0) & (rates <= 1)).all()
