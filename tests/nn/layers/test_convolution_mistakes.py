"""Every term of the backward rules of convolutions and pools, got wrong once, and forward passes of other layers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nn.layers.test_convolutions import CASES
from tests.nn.test_layers import _randn
from tests.nn.test_mistakes import Mistake, Pass, Wrong, _both_see, _change
from tests.nn.test_wide_layers import _params, _twins
from tests.reference import build
from workbench.nn.check.gradcheck import Agreement, gradcheck, relative_error
from workbench.nn.layers.base import Layer
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.pool import MaxPool, MeanPool
from workbench.nn.layers.views import Flatten, Unflatten
from workbench.nn.model import Model
from workbench.nn.objective import Objective

SHAPE = (6, 5, 2)
PICTURE = Conv2d("l2", 2, 3, (3, 2), 2, padding=(1, 1, 0, 1))
SEQUENCE = Conv1d("l2", 10, 3, 2, 2)
NETS: dict[str, Model] = {  # from 60 features
    "conv2d": Model((Unflatten(SHAPE), PICTURE, Flatten())),
    "conv1d": Model((Unflatten((6, 10)), SEQUENCE, Flatten())),
    "max pool": Model((Unflatten(SHAPE), MaxPool(2), Flatten())),
    "mean pool": Model((Unflatten(SHAPE), MeanPool(2), Flatten())),
}


def _check(kind: str, mistake: Mistake | None = None) -> list[Agreement]:
    """Dense, the layer, Dense, with noise on every parameter."""
    layer: Layer = NETS[kind]
    width = layer.forward(_params(layer), _randn(1, 1, 60))[0].shape[2]
    middle = Wrong(layer, mistake) if mistake else layer
    model = Model((Dense("l1", 4, 60), middle, Dense("l3", width, 3)))
    params, x = _params(model, 2), _randn(2, 5, 4)
    y = torch.nn.functional.one_hot(torch.arange(10).view(2, 5) % 3, 3).double()
    return gradcheck(Objective(model, build("loss", "softmax_nll")), params, x, y, 16)


def _grad_in(change: Callable[[Tensor], Tensor] = torch.clone, **sizes: Any) -> Mistake:
    """The input's gradient by a convolution of other sizes, or from other weights."""

    def mistake(p: Pass) -> Tensor:
        layer, tape = p.layer.layers[1], p.tape[1]
        sides = (6, 1) if isinstance(layer, Conv1d) else (3, 3)
        conv = replace(layer.plane if isinstance(layer, Conv1d) else layer, **sizes)
        delta = p.g.view(*p.g.shape[:2], *sides, 3)
        grad_in: Tensor = conv._grad_in(change(p.params["l2.W"]), tape.shape, delta)
        return grad_in.flatten(2)

    return mistake


def _turned(places: int) -> Callable[[Tensor], Tensor]:
    """Turn a kernel round."""
    return lambda W: W.reshape(len(W), W.shape[1], places, -1).flip(2).flatten(2)


MISTAKES: dict[str, dict[str, Mistake]] = {
    "conv2d": {
        "dW: sign": _change("W", torch.neg),
        "dW: kernel turned round": _change("W", _turned(6)),
        "dW: mean over positions": _change("W", lambda dW: dW / 9),
        "db: mean over positions": _change("b", lambda db: db / 9),
        "grad_in: kernel not turned": _grad_in(_turned(6)),
        "grad_in: a stride forgotten": _grad_in(stride=1),
        "grad_in: one row too far": _grad_in(padding=(2, 0, 0, 1)),
        "grad_in: padding forgotten": _grad_in(padding=(0, 2, 0, 1)),
    },
    "conv1d": {
        "dW: kernel turned round": _change("W", _turned(2)),
        "grad_in: dilation forgotten": _grad_in(dilation=1),
        "grad_in: kernel not turned": _grad_in(_turned(2)),
        "grad_in: off by one in the causal padding": _grad_in(padding=(3, 0, 0, 0)),
        "grad_in: causal padding forgotten": _grad_in(padding=(0, 2, 0, 0)),
    },
    "max pool": {
        "to every number": lambda p: _shared(p, 1.0),
        "shared as in a mean": lambda p: _shared(p, 0.25),
        "to the first number of the window": lambda p: _shared(p, 1.0) * _first(),
    },
    "mean pool": {
        "of a sum": lambda p: 4 * p.grad_in,
        "to the first number": lambda p: 4 * p.grad_in * _first(),
    },
}


def _shared(p: Pass, factor: float) -> Tensor:
    shape = (*p.g.shape[:2], *SHAPE)
    grad_in = MeanPool(2).backward({}, torch.Size(shape), p.g.view(*p.g.shape[:2], 3, 2, 2), {})
    assert grad_in is not None
    return 4 * factor * grad_in.flatten(2)


def _first() -> Tensor:
    mask = torch.zeros(SHAPE)
    mask[::2, ::2] = 1
    return mask.flatten()


@pytest.mark.parametrize("kind", NETS)
def test_right_layers_agree(kind: str) -> None:
    """Every layer without a mistake agrees with both references."""
    assert all(row.agrees for row in _check(kind))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, rules in MISTAKES.items() for name in rules])
def test_each_mistake_is_caught(kind: str, name: str) -> None:
    """Autograd and differences both disagree by more than 1e-4 with each mistake."""
    assert _both_see(_check(kind, MISTAKES[kind][name]))


OTHERS: dict[str, tuple[str, Callable[[Any], Layer]]] = {
    "wrong dilation": ("causal, dilated", lambda layer: replace(layer, dilation=1)),
    "wrong dilation of a picture": ("dilation", lambda layer: replace(layer, dilation=1)),
    "off by one in the causal padding": ("causal", lambda layer: replace(layer.plane, padding=(1, 1, 0, 0))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_forward_pass_is_caught(name: str) -> None:
    """A layer whose forward pass is another one, with a backward pass that suits it, differs from torch's module."""
    case, change = OTHERS[name]
    right, shape = CASES[case]
    wrong, params, x = change(right), _params(right), _randn(1, 5, *shape)
    x_of = x.unsqueeze(3) if isinstance(wrong, Conv2d) and x.ndim == 4 else x
    z = wrong.forward(params, x_of)[0]
    expected = _twins(right, params, False)[0](x[0]).detach()
    assert z[0].shape != expected.shape or relative_error(z[0], expected) > 1e-3


@pytest.mark.parametrize("case", ["3x3", "stride", "dilation", "causal, dilated"])
def test_a_kernel_turned_round_is_caught(case: str) -> None:
    """Convolution in the mathematicians' sense, with the kernel turned round, differs from torch's module."""
    layer, shape = CASES[case]
    params, x = _params(layer), _randn(1, 5, *shape)
    expected = _twins(layer, params, False)[0](x[0]).detach()
    W = params["l1.W"]
    W.copy_(_turned(W.shape[2] // shape[-1])(W))
    assert relative_error(layer.forward(params, x)[0][0], expected) > 1e-3
