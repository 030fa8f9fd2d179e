"""Saturation: what is exact, and false variants that must not be supported."""

from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.rules import Label

SMALL = {"seeds": 8}
EXACT = ("kills", "relu_does_not")
UNITS: dict[str, Any] = {"DEPTHS": (3,), "DEEP": 3}


def short(node: dict[str, Any]) -> None:
    """Depth 3 alone, one tuning seed, fewer epochs."""
    for part in node["parts"].values():
        if "depth" in part.get("cells", {}):
            part["cells"]["depth"] = [3]
            part.pop("decided_by", None)
    node["tuning_seeds"] = 1
    node["arms"] = {name: [*overrides, "train.epochs=6"] for name, overrides in node["arms"].items()}


def line(node: dict[str, Any]) -> None:
    """Keep the parts that need no training."""
    node["parts"] = {name: node["parts"][name] for name in EXACT}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has the seeds asked for; at depth 3 saturation hurts, and slope matters."""
    study, found = studied("saturation", SMALL, short, UNITS)
    study.entry.load_figure().draw(Figure(), study)
    for name, part in found.items():
        assert name in EXACT or {cell.judgment.n for cell in part.cells} == {8}
    assert {found[name].label for name in EXACT} == {Label.supported}
    hurts = {cell.at["unit"]: cell.judgment for cell in found["hurts"].cells}
    assert hurts["tanh"].label is Label.supported
    assert (found["slope"].deciding.judgment.seeds_low or 0) > 0.1, "for these data, by eight seeds"


@pytest.mark.parametrize("unit", ["softsign", "softplus", "relu"])
def test_units_that_saturate_slower_or_not_refute_the_bound(unit: str) -> None:
    """The bound on saturation is refuted by softsign, which falls as 1/z², softplus, which rises to 1, and ReLU."""
    (entry,) = choose(["saturation"])
    slope = entry.load().slope

    def other(study: Any, name: str, z: torch.Tensor) -> Any:
        return slope(study, unit if name == "tanh" else name, z)

    found = judged("saturation", SMALL, line, {"training": lambda study: [], "slope": other})
    labels = {cell.at["unit"]: cell.judgment.label for cell in found["kills"].cells}
    assert labels == {"sigmoid": Label.supported, "tanh": Label.refuted}
    assert found["relu_does_not"].label is Label.supported


def test_a_unit_in_the_place_of_relu_saturates() -> None:
    """Tanh in the place of ReLU saturates: tanh' is not 1 for z > 0."""
    (entry,) = choose(["saturation"])
    slope = entry.load().slope

    def other(study: Any, name: str, z: torch.Tensor) -> Any:
        return slope(study, "tanh" if name == "relu" else name, z)

    found = judged("saturation", SMALL, line, {"training": lambda study: [], "slope": other})
    assert found["relu_does_not"].label is Label.refuted


def test_without_saturation_or_slope_nothing_is_lost_or_gained() -> None:
    """The plain tanh net in every arm hurts nothing, fails nothing and lacks no slope."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = dict.fromkeys(node["arms"], node["arms"]["tanh"])

    found = judged("saturation", SMALL, same, UNITS)
    for name in ("hurts", "slope", "deep_logistic_fails", "saturated_but_better"):
        assert found[name].label is Label.refuted
    assert found["as_good_as_tanh"].label is Label.supported
