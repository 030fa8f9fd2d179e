"""Greedy pretraining: the claim measured small, and false variants that must not be supported."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from workbench.experiments.pretraining import initial_gradients

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 8, "nets": 10, "jacobians": 8}  # with fewer seeds none of three cells can refute alone
STARTS = ("gradient_factor", "jacobian_standard", "jacobian_normalized")


def short(node: dict[str, Any]) -> None:
    """Two depths, three layers at most, one tuning seed, few images and epochs."""
    node["parts"]["was_needed"] |= {"cells": {"depth": [1, 3]}, "decided_by": {"depth": 3}}
    node["tuning_seeds"] = 1
    node["learning_rates"] = [0.03, 0.1, 0.2, 0.4, 0.8]
    few = {"pretraining.epochs=20": "pretraining.epochs=3"}
    node["arms"] = {
        name: [*(few.get(one, one) for one in overrides), "train.epochs=12", "split.limit=500"]
        for name, overrides in node["arms"].items()
    }


def test_the_claim_is_measured_and_drawn() -> None:
    """Three logistic layers learn after pretraining and not before, and the figure draws."""
    study, found = studied("pretraining", SMALL, short, {"DEEP": 3, "WIDE": 32, "NARROW": 16})
    study.entry.load_figure().draw(Figure(), study)
    assert found["was_needed"].deciding.judgment.effect > 0.2  # type: ignore[operator]
    assert {cell.judgment.n for cell in found["was_needed"].cells} == {8}
    assert len(study.tables["accuracy"]) == 8 * (8 + 2)


def starts_only(**module: Any) -> dict[str, Any]:
    """Verdicts of the parts on untrained nets."""

    def only(node: dict[str, Any]) -> None:
        node["parts"] = {name: {**node["parts"][name], "role": "primary"} for name in STARTS}
        node["parts"]["gradient_factor"] |= {"cells": {**node["parts"]["gradient_factor"]["cells"], "depth": [5, 12]}}
        node["parts"]["gradient_factor"] |= {"decided_by": "all"}

    return judged("pretraining", SMALL, only, {"training": lambda study: iter(()), **module})


def test_linear_layers_have_the_predicted_factor() -> None:
    """Linear layers have the predicted gradient factor; tanh layers with He's weights do not."""
    cells = {tuple(cell.at.values()): cell.judgment.label for cell in starts_only()["gradient_factor"].cells}
    assert {label for (activation, _, _), label in cells.items() if activation == "identity"} == {Label.supported}
    assert cells["tanh", "he", 12] is Label.refuted


def test_another_prediction_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient factor predicted as twice n Var W is refuted."""
    right = initial_gradients.weight_factor
    monkeypatch.setattr(initial_gradients, "weight_factor", lambda name, width: 2 * right(name, width))
    found = starts_only()["gradient_factor"]
    assert {cell.judgment.label for cell in found.cells if cell.at["activation"] == "identity"} == {Label.refuted}


def test_other_singular_values_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubled singular values of the Jacobians are refuted."""
    right = initial_gradients.mean_singular_values
    monkeypatch.setattr(
        initial_gradients, "mean_singular_values", lambda *given, **named: 2 * np.asarray(right(*given, **named))
    )
    assert starts_only()["jacobian_standard"].label is Label.refuted


def test_an_arm_against_itself_gains_nothing() -> None:
    """Arms without pretraining gain nothing: better by 5 points is refuted."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        arm = ["activation=tanh", "init=glorot", "train.epochs=6", "split.limit=200"]
        node["arms"] = dict.fromkeys(node["arms"], arm)
        node["parts"] = {name: part for name, part in node["parts"].items() if name not in STARTS}
        node["parts"]["was_needed"] |= {"cells": {"depth": [1]}, "decided_by": "all"}

    found = judged("pretraining", SMALL, same, {"DEEP": 1, "starts": lambda study: iter(())})
    assert found["was_needed"].label is Label.refuted
    assert found["init_suffices"].label is Label.supported
