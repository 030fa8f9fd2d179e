"""Attention against autograd and torch's own, its masks, and the same bits in any pack."""

import inspect
from collections.abc import Callable
from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.nn.test_layers import CPU, SCHEME, _randn
from workbench.core.errors import ConfigError, ShapeError
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import EVALUATION, Layer, Mode, Recorder
from workbench.nn.model import Model
from workbench.nn.params import Params

WIDTH = 4
NAMES = ("l1.W", "l1.b", "l1.out.W", "l1.out.b")  # in the order of nn.MultiheadAttention's parameters
Masked = Tensor | None


def params_of(layer: Layer, replicas: int, dtype: torch.dtype = torch.float64) -> Params:
    """Initial parameters, moved by noise so that no bias is 0."""
    rows = [layer.init(seed, SCHEME) for seed in range(replicas)]
    params = Params.stack(rows, dtype, CPU, [layer.buffers(SCHEME)] * replicas)
    stream = torch.Generator().manual_seed(7)
    for name in rows[0]:
        view = params[name]
        view.add_(torch.randn(view.shape, generator=stream, dtype=torch.float64).mul_(0.3).to(dtype))
    return params


def gradients(
    layer: Layer, params: Params, x: Tensor, grad_out: Tensor, mode: Mode = EVALUATION
) -> tuple[Tensor, Params, Tensor]:
    """Output, gradients over stale numbers, and the input's gradient."""
    grads = Params.zeros(params.layout.trained, len(x), x)
    grads.flat.fill_(5.0)
    out, tape = layer.forward(params, x, mode)
    grad_in = layer.backward(params, tape, grad_out, grads)
    assert grad_in is not None
    return out, grads, grad_in


def errors(layer: Layer, params: Params, x: Tensor, mode: Mode = EVALUATION) -> float:
    """Largest difference between the hand-written gradients and autograd's."""
    leaf, x_leaf = params.flat.clone().requires_grad_(), x.clone().requires_grad_()
    out, _ = layer.forward(params.with_flat(leaf), x_leaf, mode)
    grad_out = _randn(*out.shape, seed=1).to(x.dtype)
    expected, expected_in = torch.autograd.grad((out * grad_out).sum(), [leaf, x_leaf])
    _, grads, grad_in = gradients(layer, params, x, grad_out, mode)
    wrong = [(grads[name] - params.with_flat(expected)[name]).abs().max() for name in grads]
    return float(torch.stack([*wrong, (grad_in - expected_in).abs().max()]).max())


def lengths(*counts: list[int], time: int) -> Tensor:
    """Presence [R, B, T] of positions, where each example has so many at its start."""
    return torch.arange(time) < torch.tensor(counts).unsqueeze(2)


@settings(max_examples=25)
@given(data=st.data())
def test_gradients_of_any_sizes_equal_autograd(data: st.DataObject) -> None:
    """All gradients equal autograd's to 1e-10 for any sizes, heads and masks; in float32 to 1e-3."""
    replicas, batch, time = (data.draw(st.integers(1, most)) for most in (4, 3, 9))
    heads, per_head = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    layer = Attention("l1", heads * per_head, heads, data.draw(st.booleans()))
    shape = (replicas, batch, time)
    stream = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    present = torch.rand(shape, generator=stream) < 0.6 if data.draw(st.booleans()) else None
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-3)):
        x = torch.randn(*shape, layer.width, generator=stream, dtype=dtype)
        assert errors(layer, params_of(layer, replicas, dtype), x, Mode(present=present)) < tolerance


def _torch_twin(layer: Attention, params: Params, r: int) -> nn.MultiheadAttention:
    twin = nn.MultiheadAttention(layer.width, layer.heads, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in zip(NAMES, twin.parameters(), strict=True):
            parameter.copy_(params[name][r])
    return twin


PADDED = lengths([5, 3, 1], [2, 5, 4], time=5)


def off_from_torch(layer: Attention, present: Masked = None) -> float:
    """Largest difference of outputs, weights and gradients from those of nn.MultiheadAttention."""
    x, grad_out = _randn(2, 3, 5, WIDTH), _randn(2, 3, 5, WIDTH, seed=1)
    params, mode = params_of(layer, 2), Mode(present=present)
    out, grads, grad_in = gradients(layer, params, x, grad_out, mode)
    ((_, maps),) = layer.maps(layer.forward(params, x, mode)[1])
    off = []
    for r in range(2):
        twin, x_r = _torch_twin(layer, params, r), x[r].clone().requires_grad_()
        future = torch.ones(5, 5, dtype=torch.bool).triu(1) if layer.causal else None
        absent = None if present is None else ~present[r]
        expected, weights = twin(x_r, x_r, x_r, absent, attn_mask=future, average_attn_weights=False)
        (expected * grad_out[r]).sum().backward()
        pairs = [(out[r], expected), (maps[r], weights), (grad_in[r], x_r.grad)]
        pairs += [(grads[name][r], p.grad) for name, p in zip(NAMES, twin.parameters(), strict=True)]
        off += [(ours - theirs).detach().abs().max() for ours, theirs in pairs]
    return float(torch.stack(off).max())


@pytest.mark.parametrize("present", [None, PADDED], ids=["all present", "padded"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_equals_torch(heads: int, causal: bool, present: Masked) -> None:
    """Outputs, weights and all gradients are those of nn.MultiheadAttention to 1e-12."""
    assert off_from_torch(Attention("l1", WIDTH, heads, causal), present) < 1e-12


def _by_hand(x: Tensor, logits: Callable[[float, float], float], rows: list[list[int]]) -> list[float]:
    """Means of x over the keys of each row, with weights exp(logits)."""
    out = []
    for t, keys in enumerate(rows):
        weights = torch.tensor([logits(float(x[t]), float(x[s])) for s in keys]).exp()
        out.append(float((weights * torch.stack([x[s] for s in keys])).sum() / weights.sum()))
    return out


@pytest.mark.parametrize("causal", [False, True])
def test_attention_worked_by_hand(causal: bool) -> None:
    """One unit and one head with Q = K = V = x: out_t = Σ_s exp(x_t x_s) x_s / Σ_s exp(x_t x_s)."""
    layer, x = Attention("l1", 1, 1, causal), torch.tensor([1.0, -0.5, 2.0])
    ones = {"l1.W": torch.ones(3, 1), "l1.b": torch.zeros(3), "l1.out.W": torch.ones(1, 1), "l1.out.b": torch.zeros(1)}
    out, _ = layer.forward(Params.stack([ones], torch.float32, CPU), x.view(1, 1, 3, 1))
    rows = [[0], [0, 1], [0, 1, 2]] if causal else [[0, 1, 2]] * 3
    assert out.flatten().tolist() == pytest.approx(_by_hand(x, lambda q, k: q * k, rows), rel=1e-6)


def test_scores_are_divided_by_the_root_of_the_units_of_a_head() -> None:
    """A position's weight is the softmax of q·k/√D, with D = U/H."""
    layer, x = Attention("l1", 6, 2), _randn(1, 1, 4, 6)
    params = params_of(layer, 1)
    ((_, maps),) = layer.maps(layer.forward(params, x)[1])
    q, k, _ = nn.functional.linear(x[0, 0], params["l1.W"][0], params["l1.b"][0]).split(6, 1)
    for head in range(2):
        units = slice(3 * head, 3 * head + 3)
        expected = (q[:, units] @ k[:, units].T / sqrt(3)).softmax(1)
        torch.testing.assert_close(maps[0, 0, head], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("present", [None, lengths([6, 4], time=6)], ids=["all present", "padded"])
def test_no_output_depends_on_later_inputs_when_causal(present: Masked) -> None:
    """dy_t/dx_s is exactly 0 for s > t, and is not for s ≤ t."""
    layer, x = Attention("l1", WIDTH, 2, causal=True), _randn(1, 2, 6, WIDTH)
    params, mode = params_of(layer, 1), Mode(present=present)
    for t in range(6):
        grad_out = torch.zeros_like(x)
        grad_out[:, :, t] = _randn(1, 2, WIDTH, seed=1)
        moved = gradients(layer, params, x, grad_out, mode)[2].ne(0).any(3)
        expected = torch.arange(6) <= t
        if present is not None:
            expected = expected & (present | (torch.arange(6) == t))  # a padded position still asks
        assert torch.equal(moved, expected.expand_as(moved))


def test_padding_is_not_attended() -> None:
    """Outputs at present positions do not change with the padding, and its weights are exactly 0."""
    layer, x = Attention("l1", WIDTH, 2), _randn(2, 3, 5, WIDTH)
    params, mode = params_of(layer, 2), Mode(present=PADDED)
    out, tape = layer.forward(params, x, mode)
    ((_, maps),) = layer.maps(tape)
    assert maps.transpose(2, 4)[~PADDED].eq(0).all()
    torch.testing.assert_close(maps.sum(4), torch.ones(2, 3, 2, 5, dtype=torch.float64))
    moved, _ = layer.forward(params, torch.where(PADDED.unsqueeze(3), x, 100.0), mode)
    assert torch.equal(out[PADDED], moved[PADDED])


@pytest.mark.parametrize("causal", [False, True])
def test_rows_without_a_key_are_zero(causal: bool) -> None:
    """An example of padding alone takes nothing: heads give 0, the output its bias, and x gets no gradient."""
    layer, x = Attention("l1", WIDTH, 2, causal), _randn(1, 2, 3, WIDTH)
    params, mode = params_of(layer, 1), Mode(present=lengths([0, 2], time=3))
    out, grads, grad_in = gradients(layer, params, x, torch.ones_like(x), mode)
    assert torch.equal(out[0, 0], params["l1.out.b"].expand(3, -1))
    assert grad_in[0, 0].eq(0).all()
    assert grad_in[0, 1].ne(0).any()
    assert all(gradient.isfinite().all() for gradient in grads.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("causal", [False, True])
def test_large_logits_are_stable(causal: bool, dtype: torch.dtype) -> None:
    """With logits of 1e4, outputs and gradients are finite, and each row takes from its largest logit."""
    layer, x = Attention("l1", WIDTH, 1, causal), _randn(1, 2, 5, WIDTH).to(dtype) * 100
    params, mode = params_of(layer, 1, dtype), Mode(present=lengths([5, 3], time=5))
    _, tape = layer.forward(params, x, mode)
    assert float((tape.Q @ tape.K.transpose(1, 2)).abs().max()) > 1e4
    torch.testing.assert_close(tape.A.sum(2), torch.ones(2, 5, dtype=dtype))
    out, grads, grad_in = gradients(layer, params, x, torch.ones_like(x), mode)
    assert all(values.isfinite().all() for values in (out, grad_in, *grads.values()))


def test_outputs_permute_with_inputs() -> None:
    """Without a mask, attention has no order: permuted inputs give permuted outputs, to 1e-12."""
    layer, x, order = Attention("l1", WIDTH, 2), _randn(2, 3, 6, WIDTH), torch.tensor([3, 0, 5, 1, 4, 2])
    params = params_of(layer, 2)
    out, moved = layer.forward(params, x)[0], layer.forward(params, x[:, :, order])[0]
    torch.testing.assert_close(moved, out[:, :, order], rtol=0, atol=1e-12)


SIZES = [(1, 1, 4, 1), (2, 1, 6, 2), (3, 5, 6, 3), (4, 9, 8, 2), (1, 7, 3, 3), (5, 33, 32, 2)]  # B, T, U, heads


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("batch", "time", "width", "heads"), SIZES)
def test_a_replica_has_the_same_bits_alone(
    batch: int, time: int, width: int, heads: int, padded: bool, dtype: torch.dtype
) -> None:
    """Outputs and gradients of a replica do not depend on its pack."""
    layer = Attention("l1", width, heads, causal=True)
    params = params_of(layer, 3, dtype)
    x, grad_out = (_randn(3, batch, time, width, seed=seed).to(dtype) for seed in (0, 1))
    present = torch.rand(3, batch, time, generator=torch.Generator().manual_seed(2)) < 0.7
    pack = gradients(layer, params, x, grad_out, Mode(present=present if padded else None))
    for r in range(3):
        one = slice(r, r + 1)
        mode = Mode(present=present[one] if padded else None)
        alone = gradients(layer, params.with_flat(params.flat[one]), x[one].clone(), grad_out[one].clone(), mode)
        assert torch.equal(alone[0], pack[0][one])
        assert torch.equal(alone[1].flat, pack[1].flat[one])
        assert torch.equal(alone[2], pack[2][one])


def test_the_tape_of_a_model_hands_out_maps_per_head() -> None:
    """Weights are [R, B, H, T, T] by the layer's name, also from inside other layers."""
    model = Model((Attention("l1", WIDTH, 2), Model((Attention("l2", WIDTH, 4),))))
    _, tape = model.forward(params_of(model, 2), _randn(2, 3, 5, WIDTH))
    assert {name: tuple(A.shape) for name, A in model.maps(tape)} == {"l1": (2, 3, 2, 5, 5), "l2": (2, 3, 4, 5, 5)}


def test_recorded_deltas_are_those_of_both_products() -> None:
    """Diagnostics see dC/d[Q K V] and dC/dout as [R, B·T, units]; the tape of one example stays as it was."""
    layer, x, recorder = Attention("l1", WIDTH, 1), _randn(1, 1, 1, WIDTH), Recorder()
    params = params_of(layer, 1)
    grads = Params.zeros(params.layout.trained, 1, x)
    _, tape = layer.forward(params, x)
    torch.testing.assert_close(tape.inputs.z, nn.functional.linear(x[0], params["l1.W"][0], params["l1.b"][0]))
    layer.backward(params, tape, x, grads, recorder=recorder)
    assert {name: delta.shape[2] for name, delta in recorder.deltas.items()} == {"l1": 3 * WIDTH, "l1.out": WIDTH}
    assert list(layer.products()) == [(3 * WIDTH, WIDTH), (WIDTH, WIDTH)]


def test_input_gradient_is_left_out_where_nobody_needs_it() -> None:
    """need_grad_in=False returns None and the same parameter gradients."""
    layer, x = Attention("l1", WIDTH, 2), _randn(2, 3, 5, WIDTH)
    params = params_of(layer, 2)
    _, expected, _ = gradients(layer, params, x, x)
    grads = Params.zeros(params.layout.trained, 2, x)
    assert layer.backward(params, layer.forward(params, x)[1], x, grads, need_grad_in=False) is None
    assert all(torch.equal(grads[name], expected[name]) for name in grads)


def test_each_of_query_key_and_value_is_drawn_with_its_own_fans() -> None:
    """W's three matrices differ and have he's variance 2/U, as if each were a layer of its own."""
    W = Attention("l1", 60, 2).init(0, SCHEME)["l1.W"]
    for part in W.split(60):
        assert float(part.std()) == pytest.approx(sqrt(2 / 60), rel=0.05)
    assert not torch.equal(W[:60], W[60:120])


def test_wrong_sizes_are_refused() -> None:
    """The errors say which layer, what it wants, what came and what to do."""
    with pytest.raises(
        ConfigError, match=r"Attention 'l1': heads must divide the width 4, got 3 heads; write architecture.heads=1"
    ):
        Attention("l1", 4, 3)
    layer = Attention("l1", WIDTH, 2)
    forward = inspect.unwrap(Attention.forward)
    for shape in ((2, 3, 5, 3), (3, 5, WIDTH)):
        with pytest.raises(ShapeError, match=r"Attention 'l1': x must be \[R, B, T, 4\], got \["):
            forward(layer, params_of(layer, 2), _randn(*shape))
