"""ReLU networks that are constant before training: simulation, and bounds on their probability from both sides.

Without biases a network of one input is positively homogeneous: on each of the two rays x > 0 and x < 0 its hidden
vectors only change length. A ray is dead from the first layer on whose units are all 0 on it, and the output is
constant exactly if both rays are dead. Let q = 2^-N for width N. A layer with random signs kills a given live ray with
probability q, and both at once with ((π - θ)/2π)^N, between q² and q, where θ ≤ π/2 is the angle between hidden
vectors. The first layer cannot kill both rays, since each of its units is positive on one of them, and leaves a right
angle. Let D and V be the probabilities that one live ray, and that both, die in the layers that follow.

- Lower bound: the chain with θ = π/2 in every layer. Replacing q² by p adds (p - q²)(1 - 2D + V), and V ≥ 2D - 1
  (Bonferroni).
- Upper bound: the chain with θ = π/2 in the second layer and V = D after it, as both rays are dead only if one is.

For up to two hidden layers the bounds coincide. The simpler upper bound 1 - (1 - q)^H is weaker. Compare Lu, Shin, Su
and Karniadakis 2020.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Generator, Tensor

DOMAIN = sqrt(3)  # inputs lie in [-DOMAIN, DOMAIN], where a uniform one has variance 1
CHUNK = 20_000  # nets at a time: their weights stay in the cache


class Bounds(NamedTuple):
    """Lower and upper bound of the probability of a constant output."""

    lower: float
    upper: float


def bounds(width: int, depth: int) -> Bounds:
    """Compute the bounds for `depth` affine layers, the last of which is the output, and `width` hidden units each."""
    q = 0.5**width
    D, least, most = 0.0, 0.0, 0.0
    for _ in range(depth - 2):
        least = q**2 + 2 * (q - q**2) * D + (1 - 2 * q + q**2) * least
        most = q**2 + (1 - q**2) * D  # 2 (q - q²) D + (1 - 2q + q²) V with V = D
        D = q + (1 - q) * D
    return Bounds(*(2 * q * D + (1 - 2 * q) * V for V in (least, most)))


def deaths(width: int, hidden: int, nets: int, stream: Generator) -> Tensor:
    """Count the random nets with both rays dead after each hidden layer: [hidden]; He-normal weights, no biases.

    The first layers of a deep net are a sample of shallower nets, so that one sample serves all depths.
    """
    died = torch.zeros(hidden, dtype=torch.int64)
    for start in range(0, nets, CHUNK):
        count = min(CHUNK, nets - start)
        first = torch.randn(count, width, 1, generator=stream)
        h = torch.cat([first, -first], 2).relu()  # [nets, units, rays]
        for layer in range(1, hidden):
            W = torch.randn(len(h), width, width, generator=stream) * sqrt(2 / width)
            h = torch.bmm(W, h).relu()
            longest = h.amax(1, keepdim=True)
            alive = (longest > 0).squeeze(1).any(1)
            died[layer] += len(h) - int(alive.sum())
            h = (h / longest.clamp_min(torch.finfo(h.dtype).tiny))[alive]  # only signs matter: no ray may underflow
    return died.cumsum(0)


def live_shares(width: int, depth: int, biases: Sequence[float], nets: int, stream: Generator) -> Tensor:
    """Compute the share of the domain on which random nets have a nonzero slope: [biases, nets], weights shared.

    Slopes are exact at 257 equidistant points; a live interval between two of them is missed.
    """
    x = torch.linspace(-DOMAIN, DOMAIN, 257).expand(nets, 1, -1)
    weights = [torch.randn(nets, width, 1, generator=stream) * sqrt(2)]
    for _ in range(depth - 2):
        weights.append(torch.randn(nets, width, width, generator=stream) * sqrt(2 / width))
    shares = []
    for bias in biases:
        h, slope = x, torch.ones_like(x)
        for W in weights:
            z = W @ h + bias
            h, slope = z.relu(), (W @ slope) * (z > 0)
        shares.append((slope != 0).any(1).double().mean(1))
    return torch.stack(shares)
