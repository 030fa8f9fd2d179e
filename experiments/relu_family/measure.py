"""|z|, leaky ReLU and maxout: what contains what, exactly; what k pieces can fit; and what training makes of it.

The lecture ("ReLU and Generalizations") gives g(z) = |z|, max(0, a) + α min(0, a), and the maximum of k affine maps,
which needs k weight vectors. The identities are checked on the package's own units and layers, values and hand-written
derivatives. How well k pieces fit is decided in rational numbers for x²: lifted tangents miss it by 1/(2k²), and second
differences show that nothing does better. Training, with rates tuned for each arm, is beyond the lecture.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

import workbench as wb

from . import identities, maxout_fits

TOLERANCE = 1e-12
SUCCESS = 0.85  # test accuracy of a run that did not collapse
PIECES = {"relu": (1, 0), "absolute": (1, -1), "leaky_relu": (1, 0.01)}  # f(z) = max of these times z
FEW_AND_MANY = (1, 2, 8, 64)


def best_error(k: int) -> Fraction:
    """Smallest error of k pieces for x² on [-1, 1]."""
    return Fraction(1, 2 * k * k)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Identities, fits, the contradiction, training."""
    exact, parts = maxout_fits, study.claim.parts
    z = exact.inputs_away_from_ties(study["z"], study.offset)
    for name in parts["identities"].values("identity", str):
        off = identities.deviations(name, z)
        yield wb.Cell("identities", equal(off, name), {"identity": name})
    for unit, scales in PIECES.items():
        off = [max(exact.containment(unit, scales, seed).values()) for seed in study.draws(study["layers"])]
        yield wb.Cell("contained", equal(off, f"{unit} by {len(scales)} pieces"), {"unit": unit})
    for k in parts["weight_vectors"].values("k", int):
        yield wb.Cell("weight_vectors", weight_vectors(k, study["layers"], study.offset), {"k": k})
        yield wb.Cell("square", square(k), {"k": k})
    for name in parts["convex"].values("function", str):
        yield wb.Cell("convex", convex(name), {"function": name})
    for unit in parts["not_monotone"].values("unit", str):
        a = exact.values(unit, (-1.0, 0.0, 1.0))
        what = f"at z = -1, 0, 1 the values are {', '.join(f'{value:g}' for value in a)}"
        yield wb.Cell("not_monotone", wb.Witness(a[0] > a[1] < a[2], what), {"unit": unit})
    yield from training(study)


def equal(off: list[float], what: str) -> wb.Exact:
    """Evidence from deviations of what is said to be equal."""
    return wb.Exact.within(off, TOLERANCE, f"{what}: off by {max(off):.3g}", f"equal to {max(off):.1g}")


def weight_vectors(k: int, units: int, offset: int) -> wb.Exact:
    """Count weights and the pieces they make: lifted tangents make all k."""
    made, found = maxout_fits.pieces_made(k, units, offset + k)
    wrong = sum(pieces > k for pieces in found) + (made != k) + (maxout_fits.weight_vectors(k) != k)
    why = "between two breakpoints one of k affine functions is the largest, and each on one interval, by convexity"
    return wb.Exact(units + 2, wrong, 0.0, f"k = {k}: {made} pieces constructed, up to {max(found)}", why)


def square(k: int) -> wb.Exact:
    """Upper bound, lower bound and layer against the formula."""
    exact, claimed = maxout_fits, best_error(k)
    upper, lower = exact.square_error(exact.square_fit(k)), exact.square_bound(k)
    layer = exact.attained(exact.CONVEX["x²"], exact.best_fit(exact.CONVEX["x²"], k))
    wrong = (upper != claimed) + (lower != claimed) + (abs(layer - claimed) > TOLERANCE)
    why = f"on an interval of length {Fraction(2, k)} the second difference of x² is {4 * lower}, of affine functions 0"
    return wb.Exact(3, wrong, 0.0, f"k = {k}: {lower} at least, {upper} attained", why)


def convex(name: str) -> wb.Exact:
    """The best error, found on equal errors, is what the layer has, and falls as the law says."""
    law = maxout_fits.law(maxout_fits.CONVEX[name], FEW_AND_MANY)
    wrong = sum(value > 1e-9 for value in law.off) + (abs(law.scaled - law.limit) > 0.05 * law.limit + 1e-9)
    found = f"16 k² error is {law.scaled:.4g} at k = 64, its limit {law.limit:.4g}"
    return wb.Exact(len(law.off) + 1, wrong, 0.0, f"{name}: {found}", found)


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracy on digits, rates tuned with the same budget for each arm, seed by seed."""
    rates, metric = study.claim.parts["same_width"].values("dropout", float), "test/accuracy"
    named = [(name, rate) for name in study.claim.arms for rate in rates]
    arms: dict[str, list[str]] = {
        wb.Arm(name, dropout=rate): [*study.claim.arms[name], f"architecture.dropout={rate}"] for name, rate in named
    }
    trained = study.train(study.tune(arms, tracked=False, chance=0.1))
    study.keep("accuracy", [{"arm": arm, "accuracy": one} for arm in arms for one in trained.values(arm, metric, 0.1)])
    for part in ("same_parameters", "same_width"):
        for rate in rates:
            pair = wb.Arm(f"maxout {part.replace('_', ' ')}", dropout=rate), wb.Arm("relu", dropout=rate)
            yield wb.Cell(part, trained.differences(metric, *pair, diverged=0.1), {"dropout": rate})
            ours, relus = (np.array(trained.values(arm, metric, 0.1)) >= SUCCESS for arm in pair)
            where: dict[str, str | float] = {"nets": part.replace("_", " "), "dropout": rate}
            yield wb.Cell("same_success", wb.Rates.of(ours, relus, trained.edge(*pair)), where)
