"""Compare formulas for the gradient on random nets: with references, with each other, and over the step h."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.lecture.misprints import Formula
from workbench.nn.activations import sigmoid
from workbench.nn.params import Params

from . import random_problems
from .random_problems import Problem

EXPONENTS = tuple(-half / 2 for half in range(2, 21))
STEPS = tuple(10.0**exponent for exponent in EXPONENTS)
SMOOTH = ("sigmoid", "tanh", "softplus")
Array = NDArray[np.float64]
Lecture = Callable[[Problem], Params]


def problems(rng: np.random.Generator, nets: int, **where: Any) -> Iterator[Problem]:
    """Draw random nets, a problem of `nets` for each shape; `where` selects shapes, as in `random_problems.shapes`."""
    return (random_problems.problem(rng, shape, nets) for shape in random_problems.shapes(rng, **where))


def from_autograd(given: Problem, by: Lecture) -> Tensor:
    """Compute the error [R] of every net against automatic differentiation."""
    return random_problems.errors(by(given), given.reference())


def from_double_precision(given: Problem, by: Lecture) -> Tensor:
    """Compute the error [R] of float32 nets against automatic differentiation of the same numbers in float64."""
    found = by(given)
    return random_problems.errors(found.with_flat(found.flat.double()), given.double().reference())


def from_differences(given: Problem, by: Lecture, step: float = 1e-5, tolerance: float = 1e-7) -> Tensor:
    """Compute the error [R] against central differences, without kinks in between and down to J's resolution."""
    least = random_problems.resolution(given, step, tolerance)
    return random_problems.errors(by(given), *random_problems.differences(given, step), least)


def errors(several: Iterable[Problem], error: Callable[..., Tensor], *by: object) -> tuple[list[float], str]:
    """Return error(problem, *by) of all nets, and the shape of the worst of them."""
    found: list[float] = []
    worst, example = 0.0, ""
    for one in several:
        found += error(one, *by).tolist()
        if max(found) > worst:
            worst = max(found)
            example = f"{one.shape}: {worst:.2g}"
    return found, example


def apart(given: Problem, one: Formula, other: Formula) -> Tensor:
    """Compute the difference of two forms on every net, [R], relative to the gradient, or absolute for small ones."""
    return random_problems.errors(
        random_problems.gradient(given, one), random_problems.gradient(given, other), least=1.0
    )


@dataclass(frozen=True)
class Curves:
    """Logarithms to base 10 of the errors of central differences, [shapes, R, steps], for the steps in `STEPS`."""

    logs: Array

    def slope(self, large: float, small: float) -> list[float]:
        """Slope of log error over log h between two exponents of h, by net, mean over shapes."""
        first, last = EXPONENTS.index(large), EXPONENTS.index(small)
        slopes = (self.logs[:, :, first] - self.logs[:, :, last]) / (large - small)
        return list(map(float, slopes.mean(0)))

    def best(self) -> list[float]:
        """Log of the step with the least error, by net, mean over shapes."""
        return list(map(float, np.log10(STEPS)[self.logs.argmin(2)].mean(0)))

    def quantiles(self, shares: Sequence[float]) -> Array:
        """Quantiles of the errors over all nets: [shares, steps]."""
        found: Array = 10 ** np.quantile(self.logs.reshape(-1, len(STEPS)), shares, axis=0)
        return found


def curves(several: Iterable[Problem], by: Lecture) -> Curves:
    """Compute the error of central differences over the step, for problems of the same number of nets."""
    found = [random_problems.difference_curve(one, by(one), STEPS) for one in several]
    return Curves(torch.stack(found).log10().numpy())


def first_lost_output(dtype: str) -> tuple[float, float]:
    """Find the first logit z = 0, 0.1, ... below 50 at which σ(z) - 1 is 0 in this dtype; return z and σ(-z).

    (inf, 0) where there is none.
    """
    z, f = torch.arange(0, 50, 0.1, dtype=torch.float64), sigmoid().forward
    lost = z[f(z.to(getattr(torch, dtype))) - 1 == 0]
    return (float(lost[0]), float(f(-lost[0]))) if len(lost) else (inf, 0.0)
