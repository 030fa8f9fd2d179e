"""Elementwise activations a = f(z) with their derivatives f'(z), on tensors [R, B, U].

| name | f(z) | f'(z) from (z, a) | sup of abs(f') |
|---|---|---|---|
| identity | z | 1 | 1 |
| sigmoid | 1 / (1 + exp(-z)) | a (1 - a) | 1/4 |
| tanh | tanh z | 1 - a² | 1 |
| relu | max(0, z) | 1 if z > 0 else 0 | 1 |
| softplus | ln(1 + exp z) | 1 / (1 + exp(-z)) | 1 |

Source: the lecture's slides "Activation Functions", "ReLU and Generalizations" and "ReLU vs. Softplus".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

import torch
from torch.nn.functional import softplus as torch_softplus

from workbench.axes import Units

Forward = Callable[[Units], Units]
Derivative = Callable[[Units, Units], Units]

SOFTPLUS_IS_LINEAR_ABOVE = 40.0  # there ln(1 + exp z) rounds to z; torch's own 20 would be off by 2e-9 in float64


@dataclass(frozen=True)
class Activation:
    """A pair of pure elementwise functions.

    `derivative(z, a)` returns a fresh tensor, which the caller may overwrite. `bounds` is the closure of f's range,
    `max_slope` the supremum of abs(f'). `kinks` are the z where f' jumps; there f' takes its limit from the left.
    """

    forward: Forward
    derivative: Derivative
    bounds: tuple[float, float]
    max_slope: float = 1.0
    kinks: tuple[float, ...] = ()


def identity() -> Activation:
    """f(z) = z."""
    return Activation(torch.clone, lambda z, a: torch.ones_like(z), (-inf, inf))


def sigmoid() -> Activation:
    """The logistic function; f' = a - a²."""
    return Activation(torch.sigmoid, lambda z, a: torch.addcmul(a, a, a, value=-1), (0.0, 1.0), max_slope=0.25)


def tanh() -> Activation:
    """The hyperbolic tangent; f' = 1 - a²."""
    return Activation(torch.tanh, lambda z, a: a.square().neg_().add_(1), (-1.0, 1.0))


def relu() -> Activation:
    """f(z) = max(0, z); f'(0) = 0. The sign of a ≥ 0 is that step function, in one pass."""
    return Activation(torch.relu, lambda z, a: a.sign(), (0.0, inf), kinks=(0.0,))


def softplus() -> Activation:
    """f(z) = ln(1 + exp z); f' is the logistic function."""
    forward = partial(torch_softplus, threshold=SOFTPLUS_IS_LINEAR_ABOVE)
    return Activation(forward, lambda z, a: torch.sigmoid(z), (0.0, inf))
