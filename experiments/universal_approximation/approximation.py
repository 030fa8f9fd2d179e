"""Construct networks F(x) = Σ αᵢ σ(wᵢ x + bᵢ), without training, that approximate any continuous f on [0, 1].

Each construction writes F(x) = Σ_k p_k(x) f(t_k) over knots t_k = k/n, h = 1/n, with p_k ≥ 0 and Σ_k p_k ≈ 1. Then

    |F(x) - f(x)| ≤ Σ_k p_k(x) |f(t_k) - f(x)| + |1 - Σ_k p_k(x)| |f(x)| ≤ spread · L · h + slack

where f is L-Lipschitz: a proof for all x, not only on a grid. For any continuous f with the modulus of continuity ω,
(1 + spread) ω(h) replaces spread · L · h, and goes to 0 as well. S is σ scaled to the range (0, 1); TAIL bounds S(-u)
and 1 - S(u) from u on.

| σ | p_k | spread | slack | units |
|---|---|---|---|---|
| bounded, monotone | S(K(x - m_k)) - S(K(x - m_{k+1})), m_k midway | 9/16 | 2 TAIL · (max f - min f) | n + 1 |
| relu, absolute | hat functions: F interpolates | 1/2 | 0 | n + 1 |
| leaky_relu | the same, from relu(z) = (σ(z) + s σ(-z))/(1 - s²), s its slope | 1/2 | 0 | 2n + 1 |
| softplus | the same, as σ(Kz)/K → relu(z) | 1/2 | TAIL | n + 1 |
| bump | exp(-((x - t_k)/h)²)/√π, knots also outside [0, 1] | 0.63 | 1.1e-4 max abs f | n + 11 |

The first row is the case of the lecture's "Universal Approximation Theorem" (Cybenko 1989, without monotonicity). There
all steps farther than h/16 from x are on or off, up to TAIL, so that only knots within h/2 + h/16 of x contribute. For
bump, Poisson's formula gives |1 - Σ p_k| ≤ 2 Σ_j exp(-π² j²) < 1.04e-4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, log, pi, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.data.datasets import CURVES
from workbench.nn import activations
from workbench.nn.activations import Activation

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

TAIL = 1e-5
MARGIN = 1 / 16  # of h, within which a unit of the staircase turns on
OUTSIDE = 5  # knots of bump on either side of [0, 1]; farther ones have weights of exp(-36) or less
BUMP_SPREAD, BUMP_DEFECT = 0.63, 1.1e-4  # the mean distance of the knots is 0.6233 h, midway between two of them
FAR = 1e6


@dataclass(frozen=True)
class Target:
    """A function on [0, 1] with a Lipschitz constant, its largest absolute value, and max f - min f."""

    f: Function
    lipschitz: float
    size: float
    range: float


TARGETS: Mapping[str, Target] = {
    "sine": Target(CURVES["sine"], 2 * pi, 1, 2),
    "corner": Target(CURVES["corner"], 1, 0.7, 0.7),
    "runge": Target(CURVES["runge"], 15 * sqrt(3) / 4, 1, 25 / 26),  # steepest at 25 (2x - 1)² = 1/3
}


@dataclass(frozen=True)
class Network:
    """Network with one hidden layer: `alpha`, `w` and `b` are [N], one number per unit; F has no separate constant."""

    activation: Activation
    alpha: Array
    w: Array
    b: Array

    def __len__(self) -> int:
        return len(self.alpha)

    def __call__(self, x: Array) -> Array:
        """Compute F at the points x [M]."""
        return self.values(x) @ self.alpha

    def values(self, x: Array) -> Array:
        """Compute the units' values [M, N] at the points x [M]."""
        return units(self.activation, np.multiply.outer(x, self.w) + self.b)


@dataclass(frozen=True)
class Construction:
    """A row of the table: `build` makes F from f and the number of intervals, the others give the proved bound."""

    build: Callable[[Function, int], Network]
    spread: float
    slack: Callable[[Target], float]
    knots: Callable[[int], int]

    def within(self, target: Target, n: int) -> float:
        """Compute the proved bound of the error with n intervals."""
        return self.spread * target.lipschitz / n + self.slack(target)

    def intervals(self, target: Target, eps: float) -> int:
        """Find the smallest n whose bound is below eps.

        Raises ValueError where eps is not above the construction's slack.
        """
        room = eps - self.slack(target)
        if room <= 0:
            raise ValueError(f"eps must be above {self.slack(target):g}, got {eps:g}")
        return floor(self.spread * target.lipschitz / room) + 1


def make(name: str) -> Activation:
    """Make the package's activation of this name, with its defaults, or a monomial named like ``z^3``."""
    if name.startswith("z^"):
        return activations.monomial(int(name.removeprefix("z^")))
    activation: Activation = getattr(activations, name)()
    return activation


def units(activation: Activation, z: NDArray[Any]) -> Array:
    """Compute σ(z), elementwise, in the dtype of z."""
    given = torch.from_numpy(np.ascontiguousarray(z))
    constants = (torch.tensor(value, dtype=given.dtype) for value in activation.constants.values())
    values: Array = activation.forward(given, *constants).numpy()
    return values


def violated(name: str) -> list[str]:
    """List the theorem's hypotheses that an activation violates, tested on a grid that includes its kinks."""
    activation = make(name)
    z = np.union1d(np.linspace(-50, 50, 20_001), [k + s for k in activation.kinks for s in (-1e-9, 0, 1e-9)])
    steps = np.diff(units(activation, z))
    jumps = steps[np.diff(z) < 1e-8]
    return [
        hypothesis
        for hypothesis, holds in {
            "nonconstant": steps.any(),
            "bounded": np.isfinite(activation.bounds).all(),
            "increasing": (steps >= -1e-12).all(),
            "continuous": (np.abs(jumps) < 1e-6).all(),
        }.items()
        if not holds
    ]


def construction(name: str) -> Construction:
    """Choose the construction for the activation of this name.

    Raises ValueError for one that is in no row of the table.
    """
    activation = make(name)
    if name in _BENT:
        bent = partial(_BENT[name], activation)
        per_knot = 2 if name == "leaky_relu" else 1
        slack = TAIL if name == "softplus" else 0.0
        return Construction(bent, 1 / 2, lambda target: slack, lambda size: (size - 1) // per_knot)
    if name == "bump":
        knots = 2 * OUTSIDE + 1
        return Construction(
            partial(_bumps, activation),
            BUMP_SPREAD,
            lambda target: BUMP_DEFECT * target.size,
            lambda size: size - knots,
        )
    if set(violated(name)) - {"continuous"}:
        raise ValueError(f"{name}: needs a construction of its own, it is not {' and '.join(violated(name))}")
    steps = partial(_staircase, activation)
    return Construction(steps, 1 / 2 + MARGIN, lambda target: 2 * TAIL * target.range, lambda size: size - 1)


def _steepness(activation: Activation) -> float:
    """Find the least power of two u at which S is within TAIL of its limits; raises ValueError if none is below FAR."""
    low, high = activation.bounds
    u = 1.0
    while u < FAR:
        left, right = (units(activation, np.array([-u, u])) - low) / (high - low)
        if max(left, 1 - right) <= TAIL:
            return u
        u *= 2
    raise ValueError(f"the activation must come within {TAIL:g} of its bounds before {FAR:g}")


def _staircase(activation: Activation, f: Function, n: int) -> Network:
    low, high = activation.bounds
    knots = np.linspace(0, 1, n + 1)
    values = f(knots)
    alpha = np.diff(values) / (high - low)
    steep = _steepness(activation) * n / MARGIN
    constant = values[0] - low * alpha.sum()
    return _with_constant(activation, constant, alpha, np.full(n, steep), -steep * (knots[:-1] + knots[1:]) / 2)


def _with_constant(activation: Activation, constant: float, alpha: Array, w: Array, b: Array) -> Network:
    """Add a unit with w = 0, which contributes the constant."""
    (at_one,) = units(activation, np.ones(1))
    return Network(activation, np.append(alpha, constant / at_one), np.append(w, 0.0), np.append(b, 1.0))


def _bends(f: Function, n: int) -> tuple[float, Array, Array]:
    """Return the interpolant constant + Σ_k bend_k relu(x - t_k); t [n] are the knots without the last."""
    knots = np.linspace(0, 1, n + 1)
    values = f(knots)
    return float(values[0]), np.diff(np.diff(values) * n, prepend=0.0), knots[:-1]


def _relus(activation: Activation, f: Function, n: int) -> Network:
    constant, bend, t = _bends(f, n)
    return _with_constant(activation, constant, bend, np.ones(n), -t)


def _absolutes(activation: Activation, f: Function, n: int) -> Network:
    """Use relu(z) = (|z| + z)/2; on [0, 1] the sum of all z is a multiple of |x|, unit 0, plus a constant."""
    constant, bend, t = _bends(f, n)
    alpha = bend / 2
    alpha[0] += bend.sum() / 2
    return _with_constant(activation, constant - float(bend @ t) / 2, alpha, np.ones(n), -t)


def _leaky_relus(activation: Activation, f: Function, n: int) -> Network:
    constant, bend, t = _bends(f, n)
    slope = activation.constants["slope"]
    alpha = bend / (1 - slope**2)
    one = np.ones(n)
    return _with_constant(activation, constant, np.append(alpha, slope * alpha), np.append(one, -one), np.append(-t, t))


def _softpluses(activation: Activation, f: Function, n: int) -> Network:
    """Use softplus(Kz)/K, which exceeds relu(z) by at most ln 2/K."""
    constant, bend, t = _bends(f, n)
    steep = ceil(log(2) * float(np.abs(bend).sum()) / TAIL) + 1.0
    return _with_constant(activation, constant, bend / steep, np.full(n, steep), -steep * t)


def _bumps(activation: Activation, f: Function, n: int) -> Network:
    """Use bumps at knots, with f extended outside [0, 1] by constants."""
    knots = np.arange(-OUTSIDE, n + OUTSIDE + 1) / n
    alpha = f(knots.clip(0, 1)) / sqrt(pi)
    return Network(activation, alpha, np.full(len(knots), float(n)), -n * knots)


_BENT = {"relu": _relus, "absolute": _absolutes, "leaky_relu": _leaky_relus, "softplus": _softpluses}
