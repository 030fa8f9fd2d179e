"""Mistakes in layers of sequences, each an edit of their code, and the reference that sees it."""

import inspect
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.nn.layers import test_attention, test_embedding
from tests.nn.test_layers import _randn
from tests.nn.test_transformer import V, _build, _tokens, off_from_autograd
from workbench.nn.layers import attention, embedding
from workbench.nn.layers.base import Layer, Mode
from workbench.nn.model import Model

SEEN = 1e-3  # far above rounding


def _edited(module: ModuleType, right: str, wrong: str) -> dict[str, Any]:
    """Run the module's code with one expression changed, and return its names."""
    source = inspect.getsource(module)
    assert source.count(right) == 1
    names: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source.replace(right, wrong), module.__name__, "exec"), names)
    return names


IN_ATTENTION = {
    "mask off by one: a position sees the next": ("-torch.inf).triu_(1)", "-torch.inf).triu_(2)"),
    "causal mask turned round": ("-torch.inf).triu_(1)", "-torch.inf).tril_(-1)"),
    "1/√d_k dropped": ("(self.width // self.heads) ** -0.5", "1.0"),
    "1/√d_k of the whole width": ("(self.width // self.heads) ** -0.5", "self.width**-0.5"),
    "heads mixed up": (
        "parts, self.heads, -1).permute(3, 0, 1, 4, 2, 5)",
        "parts, self.width // self.heads, -1).permute(3, 0, 1, 5, 2, 4)",
    ),
    "heads joined in another order": (
        "product(A, V).view(replicas, batch, self.heads, time, -1).transpose(2, 3)",
        "product(A, V).view(replicas, batch, self.heads, time, -1).permute(0, 1, 3, 4, 2)",
    ),
    "softmax over queries": ("bias), 2)", "bias), 1)"),
    "queries and keys exchanged": ("product(Q, K.transpose(1, 2), bias)", "product(K, Q.transpose(1, 2), bias)"),
    "dV: A not transposed": ("tape.A.transpose(1, 2), dO)", "tape.A, dO)"),
    "dS: A dropped": (".transpose(1, 2)).mul_(tape.A)", ".transpose(1, 2))"),
    "dS: sum dropped": ("value=-1)", "value=0)"),
    "dS: sum over queries": ("dS.sum(2, keepdim=True)", "dS.sum(1, keepdim=True)"),
    "dQ: 1/√d_k dropped": ("dQKV[0].mul_(self._scale)", "pass"),
    "dK: dS not transposed": ("product_into(dQKV[1], dS.transpose(1, 2)", "product_into(dQKV[1], dS"),
}


@pytest.mark.parametrize("name", IN_ATTENTION)
def test_each_mistake_in_attention_is_caught(name: str) -> None:
    """Torch's attention with the same weights differs."""
    layer = _edited(attention, *IN_ATTENTION[name])["Attention"]("l1", test_attention.WIDTH, 2, causal=True)
    assert test_attention.off_from_torch(layer) > SEEN


IN_PADDING = {
    "padding attended": ("allowed = present[:", "allowed = torch.ones_like(present)[:"),
    "presence of queries, not of keys": (
        "None, None, :].expand(-1, -1, self.heads, time, -1)",
        "None, :, None].expand(-1, -1, self.heads, -1, time)",
    ),
    "future seen where there is padding": ("allowed.tril()", "allowed"),
}


@pytest.mark.parametrize("name", IN_PADDING)
def test_each_mistake_in_padding_is_caught(name: str) -> None:
    """Torch's attention with a mask of padded keys differs."""
    layer = _edited(attention, *IN_PADDING[name])["Attention"]("l1", test_attention.WIDTH, 2, causal=True)
    off = test_attention.off_from_torch(layer, test_attention.PADDED)
    assert not off < SEEN  # a row without keys is not a number in torch


def test_a_row_without_keys_that_is_not_zeroed_is_caught() -> None:
    """Rows without a key take the mean of all, and not 0."""
    layer = _edited(attention, "A = A * alive", "pass")["Attention"]("l1", test_attention.WIDTH, 2)
    x = _randn(1, 1, 3, test_attention.WIDTH)
    params = test_attention.params_of(layer, 1)
    out, _ = layer.forward(params, x, Mode(present=torch.zeros(1, 1, 3, dtype=torch.bool)))
    assert not torch.equal(out[0, 0], params["l1.out.b"].expand(3, -1))


IN_EMBEDDING = {
    "scatter without add": ("sums.index_add_(0", "sums.index_copy_(0"),
    "rows of another replica": ("first.view(-1, 1, 1)", "first.flip(0).view(-1, 1, 1)"),
    "scale dropped on the way back": ("sums.mul_(self.scale)", "pass"),
    "padding trained": ("sums[:, self.padding] = 0", "pass"),
}


@pytest.mark.parametrize("name", IN_EMBEDDING)
def test_each_mistake_in_an_embedding_is_caught(name: str) -> None:
    """Torch's embedding with the same rows differs."""
    layer = _edited(embedding, *IN_EMBEDDING[name])["Embedding"]("l1", test_embedding.V, test_embedding.U, 2, 1.5)
    assert test_embedding.off_from_torch(layer) > SEEN


@pytest.mark.parametrize("shared", [True, False])
def test_a_tied_gradient_that_is_overwritten_is_caught(shared: bool) -> None:
    """Autograd differs where the embedding overwrites what the output layer wrote, and agrees where it adds."""
    model = _build(tied=True, n_out=V)
    first = model.layers[0]
    assert isinstance(first, embedding.Embedding)
    object.__setattr__(first, "shared", shared)
    layer: Layer = Model(model.layers)
    assert (off_from_autograd(layer, _tokens(2, 3, 5)) < 1e-10) == shared
