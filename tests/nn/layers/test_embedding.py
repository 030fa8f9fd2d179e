"""Embeddings against torch's, their sums by hand, and the same bits in any pack."""

import inspect

import pytest
import torch
from torch import Tensor, nn

from tests.nn.test_layers import CPU, SCHEME, _randn
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import Recorder
from workbench.nn.layers.embedding import Embedding, one_hot_sums
from workbench.nn.params import Params

V, U = 7, 3


def _tokens(*shape: int, vocabulary: int = V, seed: int = 0) -> Tensor:
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def _params(layer: Embedding, replicas: int, dtype: torch.dtype = torch.float64) -> Params:
    return Params.stack([layer.init(seed, SCHEME) for seed in range(replicas)], dtype, CPU)


def _gradient(layer: Embedding, params: Params, tokens: Tensor, grad_out: Tensor, start: float = 5.0) -> Params:
    grads = Params.zeros(params.layout, len(tokens), grad_out)
    grads.flat.fill_(start)  # stale numbers must be overwritten, not added to
    _, tape = layer.forward(params, tokens)
    layer.backward(params, tape, grad_out, grads)
    return grads


def off_from_torch(layer: Embedding, replicas: int = 2) -> float:
    """Largest difference of vectors and dW from those of nn.Embedding with the same rows."""
    params, tokens, grad_out = _params(layer, replicas), _tokens(replicas, 4, 5), _randn(replicas, 4, 5, U, seed=1)
    out, _ = layer.forward(params, tokens)
    gradient = _gradient(layer, params, tokens, grad_out)["l1.W"]
    off = []
    for r in range(replicas):
        twin = nn.Embedding(V, U, padding_idx=layer.padding, dtype=torch.float64)
        with torch.no_grad():
            twin.weight.copy_(params["l1.W"][r])
        expected = layer.scale * twin(tokens[r])
        (expected * grad_out[r]).sum().backward()
        assert twin.weight.grad is not None
        off += [(out[r] - expected).detach().abs().max(), (gradient[r] - twin.weight.grad).abs().max()]
    return float(torch.stack(off).max())


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize(("padding", "scale"), [(None, 1.0), (2, 1.0), (0, 1.5)])
def test_vectors_and_gradients_equal_torch(replicas: int, padding: int | None, scale: float) -> None:
    """Outputs and dW are those of nn.Embedding to 1e-12, with the padding's row left out."""
    assert off_from_torch(Embedding("l1", V, U, padding, scale), replicas) < 1e-12


def test_gradients_worked_by_hand() -> None:
    """Tokens 1, 1, 0 with gradients 1, 2, 4: row 1 gets 3, row 0 gets 4, row 2 nothing."""
    layer = Embedding("l1", 3, 1)
    params = _params(layer, 1)
    grad_out = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).view(1, 1, 3, 1)
    grads = _gradient(layer, params, torch.tensor([[[1, 1, 0]]]), grad_out)
    assert grads["l1.W"].flatten().tolist() == [4, 3, 0]


def test_a_shared_table_adds_to_the_gradient_there() -> None:
    """With `shared`, the sums are added to what the output layer wrote before."""
    tokens, grad_out = _tokens(2, 3, 4), _randn(2, 3, 4, U, seed=1)
    layer, shared = Embedding("l1", V, U), Embedding("l1", V, U, shared=True)
    params = _params(layer, 2)
    expected = _gradient(layer, params, tokens, grad_out)["l1.W"] + 5
    torch.testing.assert_close(_gradient(shared, params, tokens, grad_out)["l1.W"], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("replicas", "batch", "time"), [(4, 3, 5), (5, 64, 128)])
def test_a_replica_has_the_same_bits_alone(replicas: int, batch: int, time: int, dtype: torch.dtype) -> None:
    """Vectors and sums of a replica do not depend on its pack, also where torch sorts long indices first."""
    layer = Embedding("l1", V, 17, scale=1.1)
    params = _params(layer, replicas, dtype)
    tokens, grad_out = _tokens(replicas, batch, time), _randn(replicas, batch, time, 17, seed=1).to(dtype)
    out, _ = layer.forward(params, tokens)
    sums = _gradient(layer, params, tokens, grad_out)["l1.W"]
    for r in range(replicas):
        alone, one = params.with_flat(params.flat[r : r + 1]), slice(r, r + 1)
        assert torch.equal(layer.forward(alone, tokens[one])[0], out[one])
        assert torch.equal(_gradient(layer, alone, tokens[one], grad_out[one])["l1.W"], sums[one])


def test_sums_equal_the_product_with_one_hot_rows() -> None:
    """Devices other than the CPU multiply by one-hot rows: the sums are the same up to rounding."""
    layer, tokens, grad_out = Embedding("l1", V, U), _tokens(2, 3, 4), _randn(2, 3, 4, U)
    expected = _gradient(layer, _params(layer, 2), tokens, grad_out)["l1.W"]
    torch.testing.assert_close(one_hot_sums(tokens, grad_out, V), expected)


def test_rows_start_with_the_variance_that_gives_outputs_variance_one() -> None:
    """W is N(0, 1/scale²), whatever the scheme, and the padding's row is 0."""
    W = Embedding("l1", 400, 50, padding=3, scale=4.0).init(0, SCHEME)["l1.W"]
    assert W[3].eq(0).all()
    assert float(W.std() * 4) == pytest.approx(1, abs=0.02)


def test_the_gradient_of_outputs_is_recorded() -> None:
    """Diagnostics see dC/dout as [R, B·T, U], and tokens get no gradient."""
    layer, tokens, grad_out, recorder = Embedding("l1", V, U), _tokens(2, 3, 4), _randn(2, 3, 4, U), Recorder()
    params = _params(layer, 2)
    grads = Params.zeros(params.layout, 2, grad_out)
    assert layer.backward(params, layer.forward(params, tokens)[1], grad_out, grads, recorder=recorder) is None
    assert torch.equal(recorder.deltas["l1"], grad_out.flatten(1, 2))


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, 4)])
def test_what_is_not_tokens_is_refused(wrong: Tensor) -> None:
    """The error says which layer, what it wants and what came."""
    layer = Embedding("l1", V, U)
    with pytest.raises(ShapeError, match=r"Embedding 'l1': tokens must be int64 \[R, B, T\], got torch"):
        inspect.unwrap(Embedding.forward)(layer, _params(layer, 2), wrong)
