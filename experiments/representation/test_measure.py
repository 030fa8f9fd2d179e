"""The claim on representation, and false variants of it that must be refuted."""

from typing import Any

import pytest
from matplotlib.figure import Figure
from workbench.experiments.representation import rings

from tests.claim_reference import judged, studied
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
    """What is proved, and what eight seeds show by far."""
    assert parts[name].label is Label.supported


def test_one_and_two_units_are_shown_and_decide_nothing(parts: dict[str, PartVerdict]) -> None:
    """The map of `learned` has cells beyond the declared ones."""
    shown = [cell.at["hidden"] for cell in parts["learned"].cells if not cell.decides]
    assert shown == [1, 2, 3]


def proofs_only(**module: Any) -> dict[str, PartVerdict]:
    """The parts that need no training, with names of the claim's code replaced."""
    proved = ("no_line", "polar_line", "best_line", "folded_angle", "folded_tree")

    def only(node: dict[str, Any]) -> None:
        node["parts"] = {name: part for name, part in node["parts"].items() if name in proved}

    return judged("representation", {"seeds": 6}, only, {"learning": lambda study: iter(()), **module})


def test_an_angle_that_keeps_the_quadrant_refutes_the_fold() -> None:
    """With what atan2 keeps, a rule on (r, θ) tells y > 0, so "no rule does" is refuted."""
    assert proofs_only(angle=lambda x, y: (x, y))["folded_angle"].label is Label.refuted


def test_separable_points_refute_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the Cartesian samples the polar ones, a line would separate them."""
    sample = rings.sample
    monkeypatch.setattr(rings, "sample", lambda _, seed, points: sample("polar", seed, points))
    assert proofs_only()["no_line"].label is Label.refuted


def test_cartesian_points_refute_the_polar_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """x = 3/2 does not separate the rings in (x, y)."""
    sample = rings.sample
    monkeypatch.setattr(rings, "sample", lambda _, seed, points: sample("cartesian", seed, points))
    assert proofs_only()["polar_line"].label is Label.refuted


def test_a_tree_on_the_printed_angle_twice_refutes_the_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were atan2 as blind as the printed angle, its tree would gain nothing."""
    tree = rings.tree_accuracy
    monkeypatch.setattr(rings, "tree_accuracy", lambda seed, points, printed: tree(seed, points, True))
    assert proofs_only()["folded_tree"].label is Label.refuted


def test_cartesian_in_place_of_polar_refutes_the_gain() -> None:
    """The same coordinates in both arms: no difference, so "better by .3" is refuted."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"]["polar"] = node["arms"]["cartesian"]

    parts = judged("representation", SMALL, same)
    assert parts["by_hand"].label is Label.refuted
    assert parts["learned"].label is not Label.supported
