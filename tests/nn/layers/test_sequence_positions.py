"""Learned and sinusoidal positions against autograd and the paper's formula."""

import inspect
from math import cos, sin

import pytest
import torch

from tests.nn.layers.test_attention import errors, gradients, params_of
from tests.nn.test_layers import _randn
from workbench.core.errors import ShapeError
from workbench.nn.layers.positions import Positions, sinusoids


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("time", [1, 3, 5])
@pytest.mark.parametrize("learned", [True, False])
def test_gradients_equal_autograd(learned: bool, time: int, replicas: int) -> None:
    """Gradients of positions and inputs are autograd's, 0 for positions that no example reaches."""
    layer, x = Positions("l1.position", 5, 4, learned), _randn(replicas, 2, time, 4)
    params = params_of(layer, replicas)
    if learned:
        assert errors(layer, params, x) < 1e-12
    out, grads, grad_in = gradients(layer, params, x, _randn(replicas, 2, time, 4, seed=1))
    assert torch.equal(out, x + params[layer.table][:, None, :time])
    assert torch.equal(grad_in, _randn(replicas, 2, time, 4, seed=1))
    assert list(grads) == (["l1.position.W"] if learned else [])


@pytest.mark.parametrize("width", [1, 4, 5])
def test_sinusoids_are_those_of_the_paper(width: int) -> None:
    """PE(t, 2i) = sin(t/10000^(2i/d)), PE(t, 2i+1) = cos of the same (Vaswani et al. 2017, section 3.5)."""
    expected = [[(cos if u % 2 else sin)(t / 10000 ** ((u - u % 2) / width)) for u in range(width)] for t in range(6)]
    torch.testing.assert_close(sinusoids(6, width), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("learned", [True, False])
def test_a_replica_has_the_same_bits_alone(learned: bool) -> None:
    """Outputs and gradients of a replica do not depend on its pack."""
    layer, x, grad_out = Positions("l1", 9, 5, learned), _randn(3, 33, 7, 5), _randn(3, 33, 7, 5, seed=1)
    params = params_of(layer, 3)
    out, grads, _ = gradients(layer, params, x, grad_out)
    for r in range(3):
        one = slice(r, r + 1)
        alone = gradients(layer, params.with_flat(params.flat[one]), x[one], grad_out[one])
        assert torch.equal(alone[0], out[one])
        assert torch.equal(alone[1].flat, grads.flat[one])


@pytest.mark.parametrize("shape", [(2, 3, 6, 4), (2, 3, 5, 3), (3, 5, 4)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """The error says which layer, what it wants, what came and what to do."""
    layer = Positions("l1", 5, 4)
    with pytest.raises(ShapeError, match=r"Positions 'l1': x must be \[R, B, T ≤ 5, 4\], got \["):
        inspect.unwrap(Positions.forward)(layer, params_of(layer, 2), _randn(*shape))
