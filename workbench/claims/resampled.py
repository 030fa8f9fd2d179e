"""Variance of an interquartile mean over seeds that share more than chance: one data set, or a learning rate.

Seeds alone say what other seeds would give on these data. What other data would give varies more, as the parts of two
seeds share examples: Nadeau and Bengio (2003), "Inference for the Generalization Error", section 3, correct the
variance of a mean of n resampled scores from s²/n to (1/n + n_test/n_train) s². It is meant for errors on test parts,
and taken over for what is measured on training parts. The part n_test/n_train stays however many seeds there are.

Seeds of one fold have the learning rate of its tuning seeds. What other tuning would give is told by the folds, which
are independent: by the sums over folds of the winsorized values (a cluster-robust variance, Liang and Zeger 1986).
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from workbench.core.stats import MIDDLE, middle_error


class Error(NamedTuple):
    """A standard error with the degrees of freedom of its t."""

    size: float
    df: int


def errors(values: Sequence[float], ratio: float = 0.0, folds: int = 1) -> list[Error]:
    """Standard errors of the interquartile mean for other data and other tuning: the largest interval is judged.

    `ratio` is n_test / n_train; value number i is of the fold i mod `folds`. Without both, that for other seeds alone.
    """
    error, kept = middle_error(values)
    among = fold_variance(values, folds) if 1 < folds <= len(values) else 1.0
    found = [Error(error * sqrt(max(1.0, among) + len(values) * ratio), kept - 1)]
    return [*found, Error(error * sqrt(among), folds - 1)] if 1 < folds <= len(values) else found


def fold_variance(values: Sequence[float], folds: int) -> float:
    """Variance of the interquartile mean by sums over folds, as a multiple of that of independent values."""
    array, n = np.asarray(values, dtype=float), len(values)
    ordered, cut = np.sort(array), int(MIDDLE * len(values))
    deviations = np.clip(array, ordered[cut], ordered[n - 1 - cut])
    deviations = deviations - deviations.mean()
    alone = n / (n - 1) * float((deviations**2).sum())
    by_fold = np.array([deviations[fold::folds].sum() for fold in range(folds)])
    return folds / (folds - 1) * float((by_fold**2).sum()) / alone if alone else 1.0
