"""Positions between batch and features: layers of units see them as examples, whatever their number of axes."""

import pytest
import torch
from torch import Tensor

from tests.nn.test_layers import _compare, _params, _randn
from tests.reference import build
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer, Mode
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model

TANH = build("activation", "tanh")
LAYERS: dict[str, Layer] = {
    "dense": Dense("l1", 4, 5),
    "wide": Dense("l1", 4, 17),
    "units": Activate("l1", TANH),
    "maxout": Maxout("l1", 4, 3, 2),
    "highway": Highway("l1", 4, TANH),
    "batch norm": BatchNorm("l1", 4),
    "layer norm": LayerNorm("l1", 4),
    "residual": Residual(Dense("l1", 4, 4)),
    "residual model": Residual(Model((Dense("l1", 4, 4), Activate("l1", TANH)))),
    "dropout": Dropout("l1", 0.5),
}


def _flat(values: Tensor) -> Tensor:
    return values.flatten(1, -2)


@pytest.mark.parametrize("positions", [(3,), (2, 3), (1, 1)])
@pytest.mark.parametrize("name", LAYERS)
def test_positions_are_examples(name: str, positions: tuple[int, ...]) -> None:
    """Outputs and gradients at positions are those of as many examples, in training, and autograd's in evaluation."""
    layer = LAYERS[name]
    model = Model((layer, Dense("out", 3, 2)) if name == "maxout" else (layer,))
    x = _randn(2, 5, *positions, 4)
    _compare(model, x)
    params, mode = _params(model, 2), Mode(True, torch.tensor([3, 4]))
    out, tape = model.forward(params, x, mode)
    expected, folded = model.forward(params, _flat(x), mode)
    assert out.shape[:-1] == x.shape[:-1]
    assert torch.equal(_flat(out), expected)
    grad_out = _randn(*out.shape, seed=2)
    gradients = [params.with_flat(torch.zeros_like(params.flat)) for _ in range(2)]
    grad_in = model.backward(params, tape, grad_out, gradients[0])
    flat_in = model.backward(params, folded, _flat(grad_out), gradients[1])
    assert grad_in is not None
    assert flat_in is not None
    assert torch.equal(_flat(grad_in), flat_in)
    assert torch.equal(gradients[0].flat, gradients[1].flat)


def test_units_are_seen_as_examples_by_diagnostics() -> None:
    """The tape of a layer of units holds [R, B·P, U], which is what rates and moments are computed from."""
    model = Model((Dense("l1", 4, 5), Activate("l1", TANH)))
    _, tape = model.forward(_params(model, 2), _randn(2, 5, 3, 4))
    (units,) = model.units(tape)
    assert units.z.shape == units.a.shape == (2, 15, 5)
