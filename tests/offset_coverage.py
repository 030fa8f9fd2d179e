"""Coverage of a claim's intervals: how often does one study's interval hold the mean of another on fresh seeds?

    python tests/offset_coverage.py [CLAIM ...] > docs/claims/coverage.md

Two arms of each of six claims are tuned and trained at `OFFSETS` seed offsets, as `workbench reproduce CLAIM
--seed-offset N` does, with tuning seeds of their own. Of two such studies the interval of one holds the mean of the
other less often than it holds the truth, as both vary: an interval of 95 % for seeds alone does in P(|t| ≤ t₀/√2), with
t₀ the factor of the interval. The standard error of the share is a jackknife over offsets, as pairs share studies.
"""

import sys
from collections.abc import Sequence
from itertools import permutations
from math import sqrt
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from workbench.claims.catalog import catalog
from workbench.claims.evidence import Cell, PerSeed
from workbench.claims.request import SEED_OFFSET
from workbench.claims.study import Study
from workbench.core.stats import Interval, middle_error
from workbench.engine.threads import one_thread

OFFSETS = 20
CELLS = {
    "layer_norm": ("relu + batch norm", "relu + layer norm"),
    "losses": ("likelihood", "softmax squares"),
    "relu_family": ("relu", "maxout same parameters"),
    "representation": ("tanh 3", "tanh 2"),
    "saturation": ("tanh", "σ"),
    "softplus": ("relu", "softplus"),
}
HEAD = """# Coverage of intervals

Two arms of six claims, test accuracy of the first minus the second, tuned and trained anew at {offsets} seed offsets
(0, 1000, ...): `python tests/offset_coverage.py > docs/claims/coverage.md`. Of each ordered pair of offsets: is the
mean of the one in the 95 % interval of the other? Intervals for other seeds alone should hold it in the nominal share,
if every offset chose the same learning rates; those that are judged also allow for other tuning and other data, which
these studies share, and hold it more often. ± is a standard error, by a jackknife over offsets.

| claim | arms | n | nominal | for other seeds alone | as judged |
|---|---|---|---|---|---|
"""


def sample(name: str, offset: int) -> PerSeed:
    """Measure the two arms' difference at one offset, each arm with rates of its own."""
    entry = catalog()[name]
    seeds = entry.claim.profiles["quick"]["seeds"]
    study = Study(entry, {"seeds": seeds, SEED_OFFSET: offset})
    first, second = CELLS[name]
    arms = {arm: list(entry.claim.arms[arm]) for arm in (first, second)}

    def measure(study: Study) -> list[Cell]:
        trained = study.train(study.tune(arms, tracked=False), tracked=False)
        return [Cell(next(iter(sampled)), trained.differences("test/accuracy", first, second, diverged=0.0))]

    sampled = [part for part, one in entry.claim.parts.items() if one.over == "data"]
    ((evidence,),) = ([cell.evidence for cell in study.measured(measure)],)
    assert isinstance(evidence, PerSeed)
    return evidence


def share(intervals: Sequence[Interval]) -> tuple[float, float]:
    """Share of ordered pairs in which the first's interval holds the second's mean, and its jackknife error."""
    holds = np.array([[one.low <= other.mean <= one.high for other in intervals] for one in intervals])
    n = len(intervals)

    def among(chosen: Sequence[int]) -> float:
        return float(np.mean([holds[pair] for pair in permutations(chosen, 2)]))

    without = [among([k for k in range(n) if k != left]) for left in range(n)]
    return among(range(n)), sqrt((n - 1) / n * float(((np.array(without) - np.mean(without)) ** 2).sum()))


def nominal(n: int) -> float:
    """Probability that a t interval of 95 % of n values' middle half holds an equal study's mean."""
    _, kept = middle_error(range(n))
    return float(1 - 2 * stats.t.sf(stats.t.ppf(0.975, kept - 1) / sqrt(2), kept - 1))


def row(name: str) -> str:
    """A row of the table."""
    with one_thread():
        samples = [sample(name, 1000 * number) for number in range(OFFSETS)]
    seeds = share([one.of_seeds(0.95) for one in samples])
    judged = share([one.interval(0.95) for one in samples])
    n = len(samples[0].values)
    cells = " | ".join(f"{100 * held:.1f} ± {100 * error:.1f} %" for held, error in (seeds, judged))
    first, second = CELLS[name]
    return f"| {name} | {first} − {second} | {n} | {100 * nominal(n):.1f} % | {cells} |"


def main(names: list[str]) -> None:
    """Print the table of these claims, or of all six."""
    print(HEAD.format(offsets=OFFSETS), end="")
    for name in CELLS:
        if not names or name in names:
            print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
