"""Transformers against autograd and torch's own blocks; what options change; the same bits in any pack."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.nn.layers.test_attention import params_of
from tests.nn.test_layers import _randn
from tests.reference import build
from workbench.core.errors import ConfigError
from workbench.nn.check.torch_twin import copy_into, twin
from workbench.nn.inputs import Inputs
from workbench.nn.layers.base import EVALUATION, Layer, Mode
from workbench.nn.layers.layer_norm import layer_norm
from workbench.nn.model import Model
from workbench.nn.params import Params
from workbench.nn.transformer_builder import transformer

V, T, U = 7, 5, 4
TOKENS = Inputs((T,), V)
SIZES: dict[str, Any] = {"width": U, "blocks": 2, "heads": 2, "feed_forward": 6, "inputs": TOKENS, "n_out": 3}


def _build(activation: str = "tanh", **options: Any) -> Model:
    chosen = {"per_position": True, "norm": layer_norm(), **options}
    return transformer(**(SIZES | chosen), activation=build("activation", activation))


def _tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def _gradients(model: Layer, params: Params, tokens: Tensor, grad_out: Tensor, mode: Mode = EVALUATION) -> Params:
    grads = Params.zeros(params.layout.trained, len(tokens), params.flat)
    grads.flat.fill_(5.0)
    _, tape = model.forward(params, tokens, mode)
    model.backward(params, tape, grad_out, grads, need_grad_in=False)
    return grads


def off_from_autograd(model: Layer, tokens: Tensor, mode: Mode = EVALUATION) -> float:
    """Largest difference between the hand-written gradients and autograd's."""
    params = params_of(model, len(tokens))
    leaf = params.flat.clone().requires_grad_()
    out, _ = model.forward(params.with_flat(leaf), tokens, mode)
    grad_out = _randn(*out.shape, seed=1)
    (expected,) = torch.autograd.grad((out * grad_out).sum(), leaf)
    grads = _gradients(model, params, tokens, grad_out, mode)
    return max(float((grads[name] - params.with_flat(expected)[name]).abs().max()) for name in grads)


OPTIONS = {
    "causal": (True, False),
    "placement": ("pre", "post"),
    "positions": ("learned", "sinusoidal", "none"),
    "readout": (None, "last", "mean"),
    "tied": (False, True),
}


@pytest.mark.parametrize("number", range(8))
def test_gradients_equal_autograd(number: int) -> None:
    """All gradients equal autograd's to 1e-10: an eighth of all combinations of options each, some padded."""
    for options in list(product(*OPTIONS.values()))[number::8]:
        causal, placement, positions, readout, tied = options
        model = _build(
            causal=causal,
            placement=placement,
            positions=positions,
            per_position=readout is None,
            readout=readout or "last",
            tied=tied,
            n_out=V if tied else 3,
            blocks=1,
        )
        mode = EVALUATION if causal else Mode(present=torch.arange(T) < torch.tensor([[5, 2], [3, 1]]).unsqueeze(2))
        assert off_from_autograd(model, _tokens(2, 2, T), mode) < 1e-10, options


def test_gradients_with_dropout_equal_autograd() -> None:
    """In training, masks of dropout are the same on the way back."""
    model = _build(dropout=0.3)
    assert off_from_autograd(model, _tokens(2, 3, T), Mode(True, torch.tensor([3, 4]))) < 1e-10
    assert model.is_noisy


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_equals_torch(activation: str, placement: str, causal: bool) -> None:
    """Outputs and all gradients of a block are those of nn.TransformerEncoderLayer to 1e-12."""
    model = _build(activation, placement=placement, causal=causal, positions="none", blocks=1)
    block = Model(model.layers[1 : 3 if placement == "pre" else 5])
    params, x, grad_out = params_of(block, 1), _randn(1, 3, T, U), _randn(1, 3, T, U, seed=1)
    twin = nn.TransformerEncoderLayer(
        *(U, 2, 6, 0.0, activation), batch_first=True, norm_first=placement == "pre", dtype=torch.float64
    )
    names = {"self_attn.in_proj_": "l2.", "self_attn.out_proj.": "l2.out.", "linear1.": "l3.", "linear2.": "l4."}
    names |= {"norm1.": "l2.gamma", "norm2.": "l3.gamma"}
    ours = {}
    for theirs, _ in twin.named_parameters():
        (prefix,) = (one for one in names if theirs.startswith(one))
        kind = "W" if theirs.endswith("weight") else "b"
        name = names[prefix] + kind
        ours[theirs] = name.replace("gammaW", "gamma").replace("gammab", "beta")
    with torch.no_grad():
        for theirs, parameter in twin.named_parameters():
            parameter.copy_(params[ours[theirs]][0])
    future = torch.full((T, T), -torch.inf, dtype=torch.float64).triu(1) if causal else None
    leaf = x[0].clone().requires_grad_()
    expected = twin(leaf, src_mask=future)
    (expected * grad_out[0]).sum().backward()
    grads = Params.zeros(params.layout.trained, 1, x)
    out, tape = block.forward(params, x)
    grad_in = block.backward(params, tape, grad_out, grads)
    assert grad_in is not None
    pairs = [(out[0], expected), (grad_in[0], leaf.grad)]
    pairs += [(grads[ours[theirs]][0], parameter.grad) for theirs, parameter in twin.named_parameters()]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_causal_transformer_reads_nothing_later() -> None:
    """An output changes with tokens up to its own position, and by no bit with later ones."""
    model, tokens = _build(), _tokens(1, 2, T)
    params = params_of(model, 1)
    out, _ = model.forward(params, tokens)
    for s in range(T):
        changed = tokens.clone()
        changed[:, :, s] = (tokens[:, :, s] + 1) % V
        same = model.forward(params, changed)[0].eq(out).all(3)
        assert torch.equal(same, (torch.arange(T) < s).expand_as(same))


def test_without_positions_and_mask_order_does_not_matter() -> None:
    """Outputs permute with tokens to 1e-12, and do not where there are positions."""
    tokens, order = _tokens(2, 3, T), torch.tensor([2, 0, 4, 1, 3])
    for positions, permutes in (("none", True), ("learned", False), ("sinusoidal", False)):
        model = _build(causal=False, positions=positions)
        params = params_of(model, 2)
        out, moved = model.forward(params, tokens)[0], model.forward(params, tokens[:, :, order])[0]
        assert bool((moved - out[:, :, order]).abs().max() < 1e-12) == permutes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tied", [False, True])
def test_a_replica_has_the_same_bits_alone(tied: bool, dtype: torch.dtype) -> None:
    """Outputs and gradients of a replica do not depend on its pack."""
    model = _build(tied=tied, n_out=V, dropout=0.2)
    params, tokens = params_of(model, 3, dtype), _tokens(3, 4, T)
    mode = Mode(True, torch.tensor([3, 4, 5]))
    out, _ = model.forward(params, tokens, mode)
    grad_out = _randn(*out.shape, seed=1).to(dtype)
    grads = _gradients(model, params, tokens, grad_out, mode)
    for r in range(3):
        one = slice(r, r + 1)
        alone, own = params.with_flat(params.flat[one]), Mode(True, torch.tensor([3 + r]))
        assert torch.equal(model.forward(alone, tokens[one], own)[0], out[one])
        assert torch.equal(_gradients(model, alone, tokens[one], grad_out[one], own).flat, grads.flat[one])


def test_the_layers_are_named_in_order() -> None:
    """Embedding l1, attention l2, dense l3 and l4, the next block l5 to l7, output l8; norms by what they precede."""
    names = list(params_of(_build(positions="learned"), 1))
    layers = {name.rpartition(".")[0] for name in names}
    assert layers == {"l1", "l1.position", "l2.out", "l5.out", *(f"l{number}" for number in range(2, 9))}
    assert {name for name in names if name.endswith("gamma")} == {f"l{number}.gamma" for number in (2, 3, 5, 6, 8)}
    assert [unit.name for unit in _build().units(_build().forward(params_of(_build(), 1), _tokens(1, 2, T))[1])] == [
        "l3",
        "l6",
    ]


@pytest.mark.parametrize(("readout", "per_position"), [("last", False), ("mean", False), ("last", True)])
def test_outputs_are_one_per_position_or_one_per_example(readout: str, per_position: bool) -> None:
    """[R, B, T, K] where each position has a target, else [R, B, K]."""
    model = _build(readout=readout, per_position=per_position)
    out, _ = model.forward(params_of(model, 2), _tokens(2, 3, T))
    assert out.shape == ((2, 3, T, 3) if per_position else (2, 3, 3))


def test_inputs_and_outputs_that_do_not_fit_are_refused() -> None:
    """The errors say what must hold, what came and what to do."""
    with pytest.raises(ConfigError, match="a transformer reads tokens, got features; write data=recall"):
        _build(inputs=Inputs((4,)))
    with pytest.raises(ConfigError, match=r"for each of 7 tokens, got 3 outputs to learn; write architecture\.tied"):
        _build(tied=True)


def test_padding_changes_no_output_before_it() -> None:
    """With a padding token, outputs at words are those of the words alone, and its row gets no gradient."""
    tokens = _tokens(1, 2, T).clamp(min=1)
    tokens[:, :, 3:] = 0
    padded = _build(inputs=Inputs((T,), V, padding=0), causal=False)
    params = params_of(padded, 1)
    out, _ = padded.forward(params, tokens)
    alone, _ = _build(causal=False).forward(params, tokens[:, :, :3])
    torch.testing.assert_close(out[:, :, :3], alone, rtol=0, atol=1e-12)
    assert _gradients(padded, params, tokens, torch.ones_like(out))["l1.W"][:, 0].eq(0).all()
    assert (
        off_from_autograd(_build(inputs=Inputs((T,), V, 0), tied=True, n_out=V), _tokens(2, 3, T).clamp(min=1)) < 1e-10
    )


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
def test_a_transformer_equals_its_twin(positions: str, placement: str) -> None:
    """The twin of torch's modules has the same outputs and gradients, to 1e-12, in evaluation."""
    model, tokens = _build("gelu", positions=positions, placement=placement, dropout=0.1), _tokens(2, 3, T)
    params, grad_out = params_of(model, 2), _randn(2, 3, T, 3, seed=1)
    out, _ = model.forward(params, tokens)
    grads = _gradients(model, params, tokens, grad_out)
    for r in range(2):
        module = twin(model).double().eval()
        copy_into(module, params, r)
        for name, buffer in module.named_buffers():
            assert name.endswith("table")
            buffer.copy_(params["l1.position.waves"][r])
        expected = module(tokens[r])
        (expected * grad_out[r]).sum().backward()
        torch.testing.assert_close(out[r], expected, rtol=0, atol=1e-12)
        for name, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            torch.testing.assert_close(grads[name][r], parameter.grad, rtol=0, atol=1e-12)
