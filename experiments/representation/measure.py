"""Two rings: does a change of coordinates make them separable, and does a net learn one?

Slides "The Importance of Representation" and "From Cartesian to Polar Coordinates". What separates the rings is proved
in rational numbers; what a neuron and small nets learn is measured over seeds. The printed angle is proved to lose the
quadrant.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

import workbench as wb

from . import rings

# points for training -> overrides; of 5000 points 4000 are for the test, the fractions keep clear of rounding
SIZES = {50: ["split.valid=0.18995", "train.batch_size=5"], 400: ["split.valid=0.11995", "train.batch_size=40"]}
HIDDEN, SHOWN = (4, 8, 16), (1, 2, 3)
Samples = dict[str, list[tuple[list[list[float]], list[int]]]]  # points and labels, by how many there are
ACCURACY, CHANCE = "test/accuracy", 0.5
LINE = "at distance d ≤ 1 it is 1/2 + (acos(d/2) − acos(d))/2π, which rises to 2/3 at d = 1, and falls beyond"


def angle(x: Fraction, y: Fraction) -> Fraction:
    """Check that the printed angle tan⁻¹|y/x| is the same exactly where |y/x| is."""
    return abs(y / x)


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """Proofs first, then what is learned."""
    yield from proofs(study)
    yield from learning(study)


def proofs(study: wb.Study) -> Iterator[wb.Cell]:
    """Yield the parts that need no training."""
    separation = wb.proofs.separation
    cartesian: Samples = {"circles": [([[1, 0], [2, 0], [-2, 0]], [0, 1, 1])]}
    polar: Samples = {"circles": [([[1, 0], [2, 0]], [0, 1])]}
    for n in SIZES:
        cartesian[f"n={n}"] = [rings.sample("cartesian", seed, n) for seed in study.seeds]
        polar[f"n={n}"] = [rings.sample("polar", seed, n) for seed in study.seeds]
    for name, several in cartesian.items():
        found = [separation.separate(*one) for one in several]
        lines = [str(one) for one in found if isinstance(one, wb.proofs.farkas.Solution)]
        proof = "a point of the inner ring inside a triangle of outer ones, by rational multipliers for every sample"
        if name == "circles" and not lines:
            proof = f"(1, 0) lies between (2, 0) and (−2, 0); {found[0]}"
        yield wb.Cell("no_line", wb.Exact(len(found), len(lines), 0.0, "; ".join(lines[:1]), proof), {"points": name})
    for name, several in polar.items():
        checked, wrong, margin = rings.radius_errors(several)
        proof = f"r − 3/2 has the sign of the label, and is at least {margin:.3f} away from 0"
        yield wb.Cell("polar_line", wb.Exact(checked, wrong, 0.0, "", proof), {"points": name})
    accuracies = map(rings.line_accuracy, np.linspace(0, 3, 3001))
    yield wb.Cell("best_line", wb.Exact.within(accuracies, 2 / 3 + 1e-12, "", LINE))
    groups = rings.groups(1000, angle)
    proof = "each (r, |y/x|) stands for (±x, ±y): two points with y > 0 and two with y < 0"
    yield wb.Cell(
        "folded_angle", wb.Exact(len(groups), len(rings.told_apart(groups)), 0.0, "a group of one half only", proof)
    )
    yield wb.Cell("folded_tree", wb.PerSeed(tuple(rings.tree_gain(seed, 8000) for seed in study.seeds)))


def learning(study: wb.Study) -> Iterator[wb.Cell]:
    """Test accuracies of all arms, each with its own learning rate, for both sizes of training part."""
    wanted = {50: ("cartesian", "polar", *(f"tanh {units}" for units in HIDDEN)), 400: study.claim.arms}
    arms: dict[str, list[str]] = {
        wb.Arm(arm, n=n): [*study.claim.arms[arm], *SIZES[n]] for n, names in wanted.items() for arm in names
    }
    tuned = study.tune(arms, tracked=False, chance=CHANCE)
    trained = study.train(tuned)
    for part, at, n, first, second in compared():
        pair = wb.Arm(first, n=n), wb.Arm(second, n=n)
        yield wb.Cell(part, trained.differences(ACCURACY, *pair, chance=CHANCE), at)
    study.keep("accuracy", [{"arm": arm, "accuracy": one} for arm in arms for one in trained.values(arm, ACCURACY)])
    for units in study.claim.parts["untrained"].values("units", int):
        rng, polar = study.rng("untrained"), trained.values("polar n=400", ACCURACY)
        random = [rings.random_relu_accuracy(rng, units, 400, 4000, seed) for seed in study.seeds]
        own = wb.ArmScores(f"{units} random units", tuple(random), CHANCE)
        scores = own, trained.scores("polar n=400", ACCURACY, CHANCE)
        found = wb.PerSeed(tuple(np.subtract(random, polar)), trained.edge("polar n=400"), scores)
        yield wb.Cell("untrained", found, {"units": units})
    yield from looked_into(study, {arm: tuned[arm] for arm in ("linear n=400", *(f"tanh {h} n=400" for h in HIDDEN))})


def compared() -> Iterator[tuple[str, dict[str, int], int, str, str]]:
    """Part, cell, training points, and the two arms whose accuracy is compared."""
    for n in SIZES:
        yield "by_hand", {"n": n}, n, "polar", "cartesian"
    for units in HIDDEN:
        yield "learned_from_few", {"hidden": units}, 50, f"tanh {units}", "polar"
    for units in (*HIDDEN, *SHOWN):
        yield "learned", {"hidden": units}, 400, f"tanh {units}", "polar"
    yield "linear_layers", {}, 400, "linear", "cartesian"
    yield "nonlinear", {}, 400, "tanh 16", "linear"


def looked_into(study: wb.Study, arms: dict[str, list[str]]) -> Iterator[wb.Cell]:
    """Final parameters: the radius in hidden layers, and the map that linear layers are."""
    again = study.train(arms, tracked=False)
    for units in HIDDEN:
        pack, params = again.final(f"tanh {units} n=400")
        gain = rings.radius_gain(pack.objective.model, params, pack.initial_params(), pack.data)
        yield wb.Cell("radius", wb.PerSeed(tuple(gain), again.at_edge), {"hidden": units})
    pack, params = again.final("linear n=400")
    x, _ = pack.data.chunk(pack.data.test, 0, pack.data.test.size)
    errors = rings.affine_error(pack.objective.model, params, x, layers=3)
    proof = "W⁽³⁾(W⁽²⁾(W⁽¹⁾x + b⁽¹⁾) + b⁽²⁾) + b⁽³⁾ multiplied out"
    yield wb.Cell("one_affine_map", wb.Exact.within(errors, 1e-5, f"off by {errors.max():.2g}", proof))
