"""Means over z ~ N(mean, variance) of functions of z, to about ten digits, also of functions with kinks.

The range of t = (z - mean)/√variance from -12 to 12 is cut into intervals, at fixed t, at fixed z and at kinks, so that
functions are smooth within each. Each interval is integrated by Gauss-Legendre quadrature.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi, sqrt

import torch
from torch import Tensor

NODES = 12
REACH = 12.0  # beyond it the density is below 1e-31
IN_T = (-REACH, -8.0, -5.0, -2.5, 0.0, 2.5, 5.0, 8.0, REACH)
IN_Z = (-16.0, -6.0, -2.0, -0.5, 0.5, 2.0, 6.0, 16.0)


@lru_cache(maxsize=1)
def legendre() -> tuple[Tensor, Tensor]:
    """Compute nodes and weights on [-1, 1] from the eigenvalues of the recurrence's matrix (Golub and Welsch 1969)."""
    number = torch.arange(1, NODES, dtype=torch.float64)
    beside = number / (4 * number.square() - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes, 2 * vectors[0].square()


def normal_mean(
    functions: Callable[[Tensor], Sequence[Tensor]], mean: Tensor, variance: Tensor, kinks: Sequence[float] = ()
) -> list[Tensor]:
    """Compute E f(z) for each function f; `mean` and `variance` are float64 tensors of one shape, as are the results.

    `functions` maps z, with an additional last axis for the nodes, to the values f(z) of each function.
    """
    deviation = variance.clamp(min=1e-300).sqrt().unsqueeze(-1)
    center = mean.unsqueeze(-1)
    in_z = torch.tensor(sorted({*IN_Z, *kinks}), dtype=torch.float64, device=mean.device)
    in_t = torch.tensor(IN_T, dtype=torch.float64, device=mean.device).expand(*mean.shape, -1)
    cuts = torch.cat([in_t, ((in_z - center) / deviation).clamp(-REACH, REACH)], -1).sort(-1).values
    nodes, weights = (values.to(mean.device) for values in legendre())
    half = (cuts[..., 1:] - cuts[..., :-1]).unsqueeze(-1) / 2
    t = ((cuts[..., 1:] + cuts[..., :-1]).unsqueeze(-1) / 2 + half * nodes).flatten(-2)
    density = (t.square() * -0.5).exp_() * ((half * weights).flatten(-2) / sqrt(2 * pi))
    return [(values * density).sum(-1) for values in functions(center + deviation * t)]
