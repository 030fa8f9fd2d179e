"""One hidden layer approximates every continuous function: by proof, by fit, by training, and at which rate.

The lecture ("Universal Approximation Theorem", after Hornik 1991 and Cybenko 1989): for a nonconstant, bounded,
increasing, continuous σ, every continuous f on the cube and every ε there are N, αᵢ, wᵢ, bᵢ with |Σ αᵢ σ(wᵢx + bᵢ) - f|
< ε. It is decided by building these networks: a construction names its N for any Lipschitz f and ε, with a bound that
is proved between the points of a grid too. Networks that are fitted or trained are kept apart from those.
"""

from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

import workbench as wb

from . import approximation, constructed_nets, greedy_nets, least_squares_nets, several_inputs

SIZES = [2**power for power in range(1, 10)]  # N
SEVERAL = several_inputs.SIZES
MORE = {2: "two_inputs", 3: "three_inputs"}  # parts by number of inputs
UNITS = [2**power for power in range(2, 8)]  # where the slope of Barron's rate is taken


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Constructions, random hidden units, several inputs, training, and Barron's rate."""
    for several in (constructed, random_units, more_inputs, trained, rates):
        yield from several(study)


def constructed(study: wb.Study) -> Iterator[wb.Cell]:
    """The N that the bound names suffices, also for units that the theorem leaves out; no N goes above its bound."""
    for part in ("density", "not_needed"):
        declared = study.claim.parts[part]
        for activation, eps in product(declared.values("activation", str), declared.values("eps", float)):
            yield wb.Cell(part, reaches(activation, eps), {"activation": activation, "eps": eps})
    for activation in study.claim.parts["recommended"].values("activation", str):
        lacks, close = approximation.violated(activation), reaches(activation, 0.01)
        what = f"not {' and not '.join(lacks)}" if lacks else "meets every hypothesis"
        evidence = wb.Exact(1 + close.checked, (not lacks) + close.counterexamples, close.worst, what, what)
        yield wb.Cell("recommended", evidence, {"activation": activation})
    rows = []
    for activation in study.claim.parts["bound"].values("activation", str):
        found = list(constructed_nets.by_size(activation, SIZES))
        ratios, above = [one.error / one.bound for one in found], [one for one in found if one.error > one.bound]
        evidence = wb.Exact.within(ratios, 1, f"{above[:1]}", "the weights of the knots sum to 1")
        yield wb.Cell("bound", evidence, {"activation": activation})
        rows += found
    study.keep("constructed", rows)


def reaches(activation: str, eps: float) -> wb.Exact:
    """List the targets whose network, of the size that is proved to suffice, is not within eps."""
    errors, proof = constructed_nets.named(activation, eps)
    missed = [name for name, error in errors.items() if not error < eps]
    return wb.Exact(len(errors), len(missed), max(errors.values()), f"{missed} above {eps}", proof)


def random_units(study: wb.Study) -> Iterator[wb.Cell]:
    """Hidden units at random, the outer weights fitted: rates of success, and the plateau of polynomials."""
    part, degrees = study.claim.parts["random_units"], study.claim.parts["polynomial"].values("degree", int)
    names = [*part.values("activation", str), *study["shown"], *(f"z^{degree}" for degree in degrees)]
    rows = list(least_squares_nets.random_networks(partial(study.rng, "hidden units"), names, SIZES, study.seeds))
    table = study.keep("random_units", rows)
    worst = table[table["units"] == SIZES[-1]].groupby(["activation", "seed"])["error"].max()
    for activation, eps in product(part.values("activation", str), part.values("eps", float)):
        yield wb.Cell("random_units", wb.Rate.of(worst[activation] < eps), {"activation": activation, "eps": eps})
    for degree in degrees:
        ratios, proof = least_squares_nets.against_polynomials(rows, degree)
        below = sum(ratio < 1 - 1e-9 for ratio in ratios)
        yield wb.Cell("polynomial", wb.Exact(len(ratios), below, min(ratios), proof, proof), {"degree": degree})


def more_inputs(study: wb.Study) -> Iterator[wb.Cell]:
    """Two and three inputs: a network within ε of all functions on a grid, fitted on every second point of it."""
    rows = []
    for inputs, name in MORE.items():
        part = study.claim.parts[name]
        bounds = part.values("eps", float)
        for activation in part.values("activation", str):
            rng = study.rng(f"{inputs} inputs, {activation}")
            taken = several_inputs.enough(several_inputs.fits(rng, activation, inputs, SEVERAL[inputs]), bounds)
            for eps in bounds:
                size, error = several_inputs.first_within(taken, eps)
                what = f"{f'N = {size}' if size else f'no N up to {SEVERAL[inputs][-1]}'}: largest error {error:.2g}"
                evidence = wb.Witness(size is not None, what, value=size)
                yield wb.Cell(name, evidence, {"activation": activation, "eps": eps})
            rows += taken
    study.keep("several_inputs", rows)


def trained(study: wb.Study) -> Iterator[wb.Cell]:
    """Training from random weights: seeds whose nets are within eps of all three targets."""
    errors, targets = {}, approximation.TARGETS
    for arm, name in product(study.claim.arms, targets):
        pack = study.pack(*study.claim.arms[arm], f"data.target={name}")
        net = pack.objective.model, study.descend(pack, study["steps"]), pack.data.train
        errors[arm, name] = least_squares_nets.largest_trained_errors(*net, targets[name].f)
    study.keep("trained", [{"activation": a, "target": t, "error": e} for (a, t), es in errors.items() for e in es])
    for arm, eps in product(study.claim.arms, study.claim.parts["trained"].values("eps", float)):
        worst = np.max([errors[arm, name] for name in targets], axis=0)
        yield wb.Cell("trained", wb.Rate.of(worst < eps), {"activation": arm, "eps": eps})


def rates(study: wb.Study) -> Iterator[wb.Cell]:
    """Greedy networks of a wave in d dimensions: within Barron's bound along its own frequency, and across it."""
    greedy, rows, n = greedy_nets, [], np.arange(1, UNITS[-1] + 1)
    for d in study.claim.parts["barron_bound"].values("dimension", int):
        size = d, study["points"], study["candidates"], len(n)
        several = [greedy.built(np.random.default_rng([seed, d]), *size) for seed in study.seeds]
        ratios, note = greedy.against_bound(several, n)
        evidence = wb.Exact.within(ratios.flat, 1, f"{ratios.max():g} of it", note)
        yield wb.Cell("barron_bound", evidence, {"dimension": d})
        slopes = tuple(greedy.slope(one.across, UNITS) for one in several)
        yield wb.Cell("random_directions", wb.PerSeed(slopes), {"dimension": d})
        for way in ("along", "across"):
            found = [getattr(one, way) for one in several]
            rows += [{"d": d, "way": way, "n": k, "error": one[k - 1]} for one in found for k in UNITS]
    study.keep("greedy", rows)
