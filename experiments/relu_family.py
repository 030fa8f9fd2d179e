"""|z|, leaky ReLU and maxout: what contains what, exactly; what k pieces can fit; and what training makes of it.

The lecture ("ReLU and Generalizations") gives g(z) = |z|, max(0, a) + α min(0, a), and the maximum of k affine maps,
which needs k weight vectors. The identities are checked on the package's own units and layers, values and hand-written
derivatives. How well k pieces fit is decided in rational numbers for x²: lifted tangents miss it by 1/(2k²), and second
differences show that nothing does better. Training, with rates tuned for each arm, is beyond the lecture.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from matplotlib.figure import Figure

import workbench as wb

TOLERANCE = 1e-12
ALPHAS = (0.01, 0.3, -0.5)
PIECES = {"relu": (1, 0), "absolute": (1, -1), "leaky_relu": (1, 0.01)}  # f(z) = max of these times z
FEW_AND_MANY = (1, 2, 8, 64)
# f = Σ c g(s z), as (f, its settings, [(c, g, s, its settings)])
IDENTITIES = {
    "absolute": [("absolute", {}, [(1, "relu", 1, {}), (1, "relu", -1, {})])],
    "relu from absolute": [("relu", {}, [(0.5, "identity", 1, {}), (0.5, "absolute", 1, {})])],
    "leaky": [("leaky_relu", {"slope": a}, [(1, "relu", 1, {}), (-a, "relu", -1, {})]) for a in ALPHAS],
    "leaky from relu": [("leaky_relu", {"slope": a}, [(a, "identity", 1, {}), (1 - a, "relu", 1, {})]) for a in ALPHAS],
    "leaky from absolute": [
        ("leaky_relu", {"slope": a}, [((1 + a) / 2, "identity", 1, {}), ((1 - a) / 2, "absolute", 1, {})])
        for a in ALPHAS
    ],
    "leaky 0": [("relu", {}, [(1, "leaky_relu", 1, {"slope": 0.0})])],
    "leaky -1": [("absolute", {}, [(1, "leaky_relu", 1, {"slope": -1.0})])],
    "leaky 1": [("identity", {}, [(1, "leaky_relu", 1, {"slope": 1.0})])],
}


def best_error(k: int) -> Fraction:
    """Of k pieces for x² on [-1, 1]."""
    return Fraction(1, 2 * k * k)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Identities, fits, the contradiction, training."""
    for name, cases in IDENTITIES.items():
        yield wb.Cell("identities", identity(name, cases, study["z"]), {"identity": name})
    for unit, scales in PIECES.items():
        yield wb.Cell("contained", contained(unit, scales, study["layers"]), {"unit": unit})
    for k in study.claim.parts["weight_vectors"].cells["k"]:
        yield wb.Cell("weight_vectors", weight_vectors(k, study["layers"]), {"k": k})
        yield wb.Cell("square", square(k), {"k": k})
    for name in study.claim.parts["convex"].cells["function"]:
        yield wb.Cell("convex", convex(name), {"function": name})
    for unit in study.claim.parts["not_monotone"].cells["unit"]:
        yield wb.Cell("not_monotone", falls_and_rises(unit), {"unit": unit})
    yield from training(study)


def identity(name: str, cases: list, count: int) -> wb.Exact:
    """Values and derivatives of both sides at z of both signs and all magnitudes."""
    z = wb.exact.maxout.inputs_away_from_ties(count, 0)
    off = []
    for unit, settings, terms in cases:
        value, slope = wb.exact.maxout.unit(unit, z, **settings)
        for c, other, s, own in terms:
            part, part_slope = wb.exact.maxout.unit(other, s * z, **own)
            value, slope = value - c * part, slope - c * s * part_slope
        off.append(torch.maximum(value.abs() / z.abs().clamp(min=1), slope.abs()))
    return _exact(torch.cat(off).tolist(), name)


def _exact(off: list[float], what: str) -> wb.Exact:
    bad, worst = sum(value > TOLERANCE for value in off), max(off)
    return wb.Exact(len(off), bad, worst, f"{what}: off by {worst:.3g}", f"equal to {worst:.1g}")


def contained(unit: str, scales: tuple[float, ...], layers: int) -> wb.Exact:
    """The unit's layer and the maxout layer with its weight vector times each scale."""
    off = [max(wb.exact.maxout.containment(unit, scales, seed).values()) for seed in range(layers)]
    return _exact(off, f"{unit} by {len(scales)} pieces")


def weight_vectors(k: int, units: int) -> wb.Exact:
    """How many weights there are, and how many pieces they make: lifted tangents make all k."""
    slopes, offsets = zip(*wb.exact.maxout.square_fit(k), strict=True)
    made = wb.exact.regions.regions_of_the_input(wb.exact.maxout.maxout_unit(slopes, offsets))
    found = wb.exact.maxout.regions_of_units(k, units, seed=k)
    wrong = sum(pieces > k for pieces in found) + (made != k) + (wb.exact.maxout.weight_vectors(k) != k)
    why = "between two breakpoints one of k affine functions is the largest, and each on one interval, by convexity"
    return wb.Exact(
        units + 2, wrong, example=f"k = {k}: {made} pieces constructed, up to {max(found)}", certificate=why
    )


def square(k: int) -> wb.Exact:
    """Upper bound, lower bound and layer against the formula."""
    claimed = best_error(k)
    upper, lower = wb.exact.maxout.square_error(wb.exact.maxout.square_fit(k)), wb.exact.maxout.square_bound(k)
    function = wb.exact.maxout.CONVEX["x²"]
    layer = wb.exact.maxout.attained(function, wb.exact.maxout.best_fit(function, k))
    wrong = (upper != claimed) + (lower != claimed) + (abs(layer - claimed) > TOLERANCE)
    why = f"on an interval of length {Fraction(2, k)} the second difference of x² is {4 * lower}, of affine functions 0"
    return wb.Exact(3, wrong, example=f"k = {k}: {lower} at least, {upper} attained", certificate=why)


def convex(name: str) -> wb.Exact:
    """The best error, found on equal errors, is what the layer has, and falls as the law says."""
    function = wb.exact.maxout.CONVEX[name]
    fits = {k: wb.exact.maxout.best_fit(function, k) for k in FEW_AND_MANY}
    off = [abs(wb.exact.maxout.attained(function, fit) - fit.error) for fit in fits.values()]
    scaled = 16 * FEW_AND_MANY[-1] ** 2 * fits[FEW_AND_MANY[-1]].error
    limit = function.curvature**2
    wrong = sum(value > 1e-9 for value in off) + (abs(scaled - limit) > 0.05 * limit + 1e-9)
    found = f"16 k² error is {scaled:.4g} at k = 64, its limit {limit:.4g}"
    return wb.Exact(len(off) + 1, wrong, example=f"{name}: {found}", certificate=found)


def falls_and_rises(unit: str) -> wb.Witness:
    """f(-1) > f(0) < f(1), of |z| and of max(z, -z)."""
    z = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    if unit == "maxout":
        of_x = wb.exact.maxout.maxout_unit((1, -1), (0, 0)).curve(torch.zeros(1).double(), torch.ones(1).double())
        a = of_x(z)[:, 0].tolist()
    else:
        a = wb.exact.maxout.unit(unit, z)[0].tolist()
    return wb.Witness(a[0] > a[1] < a[2], f"at z = -1, 0, 1 the values are {', '.join(f'{value:g}' for value in a)}")


def training(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracy on digits, rates tuned with the same budget for each arm, seed by seed."""
    rates = study.claim.parts["same_width"].cells["dropout"]
    arms = {
        f"{name} dropout {rate}": [*overrides, f"architecture.dropout={rate}"]
        for name, overrides in study.claim.arms.items()
        for rate in rates
    }
    trained = study.train(study.tune(arms, tracked=False))
    rows = [{"arm": arm, "accuracy": one} for arm in arms for one in trained.values(arm, "test/accuracy", 0.1)]
    study.keep("accuracy", rows)
    for part in ("same_parameters", "same_width"):
        for rate in rates:
            pair = f"maxout {part.replace('_', ' ')} dropout {rate}", f"relu dropout {rate}"
            yield wb.Cell(part, trained.differences("test/accuracy", *pair, diverged=0.1), {"dropout": rate})


def draw(figure: Figure, study: wb.Study) -> None:
    """Three pieces on x², errors by pieces, accuracy by arm."""
    fit, errors, accuracy = figure.subplots(1, 3)
    x = np.linspace(-1, 1, 400)
    best = wb.exact.maxout.best_fit(wb.exact.maxout.CONVEX["x²"], 3)
    fit.plot(x, x * x, label="x²")
    fit.plot(x, np.max([s * x + c for s, c in zip(best.slopes, best.offsets, strict=True)], 0), label="three pieces")
    fit.set(xlabel="x", ylabel="value")
    fit.legend(fontsize="small", loc="upper center")
    ks = 2 ** np.arange(7)
    for name, function in wb.exact.maxout.CONVEX.items():
        shown = [max(wb.exact.maxout.best_fit(function, int(k)).error, 1e-6) for k in ks]
        errors.loglog(ks, shown, "o-", markersize=3, label=name)
    errors.set(xlabel="pieces k", ylabel="best error (at least 1e-6)", ylim=(5e-7, 50))
    errors.legend(fontsize="small")
    groups = study.tables["accuracy"].groupby("arm", sort=False)
    for number, (_, rows) in enumerate(groups):
        accuracy.plot(rows["accuracy"], [number] * len(rows), "o", markersize=4, alpha=0.5)
    names = [str(arm).replace(" dropout 0.0", "").replace(" dropout", ",\ndropout") for arm, _ in groups]
    accuracy.set_yticks(range(len(names)), names, fontsize="small")
    accuracy.set(xlabel="test accuracy, digits")


if __name__ == "__main__":
    wb.reproduce("relu_family")
