"""The claim on backpropagation, and false variants of it that must be refuted."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label
from workbench.exact.backpropagation import MATRICES, Problem, formula, gradient
from workbench.exact.misprinted import MISPRINTS, Misprint
from workbench.nn.misprints import WeightsOfTheNextLayerIfAny
from workbench.nn.params import Params
from workbench.nn.textbook import ByLayer, Gradients, ManyExamples, Net

SMALL = {"nets": 1, "differenced": 1, "scalar": 1, "curves": 2, "misprinted": 1}
TINY = {**SMALL, "layers": [3, 4], "examples": [2]}


def test_every_primary_part_and_contradiction_is_supported() -> None:
    """With one net for each shape; the figure draws."""
    study, parts = studied("backpropagation", SMALL)
    for name, part in parts.items():
        if part.role in ("primary", "contradiction") or name in ("readings", "kinks", "saturated_output"):
            assert part.label is Label.supported, name
    study.entry.load().draw(Figure(), study)


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

    parts = judged("backpropagation", TINY, module={"gradient": planted})
    assert parts["autograd"].label is Label.refuted
    assert parts["differences"].label is Label.refuted


def test_forms_that_differ_refute_vectorized(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over examples is not their mean."""
    monkeypatch.setattr("workbench.exact.backpropagation.MATRICES", formula(Sum()))
    assert judged("backpropagation", TINY)["vectorized"].label is Label.refuted


@pytest.mark.parametrize(("part", "name"), [("next_weights", "E1"), ("penalty", "E2"), ("skipped_layer", "E3")])
def test_a_misprint_declared_right_refutes_the_contradiction(
    part: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the printed formula right, the part that calls it wrong would be refuted."""
    monkeypatch.setitem(MISPRINTS, name, Misprint(MATRICES, MISPRINTS[name].where))
    assert judged("backpropagation", TINY)[part].label is Label.refuted
