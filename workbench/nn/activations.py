"""Elementwise activations a = f(z) with their derivatives f'(z), on tensors [R, B, U].

| name | f(z) | f'(z) | sup of abs(f') | kinks: side whose f' is taken |
|---|---|---|---|---|
| identity | z | 1 | 1 | |
| unit_step | 1 if z ≥ 0 else 0 | 0 | 0 | 0: f itself jumps |
| sigmoid | σ(z) = 1 / (1 + exp(-z)) | a (1 - a) | 1/4 | |
| scaled_sigmoid | 4 slope (σ(z) - ½) + offset | slope (1 - tanh²(z/2)) | slope | |
| tanh | tanh z | 1 - a² | 1 | |
| hard_tanh | z cut to [-1, 1] | 1 inside, 0 outside | 1 | -1: left, 1: right |
| softsign | z / (1 + abs z) | (1 - abs a)² | 1 | |
| relu | max(0, z) | 1 if z > 0 else 0 | 1 | 0: left |
| leaky_relu | max(0, z) + slope min(0, z) | 1 if z > 0 else slope | 1 | 0: left |
| absolute | abs z | sign z | 1 | 0: the mean of both |
| softplus | ln(1 + exp(beta (z - shift))) / beta - drop | σ(beta (z - shift)) | 1 | |
| elu | z if z > 0 else alpha (exp z - 1) | 1 if z > 0 else a + alpha | max(1, alpha) | 0: left |
| selu | 1.0507 · elu(z, 1.6733) | its derivative | 1.7581 | 0: left |
| gelu | z Φ(z), Φ the normal distribution | Φ(z) + z φ(z) | 1.1289 | |
| silu | z σ(z) | σ(z) (1 + z (1 - σ(z))) | 1.0998 | |
| bump | exp(-z²) | -2 z a | √(2/e) | |
| monomial | z^degree | degree z^(degree - 1) | ∞ | |

Sources: the lecture's "Activation Functions", "ReLU and Generalizations", "ReLU vs. Softplus"; softsign: Glorot and
Bengio 2010; elu: Clevert et al. 2016; selu: Klambauer et al. 2017; gelu: Hendrycks and Gimpel 2016; silu: Elfwing
et al. 2018; scaled_sigmoid: Xu, Huang and Li 2016 (4σ - 2), with 4σ - 1, σ - ½ and σ as its other corners.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import e, erf, exp, inf, pi, sqrt
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from workbench.core.axes import PER_REPLICA, Positive, PositiveInt, Units
from workbench.nn.elementwise import log_one_plus_exp, logistic, power

Forward = Callable[..., Units]
Derivative = Callable[..., Units]
Side = Literal["left", "right", "mean"]
LeakySlope = Annotated[float, PER_REPLICA, Interval(ge=-1, le=1)]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
GELU_MAX_SLOPE, GELU_MINIMUM = (1 + erf(1)) / 2 + exp(-1) / sqrt(pi), -0.1699712074799037  # the first at z = √2
SILU_MAX_SLOPE, SILU_MINIMUM = 1.0998393201288669, -0.2784645427610738  # found numerically


@dataclass(frozen=True)
class Activation:
    """A pair of pure elementwise functions, `forward` and `derivative`.

    `constants` can differ between replicas: both functions take them after their other arguments, in this order, as
    tensors that broadcast over [R, B, U]. `derivative(z, a, ...)` returns a fresh tensor, which the caller may
    overwrite. `bounds` is the closure of f's range, `max_slope` the supremum of abs(f'). `kinks` maps each z where f'
    jumps to the side whose limit f' takes there; at `bends` only f'' jumps. With `all_or_none`, f' takes only the
    values 0 and `max_slope`. `logs` computes ln f and ln(1 - f) of a logistic function, also where f rounds to 0 or 1.
    """

    forward: Forward
    derivative: Derivative
    bounds: tuple[float, float]
    max_slope: float = 1.0
    kinks: Mapping[float, Side] = field(default_factory=dict)
    bends: tuple[float, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    all_or_none: bool = False
    logs: Callable[[Units], tuple[Units, Units]] | None = None


IDENTITY = Activation(torch.clone, lambda z, a: torch.ones_like(z), (-inf, inf), all_or_none=True)


def identity() -> Activation:
    """f(z) = z."""
    return IDENTITY


def unit_step() -> Activation:
    """The perceptron's f, 1 from z = 0 on; f' = 0 everywhere, so that no gradient passes."""
    return Activation(
        lambda z: z.clone().ge_(0), lambda z, a: torch.zeros_like(z), (0.0, 1.0), max_slope=0.0, kinks={0.0: "left"}
    )


def sigmoid() -> Activation:
    """The logistic function; f' = a - a²."""
    return Activation(
        logistic,
        lambda z, a: torch.addcmul(a, a, a, value=-1),
        (0.0, 1.0),
        max_slope=0.25,
        logs=lambda z: (-log_one_plus_exp(-z), -log_one_plus_exp(z)),
    )


def scaled_sigmoid(slope: Positive = 1.0, offset: float = 0.0) -> Activation:
    """The logistic function with f'(0) = slope and f(0) = offset: slope 1 and offset 0 are 4σ - 2."""

    reach = 2 * slope
    return Activation(
        lambda z: torch.tanh(z / 2) * reach + offset,  # σ(z) - ½ would cancel near 0
        lambda z, a: torch.tanh(z / 2).square_().neg_().add_(1).mul_(slope),
        (offset - reach, offset + reach),
        max_slope=slope,
    )


def tanh() -> Activation:
    """The hyperbolic tangent; f' = 1 - a²."""
    return Activation(torch.tanh, lambda z, a: a.square().neg_().add_(1), (-1.0, 1.0))


def hard_tanh() -> Activation:
    """z cut to [-1, 1]; f' = 0 at ±1."""
    return Activation(
        lambda z: z.clamp(-1, 1),
        lambda z, a: a.abs().lt_(1),
        (-1.0, 1.0),
        kinks={-1.0: "left", 1.0: "right"},
        all_or_none=True,
    )


def softsign() -> Activation:
    """f(z) = z / (1 + abs z); f' = 1 / (1 + abs z)², computed from z: 1 - abs a would cancel for large z."""
    return Activation(
        lambda z: z / (1 + z.abs()), lambda z, a: z.abs().add_(1).reciprocal_().square_(), (-1.0, 1.0), bends=(0.0,)
    )


def relu() -> Activation:
    """f(z) = max(0, z); f'(0) = 0. As a ≥ 0, sign(a) computes f' in one pass."""
    return Activation(torch.relu, lambda z, a: a.sign(), (0.0, inf), kinks={0.0: "left"}, all_or_none=True)


def leaky_relu(slope: LeakySlope = 0.01) -> Activation:
    """f(z) = max(0, z) + slope · min(0, z); the slope can differ between replicas."""

    def derivative(z: Tensor, a: Tensor, slope: Tensor | float) -> Tensor:
        above = z.clamp(min=0).sign_()  # a number, 1 or 0: choosing by booleans is several times slower
        return (1 - above).mul_(slope).add_(above)

    return Activation(
        lambda z, slope: torch.maximum(z, slope * z),
        derivative,
        (-inf, inf),
        kinks={0.0: "left"},
        constants={"slope": slope},
    )


def absolute() -> Activation:
    """f(z) = abs z, the "absolute value ReLU"; f'(0) = 0."""
    return Activation(torch.abs, lambda z, a: z.sign(), (0.0, inf), kinks={0.0: "mean"})


def softplus(beta: Positive = 1.0, shift: float = 0.0, drop: float = 0.0) -> Activation:
    """f(z) = ln(1 + exp(beta (z - shift))) / beta - drop; f' is a logistic function. drop = ln 2 gives f(0) = 0."""

    def forward(z: Tensor) -> Tensor:
        a = log_one_plus_exp(scaled(z))
        a = a if beta == 1 else a / beta
        return a - drop if drop else a

    def scaled(z: Tensor) -> Tensor:
        centered = z - shift if shift else z
        return centered if beta == 1 else centered * beta

    return Activation(forward, lambda z, a: logistic(scaled(z)), (-drop, inf))


def _elu(alpha: float, scale: float) -> Activation:
    """scale · elu, by expm1, which is exact near 0, and with f' from exp z, as a + alpha would cancel for z « 0."""
    return Activation(
        lambda z: torch.where(z > 0, z, torch.expm1(z.clamp(max=0)) * alpha).mul_(scale),
        lambda z, a: torch.where(z > 0, torch.full_like(a, scale), torch.exp(z.clamp(max=0)) * (scale * alpha)),
        (-scale * alpha, inf),
        max_slope=scale * max(1.0, alpha),
        kinks={} if alpha == 1 else {0.0: "left"},
        bends=(0.0,),
    )


def elu(alpha: Positive = 1.0) -> Activation:
    """f(z) = z for z > 0, else alpha (exp z - 1); without a kink for alpha = 1."""
    return _elu(alpha, 1.0)


def selu() -> Activation:
    """An elu scaled so that mean 0 and variance 1 are a fixed point of deep nets with lecun initialization."""
    return _elu(SELU_ALPHA, SELU_SCALE)


def gelu() -> Activation:
    """f(z) = z Φ(z), exactly (no tanh approximation)."""

    def derivative(z: Units, a: Units) -> Units:
        density = z.square().mul_(-0.5).exp_().mul_(1 / sqrt(2 * pi))
        return torch.addcmul(torch.special.ndtr(z), z, density)

    return Activation(lambda z: z * torch.special.ndtr(z), derivative, (GELU_MINIMUM, inf), max_slope=GELU_MAX_SLOPE)


def silu() -> Activation:
    """f(z) = z σ(z), also called swish."""

    def derivative(z: Units, a: Units) -> Units:
        s = logistic(z)
        return torch.addcmul(s, a, 1 - s)

    return Activation(lambda z: z * logistic(z), derivative, (SILU_MINIMUM, inf), max_slope=SILU_MAX_SLOPE)


def bump() -> Activation:
    """f(z) = exp(-z²): bounded and not monotone, for claims about universal approximation."""
    return Activation(
        lambda z: z.square().neg_().exp_(), lambda z, a: torch.mul(z, a).mul_(-2), (0.0, 1.0), max_slope=sqrt(2 / e)
    )


def monomial(degree: PositiveInt = 2) -> Activation:
    """f(z) = z^degree: a net of these computes a polynomial, which approximates no better with more units."""
    return Activation(
        lambda z: power(z, degree),
        lambda z, a: power(z, degree - 1).mul_(degree),
        (-inf if degree % 2 else 0.0, inf),
        max_slope=1.0 if degree == 1 else inf,
    )
