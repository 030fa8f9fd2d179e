"""Rectifier networks that are constant before training: simulated in bulk, and bounded from both sides.

Without biases a network of one input is positively homogeneous: on each of the two rays x > 0 and x < 0 its hidden
vectors only change length. A ray is dead from the layer on whose units are all 0 on it, and the output is constant
exactly where both rays are. Let q = 2^-N for width N. A layer of random signs kills a given live ray with
probability q, and both at once with ((π - θ)/2π)^N, which is q² to q: θ ≤ π/2 is the angle between hidden vectors.
The first layer cannot kill both rays, since each of its units is positive on one of them, and leaves a right angle.
Let D and V be the chances that a live ray, and that two, die in the layers that follow.

- At least the chain with θ = π/2 in every layer: p in the place of q² adds (p - q²)(1 - 2D + V), and V ≥ 2D - 1
  (Bonferroni).
- At most the chain with θ = π/2 in the second layer and V = D after it: both rays are dead only if one of them is.

For up to two hidden layers the bounds are one number. The plainer upper bound 1 - (1 - q)^H is weaker. Compare Lu,
Shin, Su and Karniadakis 2020.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Generator, Tensor

DOMAIN = sqrt(3)  # inputs lie in [-DOMAIN, DOMAIN], where a uniform one has variance 1
CHUNK = 20_000  # nets at a time: their weights stay in the cache


class Bounds(NamedTuple):
    """Between which the probability of a constant output lies."""

    lower: float
    upper: float


def bounds(width: int, depth: int) -> Bounds:
    """For `depth` affine layers, of which the last is the output, and hidden layers of `width` units."""
    q = 0.5**width
    D, least, most = 0.0, 0.0, 0.0
    for _ in range(depth - 2):
        least = q**2 + 2 * (q - q**2) * D + (1 - 2 * q + q**2) * least
        most = q**2 + (1 - q**2) * D  # 2 (q - q²) D + (1 - 2q + q²) V with V = D
        D = q + (1 - q) * D
    return Bounds(*(2 * q * D + (1 - 2 * q) * V for V in (least, most)))


def deaths(width: int, hidden: int, nets: int, stream: Generator) -> Tensor:
    """Of random nets without biases, how many have both rays dead after each hidden layer: [hidden], He-normal weights.

    A net of fewer layers is the beginning of a deeper one, so one sample serves all depths.
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
    """The share of the domain on which random nets have a slope, [biases, nets]: the same weights for each bias.

    Slopes are exact at 257 equidistant points; a live interval between two of them is not seen.
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
