"""The claim on representation, and false variants of it that must be refuted."""

from typing import Any

import pytest
from matplotlib.figure import Figure
from workbench.experiments.representation import rings

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict

SMALL = {"seeds": 8}
PROVED = ("no_line", "polar_line", "best_line", "one_affine_map", "folded_angle")
MEASURED = ("by_hand", "nonlinear", "folded_tree")


def short(node: dict[str, Any]) -> None:
    """A third of the steps and one tuning seed, so that training is short."""
    node["learning_rates"] = [0.03, 0.1, 0.3, 1.0, 3.0]
    node["tuning_seeds"] = 1
    node["arms"] = {name: [*overrides, "train.epochs=10"] for name, overrides in node["arms"].items()}


@pytest.fixture(scope="module")
def parts() -> dict[str, PartVerdict]:
    """The claim with eight seeds; its figure draws."""
    study, found = studied("representation", SMALL, short)
    study.entry.load_figure().draw(Figure(), study)
    return found


@pytest.mark.parametrize("name", [*PROVED, *MEASURED])
def test_true_parts_are_supported(parts: dict[str, PartVerdict], name: str) -> None:
    """Parts that are proved, or that eight seeds show by far, are supported."""
    assert parts[name].label is Label.supported


def test_one_and_two_units_are_shown_and_decide_nothing(parts: dict[str, PartVerdict]) -> None:
    """Cells of `learned` beyond the declared are shown and decide nothing."""
    shown = [cell.at["hidden"] for cell in parts["learned"].cells if not cell.decides]
    assert shown == [1, 2, 3]


def proofs_only(**module: Any) -> dict[str, PartVerdict]:
    """The parts that need no training, with names of the claim's code replaced."""
    proved = ("no_line", "polar_line", "best_line", "folded_angle", "folded_tree")

    def only(node: dict[str, Any]) -> None:
        node["parts"] = {name: part for name, part in node["parts"].items() if name in proved}

    return judged("representation", {"seeds": 6}, only, {"learning": lambda study: iter(()), **module})


def test_an_angle_that_keeps_the_quadrant_refutes_the_fold() -> None:
    """An angle that keeps the quadrant, as atan2 does, has a rule that tells y > 0, so "no rule does" is refuted."""
    assert proofs_only(angle=lambda x, y: (x, y))["folded_angle"].label is Label.refuted


def test_separable_points_refute_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polar samples in place of the Cartesian, which a line separates, refute that no line does."""
    sample = rings.sample
    monkeypatch.setattr(rings, "sample", lambda _, seed, points: sample("polar", seed, points))
    assert proofs_only()["no_line"].label is Label.refuted


def test_cartesian_points_refute_the_polar_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cartesian samples refute the polar line: x = 3/2 does not separate the rings in (x, y)."""
    sample = rings.sample
    monkeypatch.setattr(rings, "sample", lambda _, seed, points: sample("cartesian", seed, points))
    assert proofs_only()["polar_line"].label is Label.refuted


def test_a_tree_on_the_printed_angle_twice_refutes_the_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed angle in place of atan2 gains nothing for a tree, so that the gain is refuted."""
    tree = rings.tree_accuracy
    monkeypatch.setattr(rings, "tree_accuracy", lambda seed, points, printed: tree(seed, points, True))
    assert proofs_only()["folded_tree"].label is Label.refuted


@pytest.mark.parametrize(("both", "label"), [("polar", Label.refuted), ("cartesian", Label.never_trains)])
def test_the_same_coordinates_twice_have_no_gain(both: str, label: Label) -> None:
    """Polar coordinates twice, from which both neurons learn, refute "better by .3"; from Cartesian neither learns."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = dict.fromkeys(("polar", "cartesian"), node["arms"][both]) | {"linear": node["arms"]["linear"]}
        node["parts"] = {name: node["parts"][name] for name in ("by_hand", "untrained")}
        node["parts"]["untrained"] |= {"cells": {"units": [4]}, "decided_by": "all"}

    (entry,) = choose(["representation"])
    by_hand = [row for row in entry.load().compared() if row[0] == "by_hand"]
    only: dict[str, Any] = {"proofs": lambda study: (), "looked_into": lambda study, arms: (), "HIDDEN": ()}
    parts = judged("representation", SMALL, same, {**only, "compared": lambda: by_hand})
    assert {cell.judgment.label for cell in parts["by_hand"].cells} == {label}
    assert {cell.judgment.effect for cell in parts["by_hand"].cells} == {0}
