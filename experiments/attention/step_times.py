"""Processor time of a training step as sequences get longer, of two nets."""

from time import process_time

import numpy as np
import scipy

import workbench as wb

LENGTHS, ROUNDS, REPLICAS = (16, 32, 64, 128, 256), 5, 4
FEW = ["data.pairs=4", "data.examples=20", "split.seed=0", "split.valid=0.1", "split.test=0.1"]


def growth(study: wb.Study, first: str, second: str) -> wb.Estimate:
    """Regress ln of the ratio of two nets' times on ln of the number of positions; the slope is a power of it."""
    times = np.array([_medians(study, (first, second), length) for length in LENGTHS])
    fit = scipy.stats.linregress(np.log(LENGTHS), np.log(times[:, 0] / times[:, 1]))
    study.keep("times", {"positions": LENGTHS, first: times[:, 0], second: times[:, 1]})
    return wb.Estimate(float(fit.slope), float(fit.stderr), len(LENGTHS) - 2, len(LENGTHS))


def _medians(study: wb.Study, nets: tuple[str, ...], length: int) -> list[float]:
    """Median time of a step of each net on one batch; nets take turns, after one step that warms up."""
    sizes = [*FEW, f"data.length={length}"]
    packs = [study.pack(*study.claim.arms[net], *sizes, seeds=study.draws(REPLICAS)) for net in nets]
    times = np.zeros((ROUNDS + 1, len(packs)))
    for round_number in range(ROUNDS + 1):
        for place, pack in enumerate(packs):
            start = process_time()
            study.descend(pack, 1)
            times[round_number, place] = process_time() - start
    return list(np.median(times[1:], 0))
