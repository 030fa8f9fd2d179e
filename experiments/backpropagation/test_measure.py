"""The claim on backpropagation, and false variants of it that must be refuted."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor
from workbench.experiments.backpropagation import printed_formulas
from workbench.experiments.backpropagation.printed_formulas import MISPRINTS, Misprint
from workbench.experiments.backpropagation.random_problems import MATRICES, Problem, formula, gradient

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict
from workbench.lecture import textbook
from workbench.lecture.misprints import WeightsOfTheNextLayerIfAny
from workbench.lecture.textbook import ByLayer, Gradients, ManyExamples, Net
from workbench.nn.params import Params

SMALL = {"nets": 1, "rounded": 1, "differenced": 1, "scalar": 1, "curves": 2, "misprinted": 1, "whole": 2}
MEASURED = {
    "forward": ("forward", "connections"),
    "derived": ("only_through", "by_delta", "delta", "recursion"),
    "chain_rule": ("chain_rule",),
    "softmax": ("softmax_output", "softmax_steps", "two_classes"),
    "gradients": ("autograd", "differences", "kinks"),
    "rounded": ("single_precision",),
    "forms": ("vectorized",),
    "steps": ("truncation", "rounding", "best_step"),
    "printed": ("next_weights", "penalty", "skipped_layer", "compressed", "softmax_bias", "readings"),
    "saturated": ("saturated_output",),
}
TINY = {**SMALL, "layers": [3, 4], "examples": [2]}


@pytest.fixture(autouse=True)
def one_smooth_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run printed formulas on nets of one unit in place of three."""
    monkeypatch.setattr(printed_formulas, "SMOOTH", ("tanh",))


def test_every_part_but_some_extensions_is_supported() -> None:
    """Every part but some extensions is supported with one net for each of fewer shapes, and the figure draws."""
    study, parts = studied("backpropagation", {**SMALL, "layers": [2, 4], "examples": [1, 3]})
    for name, part in parts.items():
        if part.role != "extension" or name in ("two_classes", "readings", "kinks", "saturated_output"):
            assert part.label is Label.supported, name
    study.entry.load_figure().draw(Figure(), study)


def only(of: str, **module: Any) -> dict[str, PartVerdict]:
    """The verdicts of one of the claim's measurements on few shapes, with names of its code replaced."""
    others = {name: lambda study: iter(()) for name in MEASURED if name != of}

    def keep(node: dict[str, Any]) -> None:
        node["parts"] = {name: {**node["parts"][name], "role": "primary"} for name in MEASURED[of]}

    return judged("backpropagation", TINY, keep, {**others, **module})


class WrongSign(ManyExamples):
    """Step 3 with a minus."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:  # noqa: E741
        """-(W⁽ˡ⁾)ᵀ delta⁽ˡ⁺¹⁾."""
        return -super().dJ_da(net, delta, l)


class Sum(ManyExamples):
    """Step 4 without / m."""

    def dW(self, delta: ByLayer, a: ByLayer, l: int) -> Tensor:  # noqa: E741
        """delta⁽ˡ⁺¹⁾ (a⁽ˡ⁾)ᵀ."""
        return super().dW(delta, a, l) * a[l].shape[1]


def without_slope(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """f′ = 1 in the hidden layers."""
    flat = replace(net.f, derivative=lambda z, a: torch.ones_like(z))
    return MATRICES(replace(net, f=flat), x, y, lam)


@pytest.mark.parametrize(
    "wrong",
    [
        formula(WrongSign()),
        formula(Sum()),
        without_slope,
        formula(WeightsOfTheNextLayerIfAny()),
        MISPRINTS["E2"].by,
        MISPRINTS["E7"].by,
    ],
)
def test_a_planted_mistake_refutes(wrong: Any) -> None:
    """A wrong sign, a missing f′, a missing / m and printed formulas are refuted by autograd and by differences."""

    def planted(problem: Problem) -> Params:
        try:
            return gradient(problem, wrong)
        except RuntimeError:  # shapes clash: no gradient at all
            return Params.zeros(problem.params.layout.trained, len(problem.x), problem.params.flat)

    parts = only("gradients", gradient=planted) | only("rounded", gradient=planted)
    assert parts["autograd"].label is Label.refuted
    assert parts["differences"].label is Label.refuted
    assert parts["single_precision"].label is Label.refuted


def test_forms_that_differ_refute_vectorized(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over examples in place of their mean refutes that the forms agree."""
    monkeypatch.setattr("workbench.experiments.backpropagation.random_problems.MATRICES", formula(Sum()))
    assert only("forms")["vectorized"].label is Label.refuted


def test_a_false_rule_refutes_what_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inner derivative of 1 refutes the chain rule, and δ without f′ at the output refutes the recursion."""
    monkeypatch.setattr("workbench.lecture.chain_rule.Composition.slope", lambda self, g: 1)
    assert only("chain_rule")["chain_rule"].label is Label.refuted
    right = textbook.regression
    monkeypatch.setattr(textbook, "regression", lambda f: replace(right(f), delta=lambda h, y, z: h - y))
    assert only("derived")["recursion"].label is Label.refuted


@pytest.mark.parametrize(("part", "name"), [("next_weights", "E1"), ("penalty", "E2"), ("skipped_layer", "E3")])
def test_a_misprint_declared_right_refutes_the_contradiction(
    part: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the printed formula right, the part that calls it wrong would be refuted."""
    monkeypatch.setitem(MISPRINTS, name, Misprint(MATRICES, MISPRINTS[name].where))

    def one(node: dict[str, Any]) -> None:
        node["parts"] = {part: {**node["parts"][part], "role": "primary", "cells": {"erratum": [name]}}}

    others = {name: lambda study: iter(()) for name in MEASURED if name != "printed"}
    assert judged("backpropagation", TINY, one, others)[part].label is Label.refuted
