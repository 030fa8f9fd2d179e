"""Rates of units against numpy and numbers worked by hand; each is one number per replica."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import build, stems
from workbench.diagnostics.units import SATURATED_BELOW, count
from workbench.nn.activations import Activation, absolute, relu, tanh

NAMES = ("dead_rate", "saturation")


def _rate(name: str, slope: Tensor, activation: Activation, chunks: int = 1) -> Tensor:
    """The diagnostic over examples that come in chunks."""
    first, *others = (count(activation, part.clone()) for part in torch.tensor_split(slope, chunks, dim=1))
    for other in others:
        first += other
    return first.rates("l1")[f"{name}/l1"]


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
