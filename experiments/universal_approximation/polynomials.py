"""Best uniform approximation by polynomials, the functions that a net of monomial units can compute.

On a finite set of points, Remez's exchange algorithm finds it, started from the solution of a linear program on fewer
points. By Chebyshev's alternation theorem, a polynomial of degree p whose error takes its largest absolute value E on
p + 2 points, with alternating signs, is the best one. A lower bound requires no optimality: by de la Vallée Poussin's
theorem, where the error of any polynomial P alternates in sign on p + 2 points, every polynomial of degree p has an
error of min |f - P| or more on one of them.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial.chebyshev import chebval, chebvander
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
EXCHANGES = 100
FEW = 400  # points of the linear program from which the exchange starts
NOTHING = 1e-8  # errors below this are rounding of the linear program


@dataclass(frozen=True)
class Best:
    """A polynomial of degree p with error at most `most` on all points; no other has an error below `least`.

    `chebyshev` [p + 1] are its coefficients over [-1, 1], to which the points were moved; `alternation` [p + 2] are the
    indices of the points that prove `least`.
    """

    least: float
    most: float
    chebyshev: Array
    alternation: Indices


def best(x: Array, y: Array, degree: int) -> Best:
    """Find the best polynomial for values y [M] at rising points x [M], at least degree + 2 of them."""
    t = (2 * x - x[0] - x[-1]) / (x[-1] - x[0])
    basis = chebvander(t, degree)
    chosen = _first(basis, y)
    signs = (-1.0) ** np.arange(degree + 2)
    for _ in range(EXCHANGES):
        solution = np.linalg.solve(np.column_stack([basis[chosen], signs]), y[chosen])
        error = y - chebval(t, solution[:-1])
        least, most = float(np.abs(error[chosen]).min()), float(np.abs(error).max())
        if most - least <= 1e-13 * (1 + np.abs(y).max()):
            break
        chosen = _exchange(chosen, error)
    return Best(_proved(error[chosen]), most, solution[:-1], chosen)


def _proved(errors: Array) -> float:
    """Compute de la Vallée Poussin's bound; 0 where the signs do not alternate."""
    alternates = bool((errors[:-1] * errors[1:] < 0).all())
    return float(np.abs(errors).min()) if alternates else 0.0


def _first(basis: Array, y: Array) -> Indices:
    """Find points on which the error of a linear program's fit on `FEW` points alternates; equidistant if it is 0."""
    few, count = np.unique(np.linspace(0, len(y) - 1, FEW).astype(int)), basis.shape[1] + 1
    one = np.ones((len(few), 1))
    rows = np.block([[basis[few], -one], [-basis[few], -one]])
    cost = np.append(np.zeros(count - 1), 1.0)
    found = optimize.linprog(cost, rows, np.append(y[few], -y[few]), bounds=(None, None))
    error = y - basis @ found.x[:-1]
    ends = [0, *(np.flatnonzero(np.diff(error >= 0)) + 1).tolist(), len(error)]
    peaks = [low + int(np.abs(error[low:high]).argmax()) for low, high in pairwise(ends)]
    if len(peaks) < count or np.abs(error).max() < NOTHING * (1 + np.abs(y).max()):
        return np.linspace(0, len(y) - 1, count).astype(np.int64)
    while len(peaks) > count:
        peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
    return np.array(peaks)


def _exchange(chosen: Indices, error: Array) -> Indices:
    """Exchange the point of the largest error for its neighbor of the same sign, so that signs still alternate."""
    new = int(np.abs(error).argmax())
    right = int(np.searchsorted(chosen, new))
    same = [
        place for place in (right - 1, right) if 0 <= place < len(chosen) and error[chosen[place]] * error[new] >= 0
    ]
    changed = chosen.copy()
    if same:
        changed[same[0]] = new
    elif right == 0:
        changed = np.append(new, chosen[:-1])
    else:
        changed = np.append(chosen[1:], new)
    return changed
