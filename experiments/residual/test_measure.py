"""Residual learning: small depths, what is exact, and false variants that must not be supported."""

from math import log, log2
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.evidence import Cell, Exact
from workbench.claims.rules import Label
from workbench.claims.trained_arms import Trained
from workbench.claims.verdict import PartVerdict

SMALL = {"seeds": 5, "depths": [3, 10, 30], "highway": [10]}


def short(node: dict[str, Any]) -> None:
    """No depth beyond 30, one tuning seed, fewer images and epochs."""
    for name in ("plain_degrades", "residual_holds", "better", "not_necessary"):
        node["parts"][name]["cells"]["depth"] = [d for d in node["parts"][name]["cells"]["depth"] if d <= 30]
    node["tuning_seeds"] = 1
    few = ["train.epochs=3", "split.limit=256"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items()}


@pytest.fixture(scope="module")
def parts() -> dict[str, PartVerdict]:
    """The claim with five seeds; its figure draws."""
    study, found = studied("residual", SMALL, short)
    study.entry.load_figure().draw(Figure(), study)
    assert len(study.tables["runs"]) == 5 * (4 * 3 + 1)
    return found


def test_every_cell_is_measured(parts: dict[str, PartVerdict]) -> None:
    """Every cell has all seeds, and the cells are by depth."""
    assert all(cell.judgment.n == 5 for part in parts.values() for cell in part.cells)
    assert [cell.at["depth"] for cell in parts["better"].cells] == [3, 10, 30]


def test_trend_is_the_slope_of_the_loss_per_doubling() -> None:
    """Losses that rise by a given amount with each doubling have that slope, by seed, whatever depths were tried."""
    depths = [10, 20, 80]
    metrics = {
        f"scaled depth={d}": [{"train/loss": 0.3 + slope * log2(d), "train/accuracy": 0.9} for slope in (0.1, -0.2)]
        for d in depths
    }
    (entry,) = choose(["residual"])
    assert entry.load().trend(Trained(metrics), "scaled", depths).values == pytest.approx((0.1, -0.2))


def test_a_bare_sum_doubles_the_variance(parts: dict[str, PartVerdict]) -> None:
    """A bare sum grows by ln 2 per block: E F(x)² = E x² for He's weights on ReLU, and F has mean 0."""
    judgment = parts["sum_explodes"].deciding.judgment
    assert judgment.effect == pytest.approx(log(2), abs=0.05)


def test_with_the_arms_exchanged_nothing_is_supported() -> None:
    """Exchanged arms, residual for plain and plain for residual, support nothing."""

    def exchanged(node: dict[str, Any]) -> None:
        short(node)
        node["parts"]["better"]["cells"]["depth"] = [10, 30]
        del node["parts"]["highway"], node["parts"]["sum_explodes"]
        plain, scaled = node["arms"]["plain"], node["arms"]["scaled"]
        node["arms"] |= {"plain": scaled, "scaled": plain, "normalized": plain}

    (entry,) = choose(["residual"])
    trained_only = {"measure": entry.load().training}
    found = judged("residual", {**SMALL, "depths": [10, 30], "highway": []}, exchanged, trained_only)
    for name in ("plain_degrades", "residual_holds", "better"):
        assert found[name].label is not Label.supported


def test_smaller_weights_grow_slower() -> None:
    """Weights that halve F's variance make a block multiply by 3/2, which is not the factor that is stated."""

    def only(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in ("sum_explodes", "plain_degrades")}
        node["parts"]["plain_degrades"] |= {"cells": {}, "rule": {"kind": "always"}, "decided_by": "all"}

    (entry,) = choose(["residual"])
    growth = entry.load().growth

    def smaller(study: Any) -> Any:
        return growth(study, "init.gain=0.7071")

    def untrained(study: Any) -> Any:
        return iter([Cell("plain_degrades", Exact(1))])

    found = judged("residual", SMALL, only, {"growth": smaller, "training": untrained})["sum_explodes"]
    assert found.label is not Label.supported
    assert found.deciding.judgment.effect == pytest.approx(log(1.5), abs=0.1)
