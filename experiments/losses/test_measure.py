"""Losses and the regularizer: what is exact, and false variants that must be refuted."""

from typing import Any

import pytest
from matplotlib.figure import Figure
from workbench.experiments.losses import loss_factors

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label
from workbench.nn import objective
from workbench.nn.losses import binary_nll
from workbench.nn.params import Params

SMALL = {"seeds": 8, "nets": 3, "logits": 50}  # with fewer seeds none of two cells can refute alone
EXACT = ("factor", "penalty", "bounded_output")
STARTS = ("bad_start", "good_start", "linear_squares", "softmax_squares")
COMPARED = (*STARTS, "closed_form")
WINE: dict[str, Any] = {
    "DECIDING": ("wine", 2),
    "FEW": {
        "diabetes": ["data=diabetes", "train.epochs=5", "split.valid=0.2", "split.test=0.5"],
        "digits": ["data=digits", "train.epochs=3", "train.batch_size=20", "split.valid=0.1", "split.test=0.844"],
    },
}


def exact_only(**module: Any) -> dict[str, Any]:
    """The parts that need no training."""

    def only(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in EXACT}

    return judged("losses", SMALL, only, {"losses": nothing, "regularizer": nothing, **module})


def nothing(study: Any) -> Any:
    """No cells."""
    return iter(())


def short(node: dict[str, Any]) -> None:
    """Shrink the claim to one small data set, one tuning seed, and half of the rates."""
    for name in COMPARED:
        node["parts"][name]["cells"]["data"] = ["wine"]
    node["parts"]["bad_start"]["decided_by"] = {"data": "wine", "depth": 2}
    node["tuning_seeds"] = 1
    node["learning_rates"] = [0.01, 0.03, 0.1, 0.3, 1.0]


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has evidence of the seeds asked for, a bad start tells losses apart, and the figure draws."""
    study, found = studied("losses", SMALL, short, WINE)
    assert {cell.judgment.n for name in COMPARED for cell in found[name].cells} == {8}
    assert found["bad_start"].label is Label.supported
    assert len(study.tables["regularizer"]) == 2 * 5 * 8
    study.entry.load_figure().draw(Figure(), study)


def test_what_is_exact_is_supported() -> None:
    """Exact parts are supported in every cell."""
    parts = exact_only()
    assert {cell.judgment.label for name in EXACT for cell in parts[name].cells} == {Label.supported}


def test_likelihood_in_the_place_of_squares_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihood in place of squares is refuted, because its δ has no factor f′."""
    monkeypatch.setattr(loss_factors, "squared_error", lambda output=None: binary_nll())
    found = exact_only()["factor"]
    assert [cell.at["output"] for cell in found.cells if cell.judgment.label is Label.refuted] == ["sigmoid"]


def test_biases_that_decay_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalty whose sum of squares runs over biases too is refuted."""

    def everything(grads: Params, params: Params, weight_decay: Any) -> None:
        grads.trained.add_(weight_decay.unsqueeze(1) * params.trained)

    monkeypatch.setattr(objective, "add_l2_gradient", everything)
    assert exact_only()["penalty"].label is Label.refuted


def test_an_output_that_reaches_every_target_is_no_contradiction() -> None:
    """An output that reaches every target fits it, so that the contradiction is refuted."""
    assert exact_only(RANGES={"sigmoid": (25, 346), "tanh": (-1, 1)})["bounded_output"].label is Label.refuted


def test_the_same_loss_twice_is_not_better() -> None:
    """The same loss in both arms is refuted as better and supported as good as itself."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = dict.fromkeys(node["arms"], node["arms"]["likelihood"])
        node["parts"] = {name: node["parts"][name] for name in COMPARED}

    found = judged("losses", SMALL, same, {**WINE, "exact": nothing, "regularizer": nothing})
    assert {cell.judgment.label for name in STARTS[:2] for cell in found[name].cells} == {Label.refuted}
    assert {cell.judgment.label for name in STARTS[2:] for cell in found[name].cells} == {Label.supported}
