"""Decisions of a perceptron and a logistic neuron from the same z = w·x + b, compared number by number.

In real numbers σ rises and σ(0) = ½, so σ(z) > ½ exactly where z > 0 (the lecture's "Perceptron vs. Logistic Neuron"),
and the unit step, 1 from z = 0 on, differs only at z = 0. In floating point σ(z) = 1 / (1 + exp(-z)) is ½ also in a
band of positive z, up to ¾ eps where exp is rounded correctly, for float32 and float64 (eps is the distance from 1 to
the next number):

    z ≤ ¾ eps: exp(-z) rounds to 1 - eps/2 at least, as below 1 numbers are eps/2 apart and exp(-z) > 1 - ¾ eps;
    1 + exp(-z) then is 2 - eps/2 at least, halfway between 2 - eps and 2, and a tie is rounded to the even 2.
    z > ¾ eps: exp(-z) rounds to 1 - eps at most, and 1 / (2 - eps) > ½ + eps/4 rounds up.

An exp that errs by two units in the last place moves that edge, to 2 eps at most; bisection finds it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.nn.activations import sigmoid, unit_step
from workbench.nn.layers.dense import Dense

BITS = {torch.float32: torch.int32, torch.float64: torch.int64}  # as these integers, positive numbers keep their order
STEP, LOGISTIC = unit_step(), sigmoid()
CHUNK = 2**18
ROUNDING = 1e-12  # of a mean over examples: smaller differences of costs do not count


class Band(NamedTuple):
    """Band of z: σ(z) ≤ ½ for 0 < z ≤ `sure`, and σ(z) > ½ for z > `most`; in between it depends on the code path."""

    sure: float
    most: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of the unit step with σ > ½ on `checked` numbers z.

    They must differ at z = 0 (`tie`) and in the `band`, and agree elsewhere: `unexpected` counts violations, and
    `example` is the first such z.
    """

    checked: int = 0
    tie: int = 0
    band: int = 0
    unexpected: int = 0
    example: float | None = None

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(
            self.checked + other.checked,
            self.tie + other.tie,
            self.band + other.band,
            self.unexpected + other.unexpected,
            other.example if self.example is None else self.example,
        )


def perceptron_decides(z: Tensor) -> Tensor:
    """Decide by the package's unit step: whether it is 1."""
    return STEP.forward(z) == 1


def logistic_decides(z: Tensor) -> Tensor:
    """Decide by the package's logistic function: whether it is above ½."""
    return LOGISTIC.forward(z) > 0.5


def find_band(dtype: torch.dtype) -> Band:
    """Find the band by bisection over all positive floating-point numbers up to 2 eps.

    Twice, as torch computes single numbers and rows of numbers by different code.
    """
    edges = [_edge(dtype, width) for width in (1, 64)]
    return Band(min(edges), max(edges))


def _edge(dtype: torch.dtype, width: int) -> float:
    """Find the largest z whose computed σ(z) is not above ½, in a row of `width` equal numbers."""
    low, high = 0, int(torch.tensor([2 * torch.finfo(dtype).eps], dtype=dtype).view(BITS[dtype]))
    while high - low > 1:
        middle = (low + high) // 2
        one = bool(logistic_decides(_numbers(middle, middle + 1, dtype).expand(width).clone()).all())
        low, high = (low, middle) if one else (middle, high)
    return float(_numbers(low, low + 1, dtype))


def compare(z: Tensor, band: Band | None) -> Comparison:
    """Compare both decisions on numbers z of any shape; without a `band` no difference is expected, even at 0."""
    differ = perceptron_decides(z) != logistic_decides(z)
    tie, positive = z == 0, z > 0
    if band is None:
        wrong = differ
    else:
        must, may = tie | (positive & (z <= band.sure)), tie | (positive & (z <= band.most))
        wrong = (must & ~differ) | (differ & ~may)
    example = float(z[wrong][0]) if wrong.any() else None
    return Comparison(z.numel(), int((differ & tie).sum()), int((differ & positive).sum()), int(wrong.sum()), example)


def total(numbers: Iterable[Tensor], band: Band) -> Comparison:
    """Compare both decisions on several tensors, and add the results."""
    return sum((compare(z, band) for z in numbers), Comparison())


def tie_contradicts() -> bool:
    """Whether the unit step is 1 at z = 0, where the rule z > 0 gives 0."""
    zero = torch.zeros(1)
    return bool(perceptron_decides(zero) & ~(zero > 0))


def random_neurons(
    rng: np.random.Generator, dtype: torch.dtype, count: int = 1000, inputs: int = 10
) -> Iterator[Tensor]:
    """Yield z [R, B, 1] of `count` random neurons on as many random examples each, by the package's affine layer.

    First for normal weights and inputs, then for integers from -2 to 2, whose products often cancel to a tie.
    """
    layer = Dense("l1", inputs, 1)
    for draw in (rng.standard_normal, lambda shape: rng.integers(-2, 3, shape)):
        W, b, x = (
            torch.as_tensor(draw(shape)).to(dtype) for shape in ((count, 1, inputs), (count, 1), (count, inputs))
        )
        yield layer.forward({"l1.W": W, "l1.b": b}, x.expand(count, count, inputs))[0]


def adversarial(dtype: torch.dtype, edge: float, count: int = 500_000) -> Iterator[Tensor]:
    """Yield a log grid over all finite numbers, and all numbers next to 0 and to `edge`, each with both signs."""
    place = int(torch.tensor([edge], dtype=dtype).view(BITS[dtype]))
    ends = int(torch.tensor([torch.inf], dtype=dtype).view(BITS[dtype]))
    for start, stop, stride in ((0, ends, ends // count), (0, count, 1), (max(0, place - count), place + count, 1)):
        z = _numbers(start, stop, dtype, stride)
        yield torch.cat([z, -z])


def every_float32() -> Iterator[Tensor]:
    """Yield all finite float32 numbers, both signs, in chunks."""
    ends = int(torch.tensor([torch.inf]).view(torch.int32))
    for start in range(0, ends, CHUNK):
        z = _numbers(start, min(start + CHUNK, ends), torch.float32)
        yield z
        yield -z


def costs(z: Tensor, ones: Tensor, thresholds: Tensor, cost_fp: float, cost_fn: float) -> Tensor:
    """Compute the mean cost [R, T] of deciding z > threshold, z [R, B], thresholds [T] or [R, T].

    `ones` [R, B] is the share of ones behind each example: its label, or a probability for the expected cost.
    """
    decides = (z.unsqueeze(2) > thresholds.expand(len(z), -1).unsqueeze(1)).to(z.dtype)
    y = ones.unsqueeze(2)
    return (cost_fp * decides * (1 - y) + cost_fn * (1 - decides) * y).mean(1)


def by_ratio(z: Tensor, ones: Tensor, thresholds: Tensor, ratio: Fraction) -> Tensor:
    """Compute `costs` where a false positive costs `ratio` times as much as a false negative, and both together 2."""
    r = float(ratio)
    return costs(z, ones, thresholds, 2 * r / (1 + r), 2 / (1 + r))


def every_decision(z: Tensor) -> Tensor:
    """Return thresholds [R, B + 1] for every possible decision on z [R, B]: below all, between neighbors, above all."""
    ends = torch.full_like(z[:, :1], torch.inf)
    z = z.sort(1).values
    return torch.cat([-ends, (z[:, 1:] + z[:, :-1]) / 2, ends], 1)


def cheaper(z: Tensor, threshold: float, ratio: Fraction) -> tuple[int, int]:
    """Count alternative thresholds, and those with a smaller expected cost by σ(z) than `threshold`; z is [R, B]."""
    here, others = z.new_tensor([threshold]), every_decision(z)
    expected, other = (by_ratio(z, z.sigmoid(), thresholds, ratio) for thresholds in (here, others))
    return other.numel(), int((other < expected - ROUNDING).sum())


def rounded_excess(units: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute (σ(z) - ½)/eps at z = `units` · eps in this dtype; in real numbers it is `units`/4."""
    eps = torch.finfo(dtype).eps
    return (LOGISTIC.forward((units * eps).to(dtype)).double() - 0.5) / eps


def _numbers(start: int, stop: int, dtype: torch.dtype, stride: int = 1) -> Tensor:
    """Return positive numbers by their index in the order of all, 0 being the first."""
    places = torch.arange(-(-(stop - start) // stride), dtype=BITS[dtype])  # arange itself adds beyond 2⁶³
    return (start + stride * places).view(dtype)
