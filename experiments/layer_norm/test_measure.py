"""Layer normalization: what is exact, and false variants that must be refuted."""

from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 8}
FEW = {"EPOCHS": {2: 2, 128: 24}}
TRAINED = ("can_replace", "logistic_units", "small_batches", "faster")


def short(node: dict[str, Any]) -> None:
    """The smallest and the largest batch, one tuning seed, fewer images."""
    for name in ("can_replace", "logistic_units"):
        node["parts"][name]["cells"]["batch"] = [2, 128]
    node["tuning_seeds"] = 1
    few = ["split.limit=256", "split.test=0.1"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items()}


def untrained(node: dict[str, Any]) -> None:
    """Verdicts of the parts that need no training."""
    node["parts"] = {name: part for name, part in node["parts"].items() if name not in TRAINED}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has the seeds asked for, what is exact is supported, and batches of two are too few for statistics."""
    study, found = studied("layer_norm", SMALL, short, FEW)
    study.entry.load_figure().draw(Figure(), study)
    assert found["simpler"].label is Label.supported
    assert found["depends_on_others"].label is Label.supported
    for name in TRAINED:
        assert {cell.judgment.n for cell in found[name].cells} == {8}
    assert {cell.judgment.label for cell in found["small_batches"].cells} == {Label.supported}


@pytest.mark.parametrize(("norm", "simple"), [("layer", True), ("batch", False)])
def test_batch_normalization_is_not_simpler(norm: str, simple: bool) -> None:
    """Batch normalization is not simpler: it has running statistics and evaluates with them."""
    skipped = {"training": lambda study: [], "LAYER": f" + {norm} norm"}
    assert (judged("layer_norm", SMALL, untrained, skipped)["simpler"].label is Label.supported) is simple


def test_layer_normalization_does_not_depend_on_others() -> None:
    """Layer normalization in place of batch normalization refutes that an output depends on the batch."""
    skipped = {"training": lambda study: [], "BATCH": " + layer norm"}
    found = judged("layer_norm", SMALL, untrained, skipped)
    assert found["depends_on_others"].label is Label.refuted


def test_one_norm_in_both_arms_can_be_replaced_and_gains_nothing() -> None:
    """The same norm in all arms can be replaced by itself, and refutes that anything is lost or gained."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        norm = node["arms"]["relu + layer norm"]
        node["arms"] = dict.fromkeys(("relu", "relu + batch norm", "relu + layer norm"), norm)
        del node["parts"]["logistic_units"]
        for part in node["parts"].values():
            part["cells"] = part["cells"] if "batch" in part["cells"] else {"activation": ["relu"]}

    found = judged("layer_norm", SMALL, same, {"EPOCHS": {2: 1, 128: 12}, "UNITS": ("relu",)})
    assert found["can_replace"].label is Label.supported
    assert {cell.judgment.label for name in ("small_batches", "faster") for cell in found[name].cells} == {
        Label.refuted
    }
