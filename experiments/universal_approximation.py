"""One hidden layer approximates every continuous function: by proof, by fit, by training, and at which rate.

The lecture ("Universal Approximation Theorem", after Hornik 1991 and Cybenko 1989): for a nonconstant, bounded,
increasing, continuous σ, every continuous f on the cube and every ε there are N, αᵢ, wᵢ, bᵢ with |Σ αᵢ σ(wᵢx + bᵢ) - f|
< ε. It is decided by building these networks: a construction names its N for any Lipschitz f and ε, with a bound that
is proved between the points of a grid too. Networks that are fitted or trained are kept apart from those.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import workbench as wb

SIZES = [2**power for power in range(1, 10)]  # N
UNITS = [2**power for power in range(2, 8)]  # where the slope of Barron's rate is taken


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Constructions, random hidden units, training, and Barron's rate."""
    yield from constructed(study)
    yield from beyond_the_hypotheses(study)
    yield from random_units(study)
    yield from trained(study)
    yield from rates(study)


def constructed(study: wb.Study) -> Iterator[wb.Cell]:
    """The N that the bound names suffices, and no N goes above its bound."""
    for name in ("density", "not_needed"):
        cells = study.claim.parts[name].cells
        for activation in cells["activation"]:
            for eps in cells["eps"]:
                yield wb.Cell(name, reaches(str(activation), float(eps)), {"activation": activation, "eps": eps})
    rows = []
    for activation in study.claim.parts["bound"].cells["activation"]:
        found = list(errors_by_size(str(activation)))
        rows += found
        ratios = [row["error"] / row["bound"] for row in found]
        above = [row for row, ratio in zip(found, ratios, strict=True) if ratio > 1]
        evidence = wb.Exact(len(found), len(above), max(ratios), f"{above[:1]}", "the weights of the knots sum to 1")
        yield wb.Cell("bound", evidence, {"activation": activation})
    study.keep("constructed", rows)


def reaches(activation: str, eps: float) -> wb.Exact:
    """Of the targets, those whose network of the size that was proved to suffice is not within eps."""
    exact = wb.exact.approximation
    way, sizes, errors = exact.construction(activation), {}, {}
    for name, target in exact.TARGETS.items():
        network = way.build(target.f, way.intervals(target, eps))
        sizes[name], errors[name] = len(network), sup(network, target)
    missed = [name for name, error in errors.items() if not error < eps]
    shown = ", ".join(f"{name} N = {sizes[name]}" for name in sizes)
    slack = max(way.slack(target) for target in exact.TARGETS.values())
    proof = f"error ≤ {way.spread:g} · Lipschitz constant/intervals + {slack:.2g}: {shown}"
    return wb.Exact(len(errors), len(missed), max(errors.values()), f"{missed} above {eps}", proof)


def sup(network: wb.exact.approximation.Network, target: wb.exact.approximation.Target) -> float:
    """The largest error on the grid."""
    return float(wb.exact.fitted.largest_errors([network], [target.f])[0])


def errors_by_size(activation: str) -> Iterator[dict[str, float | str]]:
    """Measured and proved error of every target by the number of units."""
    exact = wb.exact.approximation
    way = exact.construction(activation)
    for target_name, target in exact.TARGETS.items():
        for size in SIZES:
            if (n := way.knots(size)) >= 1:
                network = way.build(target.f, n)
                row = {"activation": activation, "target": target_name, "units": len(network)}
                yield row | {"error": sup(network, target), "bound": way.within(target, n)}


def beyond_the_hypotheses(study: wb.Study) -> Iterator[wb.Cell]:
    """Units that the theorem leaves out, and that approximate nevertheless."""
    for activation in study.claim.parts["recommended"].cells["activation"]:
        lacks = wb.exact.approximation.violated(wb.exact.approximation.make(str(activation)))
        close = reaches(str(activation), 0.01)
        what = f"not {' and not '.join(lacks)}" if lacks else "meets every hypothesis"
        evidence = wb.Exact(1 + close.checked, (not lacks) + close.counterexamples, close.worst, what, what)
        yield wb.Cell("recommended", evidence, {"activation": activation})


def random_units(study: wb.Study) -> Iterator[wb.Cell]:
    """Hidden units at random, the outer weights fitted: rates of success, and the plateau of polynomials."""
    exact, rows = wb.exact.approximation, []
    targets = exact.TARGETS
    names = dict.fromkeys([*study.claim.parts["random_units"].cells["activation"], *study["shown"]])
    arms = {str(name): exact.make(str(name)) for name in names}
    degrees = [int(degree) for degree in study.claim.parts["polynomial"].cells["degree"]]
    arms |= {f"z^{degree}": monomial(degree) for degree in degrees}
    for arm, activation in arms.items():
        for size in SIZES:
            rng = study.rng("hidden units")  # the same draws for every activation
            for seed in study.seeds:
                fs = [target.f for target in targets.values()]
                errors = wb.exact.fitted.largest_errors(wb.exact.fitted.network(rng, activation, size, fs), fs)
                rows += [
                    {"activation": arm, "units": size, "seed": seed, "target": target, "error": error}
                    for target, error in zip(targets, errors, strict=True)
                ]
    table = study.keep("random_units", rows)
    worst = table.groupby(["activation", "units", "seed"])["error"].max()
    for activation in study.claim.parts["random_units"].cells["activation"]:
        for eps in study.claim.parts["random_units"].cells["eps"]:
            largest = worst.loc[activation, SIZES[-1]]
            rate = wb.Rate(int((largest < eps).sum()), len(largest))
            yield wb.Cell("random_units", rate, {"activation": activation, "eps": eps})
    for degree in degrees:
        yield wb.Cell("polynomial", plateau(study, degree), {"degree": degree})


def monomial(degree: int) -> wb.exact.approximation.Activation:
    """σ(z) = z^degree."""
    return wb.exact.approximation.activations.monomial(degree)


def plateau(study: wb.Study, degree: int) -> wb.Exact:
    """Of all networks of z^degree, those that err by less than the best polynomial does."""
    grid, proofs, rows = wb.exact.fitted.GRID, {}, study.tables["random_units"]
    for name, target in wb.exact.approximation.TARGETS.items():
        proofs[name] = wb.exact.polynomials.best(grid, target.f(grid), degree).least
    rows = rows[rows["activation"] == f"z^{degree}"]
    ratios = rows["error"] / rows["target"].map(proofs)
    below = rows[ratios < 1 - 1e-9]
    proof = "alternation: " + ", ".join(f"{name} ≥ {least:.4g}" for name, least in proofs.items())
    return wb.Exact(len(rows), len(below), float(ratios.min()), f"{below[:1].to_dict('records')}", proof)


def trained(study: wb.Study) -> Iterator[wb.Cell]:
    """Training from random weights: seeds whose nets are within eps of all three targets."""
    part, errors = study.claim.parts["trained"], {}
    for arm, overrides in study.claim.arms.items():
        for name in wb.exact.approximation.TARGETS:
            pack = study.pack(*overrides, f"data.target={name}")
            params = study.descend(pack, study["steps"])
            errors[arm, name] = wb.exact.fitted.largest_trained_errors(
                pack.objective.model, params, pack.data.train, wb.exact.approximation.TARGETS[name].f
            )
    study.keep("trained", [{"activation": a, "target": t, "error": e} for (a, t), es in errors.items() for e in es])
    for arm in study.claim.arms:
        worst = np.max([errors[arm, name] for name in wb.exact.approximation.TARGETS], axis=0)
        for eps in part.cells["eps"]:
            yield wb.Cell("trained", wb.Rate(int((worst < eps).sum()), len(worst)), {"activation": arm, "eps": eps})


def barron(wave: wb.exact.greedy.Wave, n: NDArray[np.int64]) -> NDArray[np.float64]:
    """Barron's bound by N."""
    return wave.bound(n)


def rates(study: wb.Study) -> Iterator[wb.Cell]:
    """Greedy networks of a wave in d dimensions, along its own frequency and across it."""
    greedy, rows, n = wb.exact.greedy, [], np.arange(1, UNITS[-1] + 1)
    for d in study.claim.parts["barron_rate"].cells["dimension"]:
        size = int(d), study["points"], study["candidates"], len(n)
        several = [greedy.built(np.random.default_rng([seed, int(d)]), *size) for seed in study.seeds]
        limits = np.array([barron(one.wave, n) for one in several])
        ratios = np.array([one.along for one in several]) / limits
        vacuous = (limits >= np.array([[one.variance] for one in several])).sum()
        note = f"{vacuous} of {limits.size} bounds are above the variance of f and say nothing"
        evidence = wb.Exact(ratios.size, int((ratios > 1).sum()), float(ratios.max()), f"{ratios.max():g} of it", note)
        yield wb.Cell("barron_bound", evidence, {"dimension": d})
        for part, way in (("barron_rate", "along"), ("random_directions", "across")):
            found = [getattr(one, way) for one in several]
            yield wb.Cell(part, wb.PerSeed(tuple(greedy.slope(one, UNITS) for one in found)), {"dimension": d})
            rows += [{"d": d, "way": way, "n": k, "error": one[k - 1]} for one in found for k in UNITS]
    study.keep("greedy", rows)


def draw(figure: Figure, study: wb.Study) -> None:
    """Errors by the number of units: built, fitted, greedy."""
    built, fitted, greedy = figure.subplots(1, 3)
    table = study.tables["constructed"]
    for activation, rows in table[table["target"] == "sine"].groupby("activation", sort=False):
        if activation in ("sigmoid", "relu", "bump"):
            (line,) = built.plot(rows["units"], rows["error"], "o-", markersize=3, label=str(activation))
            built.plot(rows["units"], rows["bound"], ":", color=line.get_color())
    table = study.tables["random_units"]
    medians = table[table["target"] == "corner"].groupby(["activation", "units"], sort=False)["error"].median()
    for activation in ("sigmoid", "relu", "bump", "z^2", "z^5"):
        if activation in medians.index:
            fitted.plot(medians[activation].index, medians[activation], "o-", markersize=3, label=activation)
    table = study.tables["greedy"]
    medians = table.groupby(["d", "way", "n"])["error"].median()
    for color, d in enumerate(dict.fromkeys(table["d"])):
        greedy.plot(
            UNITS, medians[d, "along"].clip(lower=1e-16), "o-", markersize=3, color=f"C{color}", label=f"d = {d}"
        )
        greedy.plot(UNITS, medians[d, "across"].clip(lower=1e-16), "--", color=f"C{color}")
    greedy.plot(UNITS, [4 * np.pi**2 / k for k in UNITS], "k:", label="Barron's bound")
    titles = ("built, with its bound: sin 2πx", "fitted: |x - 0.3|", "greedy: a wave of d variables")
    for axes, title in zip((built, fitted, greedy), titles, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="units N", title=title)
        axes.title.set_fontsize(9)
        axes.legend(fontsize="x-small")
    built.set_ylabel("largest error")
    greedy.set_ylabel("mean squared error")


if __name__ == "__main__":
    wb.reproduce("universal_approximation")
