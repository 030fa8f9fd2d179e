"""Initial weights W [O, I] and biases b [O] of one replica: unit noise times a scale.

| name | noise | std of a weight | source |
|---|---|---|---|
| constant_weights | none | 0, every weight is `value` | the symmetry that random weights must break |
| normal | normal | gain·std | Krizhevsky et al. 2012 with std = 0.01 |
| uniform_fan_in | uniform | gain·1/√(3·fan_in), i.e. U(±gain/√fan_in) | Glorot and Bengio 2010, eq. 1 |
| glorot | uniform | gain·√(2/(fan_in + fan_out)) | Glorot and Bengio 2010, eq. 16 |
| glorot_normal | normal | gain·√(2/(fan_in + fan_out)) | the same variance |
| he | normal | gain·√(2/fan_in) | He et al. 2015, eq. 10 |
| lecun | normal | gain·√(1/fan_in) | LeCun et al. 1998, eq. 16 |
| orthogonal | Haar | gain/√max(fan_in, fan_out) | Saxe et al. 2014 |
| lsuv | Haar | then 1/std of each layer's z on a batch | Mishkin and Matas 2016, algorithm 1 |
| rai | normal | 0.6007/√fan_in, one number of each unit Beta(2, 1) | Lu et al. 2020, algorithm 1 |

The noise is drawn in float64 and scaled afterwards: schemes of one kind of noise share their draws for one seed, and
float32 weights are the rounded float64 weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from workbench.core.axes import NonNegative, Positive

Noise = Callable[[Generator, tuple[int, int]], Tensor]
Weights = Float64[Tensor, "O I"]
Biases = Float64[Tensor, " O"]

RAI_STD = 0.6007


def normal_noise(stream: Generator, shape: tuple[int, int]) -> Tensor:
    """Draw from N(0, 1)."""
    return torch.randn(shape, generator=stream, dtype=torch.float64)


def uniform_noise(stream: Generator, shape: tuple[int, int]) -> Tensor:
    """Draw uniformly from ±√3: mean 0, variance 1."""
    return torch.rand(shape, generator=stream, dtype=torch.float64).sub_(0.5).mul_(sqrt(12))


def orthogonal_noise(stream: Generator, shape: tuple[int, int]) -> Tensor:
    """Draw √max(shape) times a Haar-distributed matrix with orthonormal rows or columns; entries have variance 1."""
    tall = (max(shape), min(shape))
    q, r = torch.linalg.qr(torch.randn(tall, generator=stream, dtype=torch.float64))
    haar: Tensor = q * r.diagonal().sign() * sqrt(tall[0])  # QR's q alone is not Haar-distributed
    return haar if shape == tall else haar.T.contiguous()


@dataclass(frozen=True)
class Initializer:
    """A kind of unit noise and the standard deviation it is scaled to.

    `joint` redraws some numbers of W and b together. With `unit_variance`, each layer's z is scaled to variance 1 on a
    batch of the replica's training data. With `is_constant`, the noise is a constant.
    """

    noise: Noise
    std: Callable[[int, int], float]
    joint: Callable[[Generator, Weights, Biases], None] | None = None
    unit_variance: bool = False
    is_constant: bool = False

    @property
    def is_random(self) -> bool:
        """Whether weights are drawn independently with mean 0 and variance std², as theories of wide nets assume."""
        return not (self.joint or self.unit_variance or self.is_constant)

    def sample(self, stream: Generator, rows: int, columns: int, fan_out: int | None = None) -> Weights:
        """Draw W [rows, columns] of one replica, with Var W_ij = std(fan_in, fan_out)².

        The fans are the matrix's columns and rows, but `fan_out` where a weight serves several positions, as in a
        convolution.
        """
        return self.noise(stream, (rows, columns)).mul_(self.std(columns, rows if fan_out is None else fan_out))


@dataclass(frozen=True)
class BiasInitializer:
    """Initial biases `value`, plus uniform noise on ±spread/√fan_in."""

    value: float
    spread: float = 0.0

    def sample(self, stream: Generator, fan_out: int, fan_in: int = 1) -> Biases:
        """Draw b [fan_out] of one replica."""
        b = torch.full((fan_out,), self.value, dtype=torch.float64)
        if self.spread:
            b += (
                torch.rand(fan_out, generator=stream, dtype=torch.float64)
                .sub_(0.5)
                .mul_(2 * self.spread / sqrt(fan_in))
            )
        return b


@dataclass(frozen=True)
class Scheme:
    """Initialization of one replica: of its weights and biases, and its activation's constants."""

    weights: Initializer
    bias: BiasInitializer
    constants: Mapping[str, float] = field(default_factory=dict)

    def sample(
        self, for_weights: Generator, for_bias: Generator, rows: int, columns: int, fan_out: int | None = None
    ) -> tuple[Weights, Biases]:
        """Draw W [rows, columns] and b [rows] of one layer, with the fans of `Initializer.sample`."""
        W = self.weights.sample(for_weights, rows, columns, fan_out)
        b = self.bias.sample(for_bias, rows, columns)
        if self.weights.joint:
            self.weights.joint(for_weights, W, b)
        return W, b


def constant_weights(value: float = 0.0) -> Initializer:
    """W_ij = value: gradients then keep the units of a layer equal."""
    return Initializer(
        lambda stream, shape: torch.full(shape, value, dtype=torch.float64),
        lambda fan_in, fan_out: 1.0,
        is_constant=True,
    )


def normal(std: NonNegative = 0.01, gain: Positive = 1.0) -> Initializer:
    """N(0, (gain·std)²), whatever the layer's size."""
    return Initializer(normal_noise, lambda fan_in, fan_out: gain * std)


def uniform_fan_in(gain: Positive = 1.0) -> Initializer:
    """U(±gain/√fan_in), the standard scheme before Glorot and Bengio 2010."""
    return Initializer(uniform_noise, lambda fan_in, fan_out: gain / sqrt(3 * fan_in))


def glorot(gain: Positive = 1.0) -> Initializer:
    """U(±gain·√(6/(fan_in + fan_out))), the normalized scheme."""
    return Initializer(uniform_noise, _glorot_std(gain))


def glorot_normal(gain: Positive = 1.0) -> Initializer:
    """N(0, gain²·2/(fan_in + fan_out)): glorot's variance with normal noise."""
    return Initializer(normal_noise, _glorot_std(gain))


def _glorot_std(gain: float) -> Callable[[int, int], float]:
    return lambda fan_in, fan_out: gain * sqrt(2 / (fan_in + fan_out))


def he(gain: Positive = 1.0) -> Initializer:
    """N(0, gain²·2/fan_in): keeps the second moment of relu layers."""
    return Initializer(normal_noise, lambda fan_in, fan_out: gain * sqrt(2 / fan_in))


def lecun(gain: Positive = 1.0) -> Initializer:
    """N(0, gain²/fan_in): keeps the variance of linear layers."""
    return Initializer(normal_noise, lambda fan_in, fan_out: gain * sqrt(1 / fan_in))


def orthogonal(gain: Positive = 1.0) -> Initializer:
    """A random orthogonal matrix (or its rows or columns) times gain: all singular values are gain."""
    return Initializer(orthogonal_noise, lambda fan_in, fan_out: gain / sqrt(max(fan_in, fan_out)))


def lsuv() -> Initializer:
    """Layer-sequential unit variance: orthogonal, then each layer scaled until its z has variance 1 on a batch."""
    return Initializer(orthogonal_noise, lambda fan_in, fan_out: 1 / sqrt(max(fan_in, fan_out)), unit_variance=True)


def rai() -> Initializer:
    """Randomized asymmetric initialization against dying relu: one number of each unit's (W, b) is Beta(2, 1) > 0.

    The others are N(0, 0.6007²/fan_in). Biases add to those of the option ``bias``.
    """
    return Initializer(normal_noise, lambda fan_in, fan_out: RAI_STD / sqrt(fan_in), joint=_asymmetric)


def _asymmetric(stream: Generator, W: Weights, b: Biases) -> None:
    """Add noise to b and replace one number of each row of (W, b); the square root of a uniform draw is Beta(2, 1)."""
    fan_out, fan_in = W.shape
    b += normal_noise(stream, (fan_out, 1)).squeeze(1).mul_(RAI_STD / sqrt(fan_in))
    column = torch.randint(fan_in + 1, (fan_out,), generator=stream)
    positive = torch.rand(fan_out, generator=stream, dtype=torch.float64).sqrt_()
    rows = torch.arange(fan_out)
    in_bias = column == fan_in
    W[rows[~in_bias], column[~in_bias]] = positive[~in_bias]
    b[in_bias] = positive[in_bias]


def constant(value: float = 0.0) -> BiasInitializer:
    """b_i = value; the lecture advises 0.1 for relu ("ReLU vs. Sigmoid and Tanh")."""
    return BiasInitializer(value)


def uniform_bias(gain: Positive = 1.0) -> BiasInitializer:
    """U(±gain/√fan_in), torch's own default for affine layers."""
    return BiasInitializer(0.0, gain)
