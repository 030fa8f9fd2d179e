"""Layers and models against autograd, and what they say about wrong shapes."""

import inspect

import pytest
import torch
from torch import Tensor

from tests.reference import build, stems
from workbench.core.errors import ConfigError, ShapeError
from workbench.nn.builders import mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.model import Model
from workbench.nn.params import Params

EXACT = {"rtol": 1e-10, "atol": 1e-14}
CPU = torch.device("cpu")
SCHEME = Scheme(he(), constant(0.1))


def _params(model: Model | Dense, replicas: int) -> Params:
    rows = [model.init(seed, SCHEME) for seed in range(replicas)]
    return Params.stack(rows, torch.float64, CPU, [model.buffers(SCHEME)] * replicas)


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _compare(model: Model | Dense, x: Tensor) -> None:
    """Backward's parameter and input gradients of the scalar <grad_out, model(x)> against autograd's."""
    params = _params(model, x.shape[0])
    leaf, x_leaf = params.flat.clone().requires_grad_(), x.clone().requires_grad_()
    out, _ = model.forward(params.with_flat(leaf), x_leaf)
    grad_out = _randn(*out.shape, seed=1)
    expected, expected_in = torch.autograd.grad(
        (out * grad_out).sum(), [leaf, x_leaf], allow_unused=True, materialize_grads=True
    )

    grads = Params.zeros(params.layout.trained, len(x), x)
    grads.flat.fill_(5.0)  # stale numbers must be overwritten, not added to
    _, tape = model.forward(params, x)
    grad_in = model.backward(params, tape, grad_out, grads)
    for name, gradient in grads.items():
        torch.testing.assert_close(gradient, params.with_flat(expected)[name], **EXACT)
    torch.testing.assert_close(grad_in, expected_in, **EXACT)


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("fan_in", "fan_out"), [(5, 3), (1, 4), (4, 1), (3, 3)])
def test_dense_gradients_equal_autograd(replicas: int, batch: int, fan_in: int, fan_out: int) -> None:
    """dW, db and grad_in, also where a transposed dW would have the right shape."""
    _compare(Dense("l1", fan_in, fan_out), _randn(replicas, batch, fan_in))


@pytest.mark.parametrize("activation", stems("activation"))
@pytest.mark.parametrize("hidden", [[], [3], [4, 2, 3]])
def test_model_gradients_equal_autograd(activation: str, hidden: list[int]) -> None:
    """The chain of backward passes is the gradient of the composition."""
    _compare(mlp(hidden, 5, 2, build("activation", activation)), _randn(2, 4, 5))


def test_dense_forward_equals_linear_per_replica() -> None:
    """z = x Wᵀ + b with each replica's own W and b."""
    layer, x = Dense("l1", 5, 3), _randn(3, 4, 5)
    params = _params(layer, 3)
    z, _ = layer.forward(params, x)
    for r in range(3):
        expected = torch.nn.functional.linear(x[r], params["l1.W"][r], params["l1.b"][r])
        torch.testing.assert_close(z[r], expected, **EXACT)


def test_dense_worked_by_hand() -> None:
    """W = [[1, 2]], b = 3, x = (4, 5), delta = 2: z = 17, dW = (8, 10), db = 2, grad_in = (2, 4)."""
    layer = Dense("l1", 2, 1)
    row = {"l1.W": torch.tensor([[1.0, 2.0]]), "l1.b": torch.tensor([3.0])}
    params = Params.stack([row], torch.float64, CPU)
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    z, tape = layer.forward(params, torch.tensor([[[4.0, 5.0]]], dtype=torch.float64))
    grad_in = layer.backward(params, tape, torch.full((1, 1, 1), 2.0, dtype=torch.float64), grads)
    assert grad_in is not None
    assert (z.tolist(), grads["l1.W"].tolist(), grads["l1.b"].tolist(), grad_in.tolist()) == (
        [[[17]]],
        [[[8, 10]]],
        [[2]],
        [[[2, 4]]],
    )


def test_activate_multiplies_by_the_slope() -> None:
    """delta = dC/da · f'(z) at the tape's own z, and the tape keeps z and a as they were."""
    layer, z = Activate("l1", build("activation", "tanh")), _randn(2, 3, 4)
    a, tape = layer.forward({}, z)
    grad_out = _randn(2, 3, 4, seed=1)
    kept = grad_out.clone(), tape.z.clone(), tape.a.clone()
    torch.testing.assert_close(layer.backward({}, tape, grad_out, {}), grad_out * (1 - torch.tanh(z) ** 2), **EXACT)
    for now, before in zip((grad_out, tape.z, tape.a), kept, strict=True):
        assert torch.equal(now, before)
    assert torch.equal(a, tape.a)


@pytest.mark.parametrize("hidden", [[], [3], [4, 3]])
def test_input_gradient_is_left_out_where_nobody_needs_it(hidden: list[int]) -> None:
    """need_grad_in=False returns None and the same parameter gradients."""
    model, x = mlp(hidden, 5, 2, build("activation", "tanh")), _randn(2, 4, 5)
    params = _params(model, 2)
    z, tape = model.forward(params, x)
    with_input, without = (Params.zeros(params.layout.trained, 2, params.flat) for _ in range(2))
    assert model.backward(params, tape, z, with_input) is not None
    assert model.backward(params, tape, z, without, need_grad_in=False) is None
    assert torch.equal(with_input.flat, without.flat)
    activate = Activate("l1", build("activation", "tanh"))
    assert activate.backward({}, activate.forward({}, z)[1], z, {}, need_grad_in=False) is None


def test_model_is_itself_a_layer() -> None:
    """A model inside a model gives the same outputs and gradients as its layers in one row."""
    first, rest = mlp([3], 5, 4, build("activation", "tanh")), Dense("l3", 4, 2)
    nested, flat = Model((first, rest)), Model((*first.layers, rest))
    _compare(nested, _randn(2, 3, 5))
    params, x = _params(flat, 2), _randn(2, 3, 5)
    assert list(_params(nested, 2)) == list(params)
    out, tape = nested.forward(params, x)
    assert torch.equal(out, flat.forward(params, x)[0])
    assert [units.name for units in nested.units(tape)] == ["l1"]


def test_mlp_has_the_layers_asked_for() -> None:
    """n_in - hidden - n_out, named l1, l2, l3, activations between them and none after the last."""
    model = mlp([7, 6], 5, 2, build("activation", "relu"))
    assert list(model.products()) == [(7, 5), (6, 7), (2, 6)]
    assert [type(layer) for layer in model.layers] == [Dense, Activate, Dense, Activate, Dense]
    assert list(model.init(0, SCHEME)) == ["l1.W", "l1.b", "l2.W", "l2.b", "l3.W", "l3.b"]
    z, tape = model.forward(_params(model, 1), _randn(1, 4, 5))
    units = list(model.units(tape))
    assert [(one.name, tuple(one.a.shape)) for one in units] == [("l1", (1, 4, 7)), ("l2", (1, 4, 6))]
    assert float(z.min()) < 0


def test_dense_names_a_wrong_width() -> None:
    """The error says which layer, what it wants, what came and what to do."""
    layer = Dense("l2", 3, 4)
    message = r"Dense 'l2': x must be \[R, B, 3\], got \[2, 6, 5\]; add the replica axis or fix fan_in"
    with pytest.raises(ShapeError, match=message):
        layer.forward(_params(layer, 2), _randn(2, 6, 5))


def test_dense_names_a_missing_replica_axis() -> None:
    """Dense refuses x of shape [B, I] by its own message, also without the test suite's annotation checks."""
    layer = Dense("l2", 3, 4)
    forward = inspect.unwrap(Dense.forward)
    with pytest.raises(ShapeError, match=r"Dense 'l2': x must be \[R, B, 3\], got \[6, 3\]; add the replica axis"):
        forward(layer, _params(layer, 2), _randn(6, 3))


def test_model_refuses_two_parameters_of_one_name() -> None:
    """Two layers called l1 would share their weights in silence."""
    with pytest.raises(ConfigError, match=r"parameter names must be unique, \['l1.W', 'l1.b'\] come twice"):
        Model((Dense("l1", 2, 2), Dense("l1", 2, 2))).init(0, SCHEME)
