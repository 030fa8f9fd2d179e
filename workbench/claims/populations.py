"""Name what an interval is for: other seeds, other tuning, other data like these, other processes."""

from dataclasses import replace

from workbench.claims.claim import Part
from workbench.claims.evidence import PerSeed, Rate, Rates

OVER = {
    "starts": "for other nets before training, on these data",
    "nets": "for other nets, which see no data set",
    "processes": "for other processes on this machine",
}


def populated(sample: PerSeed, part: Part, ratio: float, folds: int, fresh: bool) -> PerSeed:
    """Complete a sample of one number per seed with the population of a part's intervals.

    `ratio` is the largest n_test / n_train of the runs so far, which is taken where the sample has none; `folds` those
    of the tuning seeds. With `fresh` data each seed draws its own.
    """
    if part.over != "data":
        return replace(sample, ratio=0.0, population=OVER[part.over])
    shared = ratio if sample.ratio is None else sample.ratio
    if shared:
        words = f"for other data like these (test / train = {shared:.2g})"
    else:
        words = "for other seeds with fresh data for each" if fresh else "for other seeds"
    return replace(sample, ratio=shared, folds=folds, population=words + " and other tuning" * (folds > 1))


def populated_rate(sample: Rate | Rates, part: Part, ratio: float, folds: int) -> Rate | Rates:
    """Complete successes with the population of their interval: other seeds on the same data with the same tuning.

    The arguments are as of `populated`; an interval of successes is not made wider for other data or other tuning.
    """
    same = [words for words, holds in (("on these data", ratio), ("with this tuning", folds > 1)) if holds]
    return replace(sample, population=OVER.get(part.over) or " ".join(["for other seeds", *same]))
