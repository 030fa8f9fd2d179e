"""Initial weights W [O, I] and biases b [O] of one replica: unit noise times a scale.

| name | noise | std of a weight | source |
|---|---|---|---|
| normal | normal | gain·std | Krizhevsky et al. 2012 with std = 0.01 |
| uniform_fan_in | uniform | gain·1/√(3·fan_in), i.e. U(±gain/√fan_in) | Glorot and Bengio 2010, eq. 1 |
| glorot | uniform | gain·√(2/(fan_in + fan_out)) | Glorot and Bengio 2010, eq. 16 |
| he | normal | gain·√(2/fan_in) | He et al. 2015, eq. 10 |

The noise is drawn in float64 and scaled afterwards: schemes of one kind of noise share their draws for one seed, and
float32 weights are the rounded float64 weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from workbench.axes import NonNegative, Positive


def normal_noise(stream: Generator, shape: tuple[int, ...]) -> Tensor:
    """Standard normal draws."""
    return torch.randn(shape, generator=stream, dtype=torch.float64)


def uniform_noise(stream: Generator, shape: tuple[int, ...]) -> Tensor:
    """Uniform draws on ±√3, which have mean 0 and variance 1."""
    return torch.rand(shape, generator=stream, dtype=torch.float64).sub_(0.5).mul_(sqrt(12))


@dataclass(frozen=True)
class Initializer:
    """A kind of unit noise and the standard deviation it is scaled to."""

    noise: Callable[[Generator, tuple[int, ...]], Tensor]
    std: Callable[[int, int], float]

    def sample(self, stream: Generator, fan_out: int, fan_in: int) -> Float64[Tensor, "O I"]:
        """One replica's W, with Var W_ij = std(fan_in, fan_out)²."""
        return self.noise(stream, (fan_out, fan_in)).mul_(self.std(fan_in, fan_out))


@dataclass(frozen=True)
class BiasInitializer:
    """Initial biases: the same value for every unit."""

    value: float

    def sample(self, stream: Generator, fan_out: int) -> Float64[Tensor, " O"]:
        """One replica's b."""
        return torch.full((fan_out,), self.value, dtype=torch.float64)


@dataclass(frozen=True)
class Scheme:
    """How one replica starts: its weights' initializer and its biases'."""

    weights: Initializer
    bias: BiasInitializer


def normal(std: NonNegative = 0.01, gain: Positive = 1.0) -> Initializer:
    """N(0, (gain·std)²), whatever the layer's size."""
    return Initializer(normal_noise, lambda fan_in, fan_out: gain * std)


def uniform_fan_in(gain: Positive = 1.0) -> Initializer:
    """U(±gain/√fan_in), the standard scheme before 2010."""
    return Initializer(uniform_noise, lambda fan_in, fan_out: gain / sqrt(3 * fan_in))


def glorot(gain: Positive = 1.0) -> Initializer:
    """U(±gain·√(6/(fan_in + fan_out))), the normalized scheme."""
    return Initializer(uniform_noise, lambda fan_in, fan_out: gain * sqrt(2 / (fan_in + fan_out)))


def he(gain: Positive = 1.0) -> Initializer:
    """N(0, gain²·2/fan_in): keeps the second moment of relu layers."""
    return Initializer(normal_noise, lambda fan_in, fan_out: gain * sqrt(2 / fan_in))


def constant(value: float = 0.0) -> BiasInitializer:
    """b_i = value; the lecture advises 0.1 for relu ("ReLU vs. Sigmoid and Tanh")."""
    return BiasInitializer(value)
