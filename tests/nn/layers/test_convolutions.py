"""Convolutions and pools: autograd, torch's modules, examples by hand, the bits of a replica in packs of any size."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nn.test_layers import SCHEME, _compare, _randn
from tests.nn.test_wide_layers import _params, _twins
from workbench.core.errors import ShapeError
from workbench.nn.check.gradcheck import relative_error
from workbench.nn.check.torch_twin import in_torch_order
from workbench.nn.initializers import Initializer, Scheme, constant, normal_noise
from workbench.nn.layers import windows
from workbench.nn.layers.base import Layer
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.pool import MaxPool, MeanPool
from workbench.nn.layers.views import Flatten, Unflatten
from workbench.nn.model import Model
from workbench.nn.params import Params

SAME = (1, 1, 1, 1)
CASES: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "3x3": (Conv2d("l1", 5, 3, (3, 3), padding=SAME), (6, 4, 5)),
    "one channel": (Conv2d("l1", 1, 4, (3, 3), padding=SAME), (5, 5, 1)),
    "to one channel": (Conv2d("l1", 4, 1, (2, 2)), (3, 4, 4)),
    "1x1": (Conv2d("l1", 3, 2, (1, 1)), (2, 3, 3)),
    "whole picture": (Conv2d("l1", 2, 3, (4, 3)), (4, 3, 2)),
    "one number": (Conv2d("l1", 1, 1, (1, 1)), (1, 1, 1)),
    "even, uneven padding": (Conv2d("l1", 2, 5, (2, 4), padding=(1, 0, 2, 1)), (4, 6, 2)),
    "stride": (Conv2d("l1", 2, 3, (3, 3), 2, padding=SAME), (7, 6, 2)),
    "stride that leaves a rest": (Conv2d("l1", 4, 3, (2, 2), 3), (6, 7, 4)),
    "dilation": (Conv2d("l1", 2, 3, (3, 2), dilation=2), (7, 5, 2)),
    "stride, dilation": (Conv2d("l1", 4, 3, (3, 2), 2, 2, (2, 1, 0, 1)), (6, 5, 4)),
    "padding wider than the kernel": (Conv2d("l1", 2, 3, (2, 2), padding=(3, 2, 2, 3)), (2, 2, 2)),
    "causal": (Conv1d("l1", 5, 3, 3), (6, 5)),
    "causal, dilated": (Conv1d("l1", 3, 4, 3, 2), (7, 3)),
    "causal, wider than the sequence": (Conv1d("l1", 1, 2, 3, 4), (5, 1)),
    "causal, one place": (Conv1d("l1", 2, 2, 1), (3, 2)),
    "max pool": (MaxPool(2), (4, 6, 3)),
    "max pool, rest": (MaxPool(2), (5, 3, 1)),
    "max pool, time": (MaxPool(3), (7, 2)),
    "mean pool": (MeanPool(2), (4, 6, 3)),
    "mean pool, rest": (MeanPool(3), (7, 4, 1)),
    "mean pool, time": (MeanPool(2), (5, 2)),
    "flatten": (Flatten(), (2, 3, 2)),
    "picture": (Unflatten((2, 3, 2)), (12,)),
}


@pytest.fixture(params=[windows.BLOCK, 1], ids=["at once", "one by one"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on all replicas at once, or on one after the other, as for large pictures."""
    monkeypatch.setattr(windows, "BLOCK", request.param)
    monkeypatch.setattr(windows, "KEPT", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_autograd(name: str, replicas: int) -> None:
    """Gradients of W, b and the input are autograd's through the same forward pass."""
    layer, shape = CASES[name]
    _compare(Model((layer,)), _randn(replicas, 4, *shape))


@pytest.mark.parametrize("replicas", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_layers_equal_their_torch_modules(name: str, replicas: int) -> None:
    """Outputs, gradients of W and b and of the input are those of torch's own module with these weights."""
    layer, shape = CASES[name]
    params, x = _params(layer, replicas), _randn(replicas, 5, *shape, seed=50)
    out, tape = layer.forward(params, x)
    grad_out, grads = _randn(*out.shape, seed=51), Params.zeros(params.layout.trained, replicas, params.flat)
    grad_in = layer.backward(params, tape, grad_out, grads)
    assert grad_in is not None
    for r, module in enumerate(_twins(layer, params, True)):
        leaf = x[r].clone().requires_grad_()
        expected = module(leaf)
        expected.backward(grad_out[r])
        assert leaf.grad is not None
        pairs = [(out[r], expected.detach()), (grad_in[r], leaf.grad)]
        for own, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            assert parameter.grad is not None
            pairs.append((in_torch_order(grads[own][r], parameter.shape), parameter.grad))
        for ours, theirs in pairs:
            assert relative_error(ours, theirs) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_a_replica_has_the_same_bits_alone(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output and gradients of each of four replicas are those that it has alone, whatever is computed at once."""
    layer, shape = CASES[name]
    params, x = _params(layer, 4), _randn(4, 33, *shape).to(dtype)
    params = params.with_flat(params.flat.to(dtype))

    def run(some: Params, x: Tensor) -> list[Tensor]:
        out, tape = layer.forward(some, x)
        grads = Params.zeros(some.layout.trained, len(x), some.flat)
        grad_in = layer.backward(some, tape, _randn(1, *out.shape[1:]).to(dtype).expand(out.shape), grads)
        assert grad_in is not None
        return [out, grad_in, grads.flat]

    together = run(params, x)
    monkeypatch.setattr(windows, "BLOCK", 2**12)
    monkeypatch.setattr(windows, "KEPT", 0)
    for part, in_blocks in zip(together, run(params, x), strict=True):
        assert torch.equal(part, in_blocks)
    for r in range(4):
        alone = run(params.with_flat(params.flat[r : r + 1].clone()), x[r : r + 1].clone())
        for part, own in zip(together, alone, strict=True):
            assert torch.equal(part[r], own[0])


@pytest.mark.parametrize("name", CASES)
def test_arguments_are_left_alone(name: str) -> None:
    """Input, output's gradient and parameters stay as they were; without a need there is no input gradient."""
    layer, shape = CASES[name]
    params, x = _params(layer, 2), _randn(2, 3, *shape)
    out, tape = layer.forward(params, x)
    kept = params.flat.clone(), x.clone(), out.clone()
    with_input, without = (Params.zeros(params.layout.trained, 2, params.flat) for _ in range(2))
    assert layer.backward(params, tape, out, with_input) is not None
    assert layer.backward(params, tape, out, without, need_grad_in=False) is None
    assert torch.equal(with_input.flat, without.flat)
    for now, before in zip((params.flat, x, out), kept, strict=True):
        assert torch.equal(now, before)


def _row(**values: list[Any]) -> Params:
    row = {f"l1.{name}": torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    return Params.stack([row], torch.float64, torch.device("cpu"))


def _picture(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None, :, :, None]


def test_convolution_worked_by_hand() -> None:
    """x = [[1, 2], [3, 4]], W = [[1, 0], [2, -1]], zeros to the right and below, b = 1, delta = [[1, 0], [0, 2]].

    z[0, 0] = 1 + 1·1 + 2·3 - 1·4 = 4; dW[0, 0] = 1·1 + 2·4 = 9, dW[1, 1] = 1·4; grad_in[1, 1] = -1·1 + 1·2 = 1.
    """
    layer, params = Conv2d("l1", 1, 1, (2, 2), padding=(0, 1, 0, 1)), _row(W=[[1, 0, 2, -1]], b=[1])
    z, tape = layer.forward(params, _picture([[1, 2], [3, 4]]))
    assert z.flatten().tolist() == [4, 1 + 2 + 8, 1 + 3, 1 + 4]
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    grad_in = layer.backward(params, tape, _picture([[1, 0], [0, 2]]), grads)
    assert grads["l1.W"].tolist() == [[[9, 2, 3, 4]]]
    assert grads["l1.b"].tolist() == [[3]]
    assert grad_in is not None
    assert grad_in.flatten().tolist() == [1, 0, 2, 1]


def test_causal_convolution_worked_by_hand() -> None:
    """x = 1, 2, 3, 4, W = (1, 10), dilation 2, b = 0: z_t = x_(t-2) + 10 x_t, and delta_3 = 1 reaches x_1 and x_3."""
    layer, params = Conv1d("l1", 1, 1, 2, 2), _row(W=[[1, 10]], b=[0])
    z, tape = layer.forward(params, torch.tensor([1.0, 2, 3, 4], dtype=torch.float64).view(1, 1, 4, 1))
    assert z.flatten().tolist() == [10, 20, 31, 42]
    delta = torch.tensor([0.0, 0, 0, 1], dtype=torch.float64).view(1, 1, 4, 1)
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    grad_in = layer.backward(params, tape, delta, grads)
    assert grad_in is not None
    assert (grad_in.flatten().tolist(), grads["l1.W"].tolist()) == ([0, 1, 0, 10], [[[2, 4]]])


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_a_position_sees_its_own_past_alone(dilation: int) -> None:
    """z_t changes with x_s where t - s is 0, d or 2 d, and with no other; the first positions see zeros before them."""
    layer, x = Conv1d("l1", 2, 3, 3, dilation), _randn(1, 1, 8, 2)
    params = _params(layer)
    base, _ = layer.forward(params, x)
    for s in range(8):
        moved = x.clone()
        moved[:, :, s] += 1
        z, _ = layer.forward(params, moved)
        changed = [t for t in range(8) if not torch.equal(z[0, 0, t], base[0, 0, t])]
        assert changed == [t for t in (s, s + dilation, s + 2 * dilation) if t < 8]


def test_the_gradient_of_a_maximum_goes_to_the_first_of_ties() -> None:
    """Of four equal numbers the first, row by row, gets the whole gradient; a tie of two goes to the upper one."""
    x = _picture([[5, 5, 1, 7], [5, 5, 7, 0]])
    out, tape = MaxPool(2).forward({}, x)
    grad_in = MaxPool(2).backward({}, tape, _picture([[2, 3]]), {})
    assert out.flatten().tolist() == [5, 7]
    assert grad_in is not None
    assert grad_in.flatten().tolist() == [2, 0, 0, 3, 0, 0, 0, 0]
    (chosen,) = MaxPool(2).choices(tape)
    assert chosen.flatten().tolist() == [0, 3]


def test_mean_pool_worked_by_hand() -> None:
    """The mean of a window; its gradient is shared, and the rest of the picture gets none."""
    out, tape = MeanPool(2).forward({}, _picture([[1, 2, 9], [3, 6, 9]]))
    grad_in = MeanPool(2).backward({}, tape, _picture([[4]]), {})
    assert out.flatten().tolist() == [3]
    assert grad_in is not None
    assert grad_in.flatten().tolist() == [1, 1, 0, 1, 1, 0]


@pytest.mark.parametrize("layer", [Conv2d("l1", 3, 5, (3, 2)), Conv1d("l1", 9, 5, 2)])
def test_fans_count_the_places_of_the_kernel(layer: Conv2d | Conv1d) -> None:
    """The scheme is told fan_in = I·k and fan_out = O·k, for k places of the kernel."""
    told: list[tuple[int, int]] = []

    def std(fan_in: int, fan_out: int) -> float:
        told.append((fan_in, fan_out))
        return 1.0

    W = layer.init(0, Scheme(Initializer(normal_noise, std), constant(0.0)))["l1.W"]
    assert (W.shape, told) == ((5, 18), [(18, 30 if isinstance(layer, Conv2d) else 10)])


def test_layers_of_pictures_name_their_sizes() -> None:
    """Products per position, as Dense does, and W with its product for initialization by data and diagnostics."""
    for name in ("stride, dilation", "causal, dilated"):
        layer, shape = CASES[name]
        params = _params(layer, 2)
        z, tape = layer.forward(params, _randn(2, 3, *shape))
        ((weight, product),) = layer.preactivations(tape)
        assert weight == "l1.W"
        assert torch.equal(product.flatten(), z.flatten())
        assert list(layer.products()) == [params["l1.W"].shape[1:]]
    assert list(Conv2d("l1", 1, 2, (3, 3)).init(0, SCHEME)) == ["l1.W", "l1.b"]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d("l1", 3, 2, (2, 2)), (2, 4, 5, 5), r"Conv2d 'l1': x must be \[R, B, H, W, 3\], got \[2, 4, 5, 5\]"),
        (Conv2d("l1", 3, 2, (5, 2)), (2, 4, 4, 5, 3), r"must have 5 x 2 pixels or more, got 4 x 5; take a smaller"),
        (Conv1d("l1", 3, 2, 2), (2, 4, 5, 2), r"Conv1d 'l1': x must be \[R, B, T, 3\], got \[2, 4, 5, 2\]; give"),
        (MaxPool(3), (2, 4, 2, 5, 1), r"MaxPool: x must be .* with 3 or more along each side, got \[2, 4, 2, 5, 1\]"),
        (MeanPool(3), (2, 4, 5), r"MeanPool: x must be .* got \[2, 4, 5\]; take a smaller window"),
        (Unflatten((2, 2, 1)), (2, 4, 5), r"Unflatten: x must be \[R, B, 4\], got \[2, 4, 5\]; fix the shape"),
    ],
)
def test_wrong_shapes_are_named(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    """An error says which layer, what it wants, what came and what to do."""
    with pytest.raises(ShapeError, match=message):
        inspect.unwrap(type(layer).forward)(layer, {}, _randn(*shape))
