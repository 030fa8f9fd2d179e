"""Evaluate the lecture's misprinted formulas on random nets: on which do they give the gradient, on which not?

`MISPRINTS` maps the errata about gradients (`lecture.errata` has their slides) to the formula as printed and the nets
that it is printed for.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.lecture import misprints, textbook
from workbench.lecture.misprints import Formula
from workbench.lecture.textbook import Gradients, ManyExamples, Net, OneExample

from .random_problems import Problem, errors, formula, gradient, problem, shapes

SMOOTH = ("sigmoid", "tanh", "softplus")
RIGHT_BELOW = 1e-6
NOT_COMPUTABLE = float("inf")


def printed_error(given: Problem, by: Formula) -> Tensor:
    """Compute the error [R] of every net against autograd; infinite where a term does not exist or shapes clash.

    Raises RuntimeError for other errors of torch than shapes that clash.
    """
    try:
        return errors(gradient(given, by), given.reference())
    except (KeyError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(word in str(error) for word in ("shape", "size")):
            raise
        return torch.full((len(given.x),), NOT_COMPUTABLE, dtype=torch.float64)


def softmax_steps(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """Steps 1 to 7 of slides "Softmax (1)" and "(2)", for one example in the column x; the softmax bias has no step."""
    n, form, target = net.last - 1, OneExample(), y[:, 0]
    z, a = textbook.forward(form, net, x[:, 0])
    error = a[n + 1] - target
    delta = {n: (net.W[n].T @ error) * textbook.slope(net.f, z[n])}
    for l in range(n - 1, 1, -1):
        delta[l] = (net.W[l].T @ delta[l + 1]) * textbook.slope(net.f, z[l])
    dW = {l: torch.outer(delta[l + 1], a[l]) for l in range(1, n)} | {n: torch.outer(error, a[n])}
    db = {l: delta[l + 1] for l in range(1, n)} | {n: torch.zeros_like(error)}
    return Gradients(net.output.cost(a[n + 1], target), dW, db)


def but_softmax_bias(given: Problem) -> Tensor:
    """Compute the error [R] of `softmax_steps` against autograd, without the bias that it has no step for."""
    found, right = gradient(given, softmax_steps), given.reference()
    bias = f"l{len(given.shape.sizes) - 1}.b"
    found[bias].copy_(right[bias])
    return errors(found, right)


def as_logistic(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """Gradient of a softmax net of two classes by the logistic net with w = w₁ - w₂ and b = b₁ - b₂ at its output.

    Slide "Backpropagation: Logistic Regression", which is empty. By w₁ it is the logistic net's, by w₂ its negative.
    """
    last = net.last - 1
    W, b = ({**one, last: one[last][:1] - one[last][1:]} for one in (net.W, net.b))
    logistic = textbook.objective(ManyExamples(), Net(W, b, net.f, textbook.logistic()), x, y[:1])
    dW, db = ({**one, last: torch.cat([one[last], -one[last]])} for one in (logistic.dW, logistic.db))
    return Gradients(logistic.J, dW, db)


@dataclass(frozen=True)
class Misprint:
    """A printed formula and its nets, as arguments of `shapes`; with `equal` widths more formulas can be computed."""

    by: Formula
    where: Mapping[str, Any]
    equal: tuple[bool, ...] = (False, True)


REGRESSION = {"losses": ["squared error of f", "squared error of z"]}
SOFTMAX_ONLY = {"losses": ["softmax"]}
MISPRINTS = {
    "E1": Misprint(formula(misprints.WeightsOfTheNextLayer()), {**REGRESSION, "layers": range(3, 8)}),
    "E1 corrected at the last hidden layer": Misprint(
        formula(misprints.WeightsOfTheNextLayerIfAny()), {**REGRESSION, "layers": range(4, 8)}
    ),
    "E2": Misprint(misprints.without_penalty, {"penalties": [0.1]}),
    "E3": Misprint(formula(misprints.SkippedLayer()), {**SOFTMAX_ONLY, "layers": range(4, 8), "examples": [1]}),
    "E3 with deltas that start as zeros": Misprint(
        formula(misprints.SkippedLayerInZeros()), {**SOFTMAX_ONLY, "layers": range(4, 8), "examples": [1]}
    ),
    "E4": Misprint(formula(misprints.InputEverywhere()), {"layers": range(3, 8)}),
    "E6": Misprint(misprints.softmax_weights_unpenalized, {**SOFTMAX_ONLY, "penalties": [0.1]}),
    "E7": Misprint(misprints.softmax_bias_left_out, SOFTMAX_ONLY),
    "E8": Misprint(misprints.slope_kept_at_the_output, {"losses": ["squared error of z"]}),
    "E12": Misprint(formula(misprints.AverageOfEachColumn()), {"examples": [2, 33]}),
}


@dataclass(frozen=True)
class Outcome:
    """Numbers of `nets` on which the printed formula is `right` or `wrong`, and the `least` error of the wrong ones."""

    nets: int
    right: int
    wrong: int
    least: float
    example: str

    @property
    def impossible(self) -> int:
        """Number of nets for which the printed formula cannot be computed."""
        return self.nets - self.right - self.wrong

    @property
    def proof(self) -> str:
        """Evidence that it is not the gradient, in words."""
        impossible = f"cannot be computed for {self.impossible:,} of them" if self.impossible else ""
        wrong = f"off by {self.least:.2g} or more for {self.wrong:,}" if self.wrong else ""
        return ", ".join(filter(None, (impossible, wrong)))


def run(name: str, rng: np.random.Generator, nets: int) -> Outcome:
    """Evaluate a misprint on `nets` random nets of each of its shapes, with smooth units."""
    misprint = MISPRINTS[name]
    found: list[Tensor] = []
    example = ""
    for equal in misprint.equal:
        for shape in shapes(rng, activations=SMOOTH, equal=equal, **misprint.where):
            error = printed_error(problem(rng, shape, nets), misprint.by)
            found.append(error)
            if bool((error < RIGHT_BELOW).any()):
                example = example or f"right for {shape}"
    each = torch.cat(found)
    right, wrong = each < RIGHT_BELOW, (each >= RIGHT_BELOW) & (each < NOT_COMPUTABLE)
    least = float(each[wrong].min()) if bool(wrong.any()) else NOT_COMPUTABLE
    return Outcome(len(each), int(right.sum()), int(wrong.sum()), least, example)
