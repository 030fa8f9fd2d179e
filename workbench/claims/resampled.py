"""Intervals for runs that share one data set, of which each seed draws its own training and test part.

Seeds alone say what other seeds would give on these data. What other data would give varies more, as the parts of two
seeds share examples: Nadeau and Bengio (2003), "Inference for the Generalization Error", section 3, correct the
variance of a mean of n resampled scores from s²/n to (1/n + n_test/n_train) s². Where splits and weights are crossed,
each with each, a model with a random effect of both gives a second answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy import stats

from workbench.claims.evidence import PerSeed
from workbench.core.stats import Interval, middle_error


@dataclass(frozen=True)
class Resampled(PerSeed):
    """One number per seed, each seed with its own split of one data set; `ratio` is n_test / n_train.

    The interval and the tests are those of Nadeau and Bengio's variance, which is never the narrower one; `of_seeds`
    has the other interval. Raises ValueError for a ratio that is none.
    """

    ratio: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.ratio < inf:
            raise ValueError(f"Resampled: ratio must be test over training examples, 0 or more, got {self.ratio}")

    @property
    def stretch(self) -> float:
        """Ratio of the corrected interval's width to that of the seeds' own: sqrt(1 + n n_test / n_train)."""
        return sqrt(1 + len(self.values) * self.ratio)

    def of_seeds(self, confidence: float) -> Interval:
        """Interval for other seeds on these data."""
        return super().interval(confidence)

    def interval(self, confidence: float) -> Interval:
        """Interval for other data like these."""
        own = self.of_seeds(confidence)
        low, high = (own.mean + self.stretch * (end - own.mean) for end in (own.low, own.high))
        return own._replace(low=low, high=high)

    def p_above(self, bound: float) -> float:
        """The larger p value of the tests for these data and of Student's t with the corrected variance."""
        error, kept = middle_error(self.values)
        mean = self.of_seeds(0.95).mean
        if error == 0 or kept < 2:
            return super().p_above(bound)
        corrected = float(stats.t.sf((mean - bound) / (error * self.stretch), kept - 1))
        return max(super().p_above(bound), corrected)

    def p_below(self, bound: float) -> float:
        """P value for a mean below the bound; see `p_above`."""
        return Resampled(tuple(-value for value in self.values), ratio=self.ratio).p_above(-bound)

    def populations(self, confidence: float) -> str:
        """Describe both intervals in words."""
        seeds, data = self.of_seeds(confidence), self.interval(confidence)
        return (
            f"other seeds on these data: [{seeds.low:.4g}, {seeds.high:.4g}]; other data like these, after Nadeau "
            f"and Bengio: [{data.low:.4g}, {data.high:.4g}]"
        )


def crossed_interval(table: Sequence[Sequence[float]], confidence: float) -> Interval:
    """Interval of the mean score over splits (rows) crossed with weights (columns), both drawn at random.

    Two-way analysis of variance with random effects, one score a cell: the variance of the mean is
    (MS_split + MS_weights - MS_rest) / (rows x columns), not below the larger of its two parts alone, its degrees of
    freedom Satterthwaite's. Raises ValueError for fewer than two of either.
    """
    scores = np.asarray(table, dtype=float)
    if scores.ndim != 2 or min(scores.shape) < 2 or not np.isfinite(scores).all():
        raise ValueError(f"crossed_interval: needs numbers of two splits and two weights at least, got {scores.shape}")
    rows, columns = scores.shape
    mean, by_row, by_column = scores.mean(), scores.mean(1), scores.mean(0)
    rest = scores - by_row[:, None] - by_column + mean
    squares = (
        (columns * np.var(by_row, ddof=1), rows - 1, 1.0),
        (rows * np.var(by_column, ddof=1), columns - 1, 1.0),
        (float((rest**2).sum()) / ((rows - 1) * (columns - 1)), (rows - 1) * (columns - 1), -1.0),
    )
    total = sum(sign * square for square, _, sign in squares)
    largest = max(squares[:2], key=lambda one: one[0])
    if total < largest[0]:  # the rest is larger than the smaller effect: an estimate below 0 of its variance
        total, freedom = largest[0], float(largest[1])
    else:
        freedom = total**2 / sum((square**2 / df for square, df, _ in squares), 0.0) if total else 1.0
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * sqrt(total / scores.size)
    return Interval(float(mean), float(mean - half), float(mean + half), scores.size)


def wider(*intervals: Interval) -> Interval:
    """The interval that is judged where there are several of one mean."""
    return max(intervals, key=lambda one: one.high - one.low)
