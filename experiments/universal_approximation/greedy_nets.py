"""Barron's rate: networks of N units built greedily, one unit at a time, for a function of d variables.

Barron 1993: for every f on a bounded set B there are networks f_N of one hidden layer with N sigmoidal units and

    ∫ (f - f_N)² dμ ≤ (2C)²/N     for every probability measure μ on B,     C = ∫ |ω|_B |F(dω)|,  |ω|_B = sup_B |ω·x|

where F is the Fourier measure of f; in a ball of radius r, |ω|_B = r|ω| and this is his (2 r C_f)²/N. N appears without
d. Here B is the cube [-1/2, 1/2]^d, where |ω|_B = |ω|₁/2, and f(x) = cos(w·x - π/2), whose Fourier measure is two
points ±w of weight 1/2: C = |w|₁/2, so that the bound is |w|₁²/N.

The orthogonal greedy algorithm adds the candidate unit that correlates best with the residual, then fits all the
coefficients again. In Barron's proof the units have the directions of f's frequencies, as in `along`; candidates of
random direction (`across`) do not depend on f: they are a fixed basis except for the order in which they are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .approximation import Array, make, units

GENTLE, STEEP = 4.0, 64.0  # slope of a unit times the width of the cube in its direction
CONSTANT = 1e-5  # standard deviation on the points below which a unit is taken for constant and not used
ROUNDING = 1e-20  # of a mean squared error
LENGTH = 2 * np.pi  # |w|₁: one period of f from corner to corner


@dataclass(frozen=True)
class Wave:
    """f(x) = cos(w·x - π/2) on the cube [-1/2, 1/2]^d."""

    w: Array

    def __call__(self, x: Array) -> Array:
        """Compute f at the points x [M, d]."""
        values: Array = np.cos(x @ self.w - np.pi / 2)
        return values

    @property
    def first_moment(self) -> float:
        """Barron's C = |w|₁/2."""
        return float(np.abs(self.w).sum()) / 2

    def bound(self, n: NDArray[np.int64]) -> Array:
        """Barron's bound (2C)²/N for numbers of units n."""
        return (2 * self.first_moment) ** 2 / n


def wave(rng: np.random.Generator, dimension: int) -> Wave:
    """Draw a wave with w of random direction and |w|₁ = 2π."""
    w = rng.normal(size=dimension)
    return Wave(w * LENGTH / np.abs(w).sum())


def cube(rng: np.random.Generator, points: int, dimension: int) -> Array:
    """Draw uniform points [M, d] of the cube."""
    return rng.uniform(-0.5, 0.5, (points, dimension))


@dataclass(frozen=True)
class Candidates:
    """Candidate units σ(a·x + b): a is [P, d], b is [P]."""

    activation: str
    a: Array
    b: Array

    def __call__(self, x: Array) -> Array:
        """Compute the units' values [P, M] at x [M, d]."""
        return units(make(self.activation), self.a @ x.T + self.b[:, None])


def along(f: Wave, count: int) -> Array:
    """Return directions [P, d] of f's frequencies."""
    return np.tile(f.w, (count, 1))


def across(rng: np.random.Generator, count: int, dimension: int) -> Array:
    """Draw random directions [P, d]."""
    return rng.normal(size=(count, dimension))


def candidates(rng: np.random.Generator, activation: str, x: Array, directions: Array) -> Candidates:
    """Draw a unit for each direction [P, d], centered at a random point of x, with a slope log-uniform up to STEEP."""
    count = len(directions)
    slopes = np.exp(rng.uniform(np.log(GENTLE), np.log(STEEP), (count, 1)))
    a = directions * slopes / np.abs(directions).sum(1, keepdims=True)
    return Candidates(activation, a, -np.einsum("pd,pd->p", a, x[rng.integers(len(x), size=count)]))


def errors(pool: Candidates, f: Wave, x: Array, held: Array, steps: int) -> Array:
    """Fit networks with 1, 2, … units and a constant at x; return their mean squared errors [steps] at `held`."""
    values, held_values = pool(x).astype(np.float32), pool(held).astype(np.float32)
    left, held_left = f(x), f(held)
    basis = _Basis(len(x), len(held), steps + 1)
    basis.add(np.ones(len(x)), np.ones(len(held)), left, held_left)
    lengths = np.linalg.norm(values - values.mean(1, keepdims=True), axis=1)
    lengths[lengths < CONSTANT * np.sqrt(len(x))] = np.inf
    found = []
    for _ in range(steps):
        best = np.abs(values @ left.astype(np.float32) / lengths).argmax()
        basis.add(values[best], held_values[best], left, held_left)
        found.append(np.mean(held_left**2))
    return np.array(found)


@dataclass(frozen=True)
class Built:
    """Held-out mean squared errors [N] of a wave's networks with 1, 2, … units, `along` its frequency and `across`.

    `variance` is the wave's: a bound above it is vacuous.
    """

    wave: Wave
    along: Array
    across: Array
    variance: float


def built(rng: np.random.Generator, dimension: int, points: int, count: int, steps: int) -> Built:
    """Build sigmoid networks for a random wave from `count` candidates of each kind, on `points` for fit and test."""
    f = wave(rng, dimension)
    x, held = cube(rng, points, dimension), cube(rng, points, dimension)
    own, other = (
        errors(candidates(rng, "sigmoid", x, directions), f, x, held, steps)
        for directions in (along(f, count), across(rng, count, dimension))
    )
    return Built(f, own, other, float(np.var(f(held))))


def against_bound(several: Sequence[Built], n: NDArray[np.int64]) -> tuple[Array, str]:
    """Divide errors along the wave by Barron's bound [networks, N], and count bounds above the wave's variance."""
    ratios = np.array([one.along / one.wave.bound(n) for one in several])
    vacuous = sum(int((one.wave.bound(n) >= one.variance).sum()) for one in several)
    return ratios, f"{vacuous} of {ratios.size} bounds are above the variance of f and say nothing"


def slope(errors: Array, n: Sequence[int]) -> float:
    """Fit the slope of log MSE over log N by least squares, over the networks of `n` units."""
    chosen = np.maximum(errors[np.array(n) - 1], ROUNDING)
    return float(np.polyfit(np.log(n), np.log(chosen), 1)[0])


class _Basis:
    """Orthonormal columns on the fitted points, and the same combinations of units on the held-out ones."""

    def __init__(self, points: int, held: int, count: int) -> None:
        self.q, self.held_q, self.size = np.empty((count, points)), np.empty((count, held)), 0

    def add(self, column: Array, held: Array, left: Array, held_left: Array) -> None:
        """Add a unit and subtract its projection from the residuals `left` and `held_left`, unless it is dependent."""
        q, held_q = column.astype(np.float64), held.astype(np.float64)
        length = np.linalg.norm(q)
        for _ in range(2):  # twice, against rounding
            share = self.q[: self.size] @ q
            q, held_q = q - share @ self.q[: self.size], held_q - share @ self.held_q[: self.size]
        norm = np.linalg.norm(q)
        if norm <= 1e-7 * length:
            return
        self.q[self.size], self.held_q[self.size] = q / norm, held_q / norm
        share = self.q[self.size] @ left
        left -= share * self.q[self.size]
        held_left -= share * self.held_q[self.size]
        self.size += 1
