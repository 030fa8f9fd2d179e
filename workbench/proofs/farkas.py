"""Decide systems of linear inequalities in exact rational arithmetic.

Farkas' lemma: either some u satisfies A u ≥ c, or some y ≥ 0 has yᵀA = 0 and yᵀc > 0, which would imply 0 ≥ yᵀc > 0;
never both. A linear program in floating point suggests the answer, and rational arithmetic proves it, so that no result
depends on rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

Number = int | float | Fraction
Row = Sequence[Number]
ZERO = Fraction(1, 10**9)  # below it a floating-point number is taken for 0; the exact check decides


@dataclass(frozen=True)
class Solution:
    """A solution u of A u ≥ c."""

    u: tuple[Fraction, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.u))})"


@dataclass(frozen=True)
class Infeasible:
    """Multipliers y ≥ 0 with yᵀA = 0 and yᵀc = 1: no u can satisfy A u ≥ c."""

    y: tuple[Fraction, ...]

    def __str__(self) -> str:
        terms = [f"row {row + 1}" if y == 1 else f"{y} · row {row + 1}" for row, y in enumerate(self.y) if y]
        return f"{' + '.join(terms)}: 0 ≥ 1"


def decide(A: Sequence[Row], c: Row) -> Solution | Infeasible:
    """Decide whether A u ≥ c can be satisfied, A [M, I] and c [M] taken as exact numbers; return the proof.

    Raises ArithmeticError where the floating-point answer leads to no proof, for coefficients of too different sizes.
    """
    rows = [[Fraction(entry) for entry in row] for row in A]
    bounds = [Fraction(bound) for bound in c]
    floats, limits = np.array(rows, dtype=float), np.array(bounds, dtype=float)
    found = linprog(np.zeros(floats.shape[1]), A_ub=-floats, b_ub=-limits, bounds=(None, None), method="highs-ds")
    if found.status == 0:
        solution = Solution(_on_the_boundary(rows, bounds, found.x))
        if satisfies(solution, rows, bounds):
            return solution
    else:
        multipliers = Infeasible(_multipliers(rows, bounds, floats, limits))
        if refutes(multipliers, rows, bounds):
            return multipliers
    raise ArithmeticError(f"decide: no exact proof near the floating-point answer (status {found.status})")


def satisfies(solution: Solution, A: Sequence[Row], c: Row) -> bool:
    """Whether A u ≥ c, exactly."""
    return all(_dot(row, solution.u) >= Fraction(bound) for row, bound in zip(A, c, strict=True))


def refutes(multipliers: Infeasible, A: Sequence[Row], c: Row) -> bool:
    """Whether y ≥ 0, yᵀA = 0 and yᵀc > 0, exactly."""
    y = multipliers.y
    vanishes = all(_dot(column, y) == 0 for column in zip(*A, strict=True))
    return min(y) >= 0 and vanishes and _dot(c, y) > 0


def solve(A: Sequence[Row], c: Row, free: Row) -> list[Fraction] | None:
    """Solve A u = c exactly by Gaussian elimination; undetermined variables take their values from `free`.

    None where the equations contradict each other.
    """
    table = [[Fraction(entry) for entry in (*row, bound)] for row, bound in zip(A, c, strict=True)]
    pivots: list[int] = []
    for column in range(len(free)):
        place = len(pivots)
        row = next((row for row in range(place, len(table)) if table[row][column]), None)
        if row is None:
            continue
        table[place], table[row] = table[row], table[place]
        table[place] = [entry / table[place][column] for entry in table[place]]
        for other, entries in enumerate(table):
            if other != place and (factor := entries[column]):
                table[other] = [entry - factor * lead for entry, lead in zip(entries, table[place], strict=True)]
        pivots.append(column)
    if any(entries[-1] for entries in table[len(pivots) :]):
        return None
    u = [Fraction(value) for value in free]
    opened = [column for column in range(len(free)) if column not in pivots]
    for entries, column in zip(table, pivots, strict=False):
        u[column] = entries[-1] - sum((entries[other] * u[other] for other in opened), Fraction(0))
    return u


def _on_the_boundary(rows: list[list[Fraction]], bounds: list[Fraction], near: np.ndarray) -> tuple[Fraction, ...]:
    """Find the exact point near a floating-point solution, with the rows it satisfies tightly as equations."""
    point = [Fraction(float(value)) for value in near]
    start = [value.limit_denominator(1000) for value in point]
    tight = [row for row, entries in enumerate(rows) if _dot(entries, point) - bounds[row] < ZERO]
    exact = solve([rows[row] for row in tight], [bounds[row] for row in tight], start)
    return tuple(start if exact is None else exact)


def _multipliers(
    rows: list[list[Fraction]], bounds: list[Fraction], floats: np.ndarray, limits: np.ndarray
) -> tuple[Fraction, ...]:
    """Find exact Farkas multipliers on the support of a vertex, where yᵀA = 0 and yᵀc = 1 have no other solution."""
    equations = np.vstack([floats.T, limits])
    right = np.append(np.zeros(floats.shape[1]), 1.0)
    found = linprog(np.ones(len(rows)), A_eq=equations, b_eq=right, bounds=(0, None), method="highs-ds")
    y = [Fraction(0)] * len(rows)
    if found.status == 0:
        support = [row for row, value in enumerate(found.x) if value > float(ZERO)]
        columns = [*zip(*(rows[row] for row in support), strict=True), [bounds[row] for row in support]]
        exact = solve(columns, [*[0] * floats.shape[1], 1], [0] * len(support))
        for row, value in zip(support, exact or [], strict=False):
            y[row] = value
    return tuple(y)


def _dot(first: Row, second: Row) -> Fraction:
    return sum((Fraction(one) * Fraction(other) for one, other in zip(first, second, strict=True)), Fraction(0))
