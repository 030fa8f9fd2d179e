"""Batch normalization: small depths, what is exact, and false variants that must not be supported."""

from math import log, pi
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.rules import Label
from workbench.claims.study import Study

SMALL = {"seeds": 6, "depths": [4, 9], "deepest": 9, "widths": [128]}


def short(node: dict[str, Any]) -> None:
    """Two depths, two units, one tuning seed, fewer images and epochs, one width."""
    for name in ("deeper", "lower_loss"):
        node["parts"][name]["cells"]["activation"] = ["relu", "sigmoid"]
    node["parts"]["lower_loss"]["cells"]["depth"] = [4, 9]
    node["parts"]["as_predicted"]["cells"]["width"] = [128]
    node["tuning_seeds"] = 1
    few = ["train.epochs=5", "split.limit=320"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items() if "tanh" not in name}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has the seeds asked for; what is exact is supported, and logistic units cannot do without."""
    study, found = studied("batch_norm", SMALL, short, {"PAPER_EPOCHS": 8})
    study.entry.load_figure().draw(Figure(), study)
    assert found["never_less"].label is Label.supported
    for name in ("deeper", "lower_loss", "faster", "as_predicted"):
        assert {cell.judgment.n for cell in found[name].cells} == {6}
    losses = {tuple(cell.at.values()): cell.judgment for cell in found["lower_loss"].cells}
    assert losses["sigmoid", 9].label is Label.supported
    assert found["faster"].label is Label.supported


def test_depth_goes_on_while_nets_train() -> None:
    """Deeper nets follow while all count as trained, up to the deepest allowed, where the cell stays open."""

    def only(node: dict[str, Any]) -> None:
        short(node)
        node["parts"] = {name: node["parts"][name] for name in ("deeper", "lower_loss")}
        node["parts"]["lower_loss"]["cells"]["depth"] = [2]
        node["arms"] = {name: [*overrides, "train.epochs=1"] for name, overrides in node["arms"].items()}

    settings = {**SMALL, "depths": [2], "deepest": 5}
    others = {"gradients": lambda study: [], "paper": lambda study: [], "REACHED": 0.0}
    found = judged("batch_norm", settings, only, others)
    assert {cell.at["depth"] for cell in found["lower_loss"].cells} == {2, 3, 4}
    reasons = {cell.judgment.reason for cell in found["deeper"].cells if cell.judgment.label is Label.inconclusive}
    assert reasons == {"the deepest nets that were tried, of 4 layers, still train without it (100% of the seeds)"}


@pytest.mark.parametrize(
    ("ratio", "without", "with_norm", "which"),
    [
        (0.0, 0.2, 0.2, ""),
        (0.0, 0.6, 0.9, "without"),
        (0.0, 0.2, 0.9, "with"),
        (0.4, 0.2, 0.9, ""),
        (0.4, 0.5, 0, "without"),
    ],
)
def test_which_depths_are_lower_bounds(ratio: float, without: float, with_norm: float, which: str) -> None:
    """A gain needs the depth without it; that no gain was found needs the depth with it, too."""
    (entry,) = choose(["batch_norm"])
    found = entry.load().cut_off([ratio] * 3, 20, without, with_norm)
    assert (f"still train {which} it" in found) is bool(which)
    assert bool(found) is bool(which)


def test_nets_with_it_in_both_arms_differ_in_nothing() -> None:
    """Batch normalization in both arms gains no depth, so that the gain is refuted."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        arms, parts = node["arms"], node["parts"]
        node["arms"] = {name: arms[name.removesuffix(" + batch norm") + " + batch norm"] for name in arms}
        node["parts"] = {name: parts[name] for name in ("deeper", "lower_loss")}

    others = {"gradients": lambda study: [], "paper": lambda study: [], "HALF": 2.0}  # no depth is a lower bound
    found = judged("batch_norm", SMALL, same, others)
    assert {cell.judgment.label for cell in found["deeper"].cells} == {Label.refuted}
    assert {round(cell.judgment.effect or 0, 5) for cell in found["lower_loss"].cells} == {0}


def test_gradients_without_it_do_not_grow_as_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """He's ReLU net keeps its gradient: off by ln 1.467 from the factor of a normalized one."""

    def only(node: dict[str, Any]) -> None:
        short(node)
        node["parts"] = {name: node["parts"][name] for name in ("never_less", "as_predicted")}
        node["parts"]["never_less"]["role"] = "primary"

    untrained = {"depths": lambda study: [], "paper": lambda study: []}
    assert judged("batch_norm", SMALL, only, untrained)["as_predicted"].label is Label.supported
    pack_of = Study.pack

    def without(self: Study, *overrides: str, seeds: Any = None) -> Any:
        return pack_of(self, *(one for one in overrides if one != "norm=batch"), seeds=seeds)

    monkeypatch.setattr(Study, "pack", without)
    found = judged("batch_norm", SMALL, only, untrained)["as_predicted"]
    assert found.label is not Label.supported
    (relu,) = (cell for cell in found.cells if cell.at["activation"] == "relu")
    assert relu.judgment.effect == pytest.approx(-log(pi / (pi - 1)), abs=0.08)
