"""Backpropagation: are the lecture's formulas the gradient of its J?

Slides "Backpropagation Algorithm" to "Softmax for Dataset of m Examples". Random nets of every depth, unit, loss, m and
λ decide: the formulas, corrected where slides disagree, against automatic differentiation and against differences of
J. Then the formulas as printed, which must not give any net's gradient if the corrections are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

import workbench as wb
from workbench.nn.params import Params

from . import gradient_errors, printed_formulas, random_problems


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
    for several in (gradients, rounded, forms, steps, printed, saturated):
        yield from several(study)


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
