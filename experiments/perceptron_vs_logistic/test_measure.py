"""The claim on equal decisions comes out as proved, and what is made false comes out refuted."""

from math import log
from typing import Any

import pytest
import torch
from workbench.experiments.perceptron_vs_logistic import decisions

from tests.claim_reference import judged
from workbench.claims.catalog import choose
from workbench.claims.rules import Label
from workbench.claims.study import Study
from workbench.claims.verdict import PartVerdict
from workbench.nn.activations import Activation

SMALL = {"seeds": 2}
FULL_STOP = Activation(lambda z: (z > 0).to(z.dtype), lambda z, a: torch.zeros_like(z), (0.0, 1.0), max_slope=0.0)


def _untrained() -> dict[str, PartVerdict]:
    """The verdicts that need no training."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in ("decisions", "tie", "rounding")}

    return judged("perceptron_vs_logistic", SMALL, edit, {"trained": lambda study: ()})


def test_what_is_deterministic_comes_out_as_proved() -> None:
    """Deterministic parts come out as proved: equal decisions but for two sets, tie, band, threshold by costs."""
    parts = judged("perceptron_vs_logistic", SMALL)
    proved = ("decisions", "tie", "rounding", "equal_costs")
    assert {parts[name].label for name in proved} == {Label.supported}
    edges = [cell.judgment.effect for cell in parts["rounding"].cells]
    assert edges == [decisions.find_band(dtype).sure for dtype in (torch.float32, torch.float64)]


@pytest.mark.parametrize("factor", [None, 0.0, 0.5, 1.5])
def test_no_band_or_another_is_refuted(factor: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """σ(z) > ½ said to be z ≥ 0 without exceptions, or with a band empty, too short or too long, is refuted."""
    compare = decisions.compare

    def claimed(z: torch.Tensor, band: decisions.Band) -> decisions.Comparison:
        return compare(z, None if factor is None else decisions.Band(factor * band.sure, factor * band.most))

    monkeypatch.setattr(decisions, "compare", claimed)
    assert {cell.judgment.label for cell in _untrained()["decisions"].cells} == {Label.refuted}


def test_a_step_that_agrees_with_the_rule_is_no_contradiction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step with f(0) = 0 would not contradict the lecture's rule, and the predicted tie would be missing."""
    monkeypatch.setattr(decisions, "STEP", FULL_STOP)
    parts = _untrained()
    assert parts["tie"].label is not Label.supported
    assert parts["decisions"].label is Label.refuted


@pytest.mark.parametrize("threshold", [lambda ratio: 0.0, lambda ratio: -log(eval(ratio))], ids=["zero", "turned"])
def test_another_threshold_for_unequal_costs_is_refuted(threshold: Any) -> None:
    """A threshold that stays 0 for unequal costs, or moves to the other side, is refuted."""
    parts = judged("perceptron_vs_logistic", {"seeds": 12}, module={"best_threshold": threshold})
    cells = {cell.where: cell.judgment.label for cell in parts["equal_costs"].cells}
    assert cells.pop("ratio=1/1") is Label.supported
    assert set(cells.values()) == {Label.refuted}
    assert parts["paid_costs"].label is not Label.supported


def test_one_rule_twice_learns_one_decision() -> None:
    """Two logistic neurons said to decide differently are refuted: they do not."""

    def edit(node: dict[str, Any]) -> None:
        node["arms"] = {"logistic": [], "perceptron": ["optimizer.lr=0.3"]}
        node["tuning_seeds"] = 1

    parts = judged("perceptron_vs_logistic", {"seeds": 12}, edit)
    assert parts["learned_decisions"].label is Label.refuted
    assert parts["learned_error"].label is Label.supported


def test_the_perceptron_rule_learns_one_decision_at_any_rate() -> None:
    """Weights learned from 0 are proportional to the learning rate, to the bit for a power of two."""
    (entry,) = choose(["perceptron_vs_logistic"])
    study = Study(entry, {"seeds": 3})
    base = [*study.claim.arms["perceptron"], "train.epochs=10"]
    runs = study.train({rate: [*base, f"optimizer.lr={rate}"] for rate in ("1", "4")}, tracked=False)
    one, four = (runs.final(rate)[1].flat for rate in ("1", "4"))
    assert one.abs().sum() > 0
    assert torch.equal(4 * one, four)
