"""Softplus against ReLU: what is exact, and false variants that must not be supported."""

from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.rules import Label

SMALL = {"seeds": 6}  # fewer cannot decide: 2⁻⁵ is above 2.5 %
TRAINED = ("relu_better", "relu_sooner", "less_in_training", "dropped")


def short(node: dict[str, Any]) -> None:
    """Shrink the claim to one depth, one tuning seed, and a third of the epochs."""
    for name in (*TRAINED, "sharp"):
        node["parts"][name]["cells"]["depth"] = [3]
    node["tuning_seeds"] = 1
    node["arms"] = {name: [*overrides, "train.epochs=4"] for name, overrides in node["arms"].items()}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has evidence of the seeds asked for, and the figure draws."""
    study, found = studied("softplus", SMALL, short)
    study.entry.load_figure().draw(Figure(), study)
    assert found["saturates_less"].label is Label.supported
    for name in TRAINED:
        assert [cell.judgment.n for cell in found[name].cells] == [6]
    assert len(study.tables["runs"]) == 5 * 6
    assert float(study.tables["runs"]["accuracy"].min()) > 0.5


@pytest.mark.parametrize(("unit", "refuted"), [("softplus", False), ("sigmoid", True), ("relu", True)])
def test_units_that_saturate_elsewhere_or_as_much_are_refuted(unit: str, refuted: bool) -> None:
    """A logistic unit saturates for z > 0 too, and ReLU itself saves nothing."""

    def line(node: dict[str, Any]) -> None:
        node["parts"] = {"saturates_less": node["parts"]["saturates_less"]}

    (entry,) = choose(["softplus"])
    right = entry.load().slope

    def slope(study: Any, name: str, z: Any, *overrides: str) -> Any:
        return right(study, unit, z) if name == "softplus" and unit != "softplus" else right(study, name, z, *overrides)

    found = judged("softplus", SMALL, line, {"training": lambda study: iter(()), "slope": slope})
    assert (found["saturates_less"].label is Label.refuted) is refuted


def test_the_same_unit_twice_is_not_better() -> None:
    """ReLU in the place of softplus is refuted as better and supported as good as itself."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = dict.fromkeys(node["arms"], node["arms"]["relu"])

    found = judged("softplus", SMALL, same)
    assert {found[name].label for name in TRAINED} == {Label.refuted}
    assert found["sharp"].label is Label.supported
