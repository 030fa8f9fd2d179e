"""Backpropagation: are the lecture's formulas the gradient of its J?

Slides "Neural Network Model" to "Forward Propagation", and "Learning: Backpropagation for Regression" to the last.
Random nets of every depth, unit, loss, m and λ decide: the formulas, corrected where slides disagree, against automatic
differentiation and against differences of J. The steps of the derivation are checked in whole numbers. Then the
formulas as printed, which must not give any net's gradient if the corrections are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

import workbench as wb
from workbench.lecture.chain_rule import EXAMPLES, POINTS
from workbench.lecture.explain.chain import polynomial
from workbench.nn.params import Params

from . import chain_rules, exact_nets, forward_passes, gradient_errors, printed_formulas, random_problems


def gradient(problem: random_problems.Problem) -> Params:
    """The formulas under test: the lecture's, corrected."""
    return random_problems.lecture(problem)


def problems(study: wb.Study, name: str, nets: int, **where: Any) -> Iterator[random_problems.Problem]:
    """Random nets, a batch for each shape."""
    where = {"layers": study["layers"], "examples": study["examples"], **where}
    return gradient_errors.problems(study.rng(name), nets, **where)


def exactly(
    several: Iterable[random_problems.Problem], tolerance: float, error: Callable[..., Tensor], *by: object
) -> wb.Exact:
    """Evidence from the errors of all nets, with the worst of them as example."""
    errors, example = gradient_errors.errors(several, error, *by)
    return wb.Exact.within(errors, tolerance, example, f"largest error {max(errors):.1e}")


def measure(study: wb.Study) -> Iterator[wb.Cell]:
    """The formulas in every cell, their forms, the V over h, and what is printed."""
    for several in (forward, derived, chain_rule, gradients, softmax, rounded, forms, steps, printed, saturated):
        yield from several(study)


def forward(study: wb.Study) -> Iterator[wb.Cell]:
    """Forward propagation in all its forms, and which unit each weight leads to."""
    for name, (one, other) in forward_passes.PAIRS.items():
        evidence = exactly(problems(study, f"forward {name}", study["scalar"]), 1e-13, forward_passes.apart, one, other)
        yield wb.Cell("forward", evidence, {"forms": name})
    nets = problems(study, "connections", study["scalar"], activations=["tanh"], examples=[2], penalties=[0.0])
    deviations = [one for given in nets for one in forward_passes.misplaced(given).flatten().tolist()]
    worst = f"off by {max(deviations):.2g}"
    yield wb.Cell("connections", wb.Exact.within(deviations, 1e-12, worst, worst))


def derived(study: wb.Study) -> Iterator[wb.Cell]:
    """Every step of the derivation of δ, in whole numbers."""
    exact, nets = exact_nets, list(exact_nets.draw(study.rng("whole numbers"), study["whole"]))
    sides: dict[tuple[str, str, str], exact_nets.Equations] = {
        ("only_through", "through", "z of the next layer's unit"): exact.through_z,
        ("only_through", "through", "a of the next layer"): exact.through_next_layer,
        ("by_delta", "by", "W_ij"): exact.by_weight,
        ("by_delta", "by", "b_i"): exact.by_bias,
        ("delta", "of", "any layer"): exact.delta,
        ("delta", "of", "hidden layers"): exact.hidden,
        ("delta", "of", "the output layer"): exact.output,
    }
    sides |= {("recursion", "form", name): partial(exact.recursion, form=form) for name, form in exact.FORMS.items()}
    proof = f"{len(nets)} nets of whole numbers; nothing is rounded"
    for (part, key, value), both in sides.items():
        checked, wrong, example = exact.unequal(nets, both)
        yield wb.Cell(part, wb.Exact(checked, wrong, 0.0, example, proof), {key: value})


def chain_rule(study: wb.Study) -> Iterator[wb.Cell]:
    """The lecture's examples and random compositions: by the rule, and by the derivative of what is multiplied out."""
    for name, example in EXAMPLES.items():
        found = example.by_chain_rule()
        wrong = (found != example.directly()) + len(example.wrong_at())
        text = f"∂f/∂x = {polynomial(found)}, by differences of f's values at {len(POINTS)} rational points too"
        where = {"rule": name, "of": "the lecture's example"}
        yield wb.Cell("chain_rule", wb.Exact(1 + len(POINTS), wrong, 0.0, text, text), where)
        count = study["whole"]
        wrong, first = chain_rules.unequal(name, study.rng(f"{name} chain rule"), count)
        proof = "polynomials with whole coefficients; nothing is rounded"
        yield wb.Cell(
            "chain_rule", wb.Exact(count, wrong, 0.0, first, proof), {"rule": name, "of": "random polynomials"}
        )


def gradients(study: wb.Study) -> Iterator[wb.Cell]:
    """The formulas against both references, for every unit and loss."""
    checks, nn = gradient_errors, random_problems
    for loss in nn.LOSSES:
        for activation in nn.ACTIVATIONS:
            cell, own = {"activation": activation, "loss": loss}, {"activations": [activation], "losses": [loss]}
            nets = list(problems(study, f"{activation} {loss}", study["nets"], **own))
            yield wb.Cell("autograd", exactly(nets, 1e-10, checks.from_autograd, gradient), cell)
            few = problems(study, f"differences {activation} {loss}", study["differenced"], **own)
            part = "kinks" if "relu" in activation else "differences"
            yield wb.Cell(part, exactly(few, 1e-7, checks.from_differences, gradient), cell)


def softmax(study: wb.Study) -> Iterator[wb.Cell]:
    """The softmax layer, the steps of its slides, and two classes as a logistic output."""
    only, several, nets = {"losses": ["softmax"]}, printed_formulas, study["scalar"]
    checks = {
        "softmax_output": (1e-12, forward_passes.softmax_apart, problems(study, "softmax", nets, **only)),
        "softmax_steps": (
            1e-10,
            several.but_softmax_bias,
            problems(study, "softmax steps", nets, **only, layers=range(3, 8), examples=[1], penalties=[0.0]),
        ),
        "two_classes": (
            1e-13,
            lambda one: gradient_errors.apart(one, several.as_logistic, random_problems.MATRICES),
            problems(study, "two classes", nets, **only, penalties=[0.0], outputs=2),
        ),
    }
    for part, (tolerance, error, given) in checks.items():
        yield wb.Cell(part, exactly(given, tolerance, error))


def rounded(study: wb.Study) -> Iterator[wb.Cell]:
    """The formulas in float32 on many nets: it is few of them whose gradient is a difference that cancels."""
    for loss in random_problems.LOSSES:
        nets = (one.single() for one in problems(study, f"float32 {loss}", study["rounded"], losses=[loss]))
        evidence = exactly(nets, 1e-4, gradient_errors.from_double_precision, gradient)
        yield wb.Cell("single_precision", evidence, {"loss": loss})


def forms(study: wb.Study) -> Iterator[wb.Cell]:
    """One gradient written as sums, vectors and matrices."""
    nn, few = random_problems, {"activations": ["tanh"], "examples": [2], "penalties": [0.1]}
    pairs = {"sums and vectors": (nn.SUMS, nn.VECTORS, few), "vectors and matrices": (nn.VECTORS, nn.MATRICES, {})}
    for name, (one, other, where) in pairs.items():
        nets = problems(study, name, study["scalar"], **where)
        yield wb.Cell("vectorized", exactly(nets, 1e-13, gradient_errors.apart, one, other), {"forms": name})


def steps(study: wb.Study) -> Iterator[wb.Cell]:
    """The V of central differences, net by net; without hidden units J is a parabola: no truncation, no V."""
    checks = gradient_errors
    smooth = {"layers": range(3, 8), "activations": checks.SMOOTH, "examples": [2], "penalties": [0.0]}
    curves = checks.curves(problems(study, "steps", study["curves"], **smooth), gradient)
    yield wb.Cell("truncation", wb.PerSeed(tuple(curves.slope(-2, -4))))
    yield wb.Cell("rounding", wb.PerSeed(tuple(curves.slope(-7, -10))))
    yield wb.Cell("best_step", wb.PerSeed(tuple(curves.best())))
    low, median, high = curves.quantiles([0.05, 0.5, 0.95])
    study.keep("steps", {"h": checks.STEPS, "low": low, "median": median, "high": high})


def printed(study: wb.Study) -> Iterator[wb.Cell]:
    """Every printed formula on the nets it is for."""
    rows = []
    for part, declared in study.claim.parts.items():
        for name in declared.values("erratum", str) if "erratum" in declared.cells else ():
            found = printed_formulas.run(name, study.rng(name), study["misprinted"])
            yield wb.Cell(part, wb.Exact(found.nets, found.right, 0.0, found.example, found.proof), {"erratum": name})
            rows.append({"erratum": name, "nets": found.nets, "right": found.right})
            rows[-1] |= {"impossible": found.impossible, "least": found.least}
    study.keep("printed", rows)


def saturated(study: wb.Study) -> Iterator[wb.Cell]:
    """Find where rounding loses a − y when it is computed from a."""
    for dtype in study.claim.parts["saturated_output"].values("dtype", str):
        z, gone = gradient_errors.first_lost_output(dtype)
        what = f"a − y = 0 from logit {z:.1f} on, where it should be −{gone:.2g}"
        yield wb.Cell("saturated_output", wb.Witness(z < np.inf, what, True, z), {"dtype": dtype})
