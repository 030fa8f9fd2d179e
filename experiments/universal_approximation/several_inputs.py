"""Networks of several inputs: hidden units at random in the cube [0, 1]^m, outer weights fitted by least squares.

A unit is σ(wᵀ(x - c)) with c uniform in the cube and the entries of w normal with standard deviation N^(1/m), so that
steepness grows with the density of units along an input; with one input it is that of `least_squares_nets`. So are the
functions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from .approximation import Array, make, units
from .least_squares_nets import outer_weights

SIZES = {2: (256, 1024, 2048), 3: (2048,)}  # by number of inputs; at most half of the points that are fitted
DRAWS = 4  # of networks of a size
POINTS = {1: 4097, 2: 129, 3: 33}  # of the grid along each input, by number of inputs; every second one is fitted
ROWS = 4096  # of points that are evaluated at once
NAMES = ("sine", "corner", "runge")


class Fit(NamedTuple):
    """Largest error on the grid of a network for a function."""

    activation: str
    inputs: int
    units: int
    draw: int
    target: str
    error: float


def targets(x: Array) -> Array:
    """Compute Π sin 2πx_i, max |x_i - 0.3| and 1/(1 + 25 Σ (2x_i - 1)²), [M, 3], at points x [M, m]."""
    runge = 1 / (1 + 25 * ((2 * x - 1) ** 2).sum(1))
    return np.stack([np.sin(2 * np.pi * x).prod(1), np.abs(x - 0.3).max(1), runge], axis=1)


def grid(inputs: int, points: int) -> Array:
    """Return the points [points^inputs, inputs] of an even grid of the cube, its faces included."""
    ends = np.meshgrid(*[np.linspace(0, 1, points)] * inputs, indexing="ij")
    return np.stack(ends, axis=-1).reshape(-1, inputs)


def fits(
    rng: np.random.Generator, name: str, inputs: int, sizes: Iterable[int], draws: int = DRAWS
) -> Iterator[list[Fit]]:
    """Fit networks to the three functions, `draws` of each size, one after the other as they are asked for.

    Errors are maxima over all points of the grid.
    """
    points, activation = POINTS[inputs], make(name)
    fitted, everywhere = grid(inputs, (points + 1) // 2), grid(inputs, points)
    for size, number in product(sizes, range(draws)):
        w, center = rng.normal(0, size ** (1 / inputs), (size, inputs)), rng.uniform(0, 1, (size, inputs))
        b = -(w * center).sum(1)
        alpha = outer_weights(units(activation, fitted @ w.T + b), targets(fitted))
        parts = np.array_split(everywhere, -(-len(everywhere) // ROWS))
        errors = [np.abs(units(activation, part @ w.T + b) @ alpha - targets(part)).max(0) for part in parts]
        worst = np.max(errors, axis=0).tolist()
        yield [Fit(name, inputs, size, number, target, error) for target, error in zip(NAMES, worst, strict=True)]


def enough(several: Iterator[list[Fit]], eps: Sequence[float]) -> list[Fit]:
    """Take networks until one is within the least eps of all functions, or there are no more."""
    taken: list[Fit] = []
    for one in several:
        taken += one
        if max(fit.error for fit in one) < min(eps):
            break
    return taken


def first_within(taken: Sequence[Fit], eps: float) -> tuple[int | None, float]:
    """Size of the first network within eps of all functions, and its largest error; else None, and the least error."""
    worst: dict[tuple[int, int], float] = {}
    for fit in taken:
        drawn = fit.units, fit.draw
        worst[drawn] = max(fit.error, worst.get(drawn, 0.0))
    found = ((size, error) for (size, _), error in worst.items() if error < eps)
    return next(found, (None, min(worst.values())))
