"""Claims with two equal arms: how often do the rules support a difference that is not there?

    python tests/equal_arms.py [CLAIM ...] > docs/claims/equal_arms.md

For each claim that trains nets and tunes them, one of its arms is trained with every rate of its grid and `POOL` seeds.
A repetition draws two disjoint sets of seeds, for two arms that are equal. Each arm chooses its rates by its own tuning
seeds, in folds. The differences of the other seeds are judged as the claim's are: as many seeds as the quick profile
has, the interval for other data and other tuning, the bound 0. Intervals are compared with the truth, which is 0, and
with the next repetition's mean.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from workbench.claims.catalog import Entry, catalog
from workbench.claims.evidence import PerSeed
from workbench.claims.rules import Above
from workbench.claims.study import Study
from workbench.claims.trained_arms import fold_rates, shared_ratio
from workbench.claims.verdict import Label
from workbench.engine.threads import one_thread

POOL, REPETITIONS = 80, 200
HEAD = """# Equal arms

Two equal arms of each claim that trains and tunes nets, tuned apart and judged by its rule with the bound 0, in
{repetitions} repetitions drawn from {pool} seeds: `python tests/equal_arms.py > docs/claims/equal_arms.md`.
"Supported" and "refuted" would both be wrong. An interval should hold 0, the truth, in 95 %, and another repetition's
mean in about 83 % where both vary alike; intervals for other data are wider, as they also allow for the data.

| claim | arm | n | test / train | supported | refuted | holds 0 | for other seeds alone | holds the next mean |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Pool:
    """Scores of one arm by rate and seed: for tuning, where less is better, and for the verdict."""

    tuning: dict[float, list[float]]
    test: dict[float, list[float]]
    ratio: float


def pooled(entry: Entry, overrides: list[str]) -> Pool:
    """Train an arm with every rate of the claim's grid on POOL seeds."""
    study = Study(entry, dict(entry.claim.profiles["quick"]))
    rates = entry.claim.learning_rates
    arms = {f"{rate:g}": [*overrides, f"optimizer.lr={rate:g}"] for rate in rates}
    trained = study.train(arms, seeds=range(POOL), tracked=False)
    known = trained.metrics[f"{rates[0]:g}"][0]
    metric, lost = ("test/accuracy", 0.0) if "test/accuracy" in known else ("test/loss", np.inf)
    by_rate = {rate: trained.values(f"{rate:g}", metric, lost) for rate in rates}
    return Pool(
        {rate: trained.values(f"{rate:g}", "valid/loss", np.inf) for rate in rates},
        by_rate,
        shared_ratio(trained.specs[f"{rates[0]:g}"][0]),
    )


def arm_values(pool: Pool, seeds: np.ndarray, tuning_seeds: int, folds: int) -> list[float]:
    """Scores of an arm's verdict seeds with the rates that its tuning seeds, the first of `seeds`, choose."""
    tune, verdict = seeds[:tuning_seeds], seeds[tuning_seeds:]
    rates = fold_rates({rate: [scores[i] for i in tune] for rate, scores in pool.tuning.items()}, "valid/loss", folds)
    return [pool.test[rates.rates[number % folds]][seed] for number, seed in enumerate(verdict)]


def repetitions(entry: Entry, pool: Pool, n: int) -> Iterator[PerSeed]:
    """Differences of two equal arms, each repetition with seeds of its own."""
    claim, rng = entry.claim, np.random.default_rng(2_000_000)
    size = claim.tuning_seeds + n
    for _ in range(REPETITIONS):
        seeds = rng.permutation(POOL)[: 2 * size]
        first, second = (
            arm_values(pool, half, claim.tuning_seeds, claim.folds) for half in (seeds[:size], seeds[size:])
        )
        yield PerSeed(tuple(a - b for a, b in zip(first, second, strict=True)), ratio=pool.ratio, folds=claim.folds)


def row(entry: Entry) -> str:
    """A row of the table."""
    name, overrides = next(iter(entry.claim.arms.items()), ("its configuration", []))
    n = min(int(entry.claim.profiles["quick"]["seeds"]), POOL // 2 - entry.claim.tuning_seeds)
    with one_thread():
        pool = pooled(entry, list(overrides))
    samples = list(repetitions(entry, pool, n))
    labels = Counter(Above(than=0).judge(sample).label for sample in samples)
    judged = [sample.interval(0.95) for sample in samples]
    alone = [PerSeed(sample.values).interval(0.95) for sample in samples]
    holds = [np.mean([interval.low <= 0 <= interval.high for interval in intervals]) for intervals in (judged, alone)]
    following = np.mean([first.low <= second.mean <= first.high for first, second in pairwise(judged)])
    wrong = [labels[label] / len(samples) for label in (Label.supported, Label.refuted)]
    shares = " | ".join(f"{share:.1%}" for share in (*wrong, *holds, following))
    return f"| {entry.name} | {name} | {n} | {pool.ratio:.2f} | {shares} |"


def main(names: list[str]) -> None:
    """Print the table of these claims, or of all that tune."""
    print(HEAD.format(repetitions=REPETITIONS, pool=POOL), end="")
    for name, entry in catalog().items():
        if entry.claim.learning_rates and (not names or name in names):
            print(row(entry), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
