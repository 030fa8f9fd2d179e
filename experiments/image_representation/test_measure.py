"""Representations of images: the claim measured small, and false variants that must not be supported."""

from typing import Any

import pytest
from matplotlib.figure import Figure
from workbench.experiments.image_representation import linear_probes

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 8}  # with fewer seeds none of two cells can refute alone
PARTS = ("learned", "layer_by_layer", "over_pixels", "over_components", "by_labels", "random_first", "random_deeper")


def short(node: dict[str, Any]) -> None:
    """Shrink the claim to one tuning seed, fewer images and epochs."""
    node["tuning_seeds"] = 1
    few = ["train.epochs=10", "split.limit=400"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items()}


@pytest.fixture(autouse=True)
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit probes less closely: they take most of the time."""
    monkeypatch.setattr(linear_probes, "TOLERANCE", 0.1)


def test_the_claim_is_measured_and_drawn() -> None:
    """Training helps on both data sets, pixels fail on shifted digits, and the figure draws."""
    study, found = studied("image_representation", SMALL, short)
    study.entry.load_figure().draw(Figure(), study)
    assert {cell.judgment.n for name in PARTS for cell in found[name].cells} == {8}
    for name in ("learned", "by_labels"):
        assert all((cell.judgment.seeds_low or 0) > 0.01 for cell in found[name].cells), (
            "for these data, by eight seeds"
        )
    means = study.tables["probes"].groupby(["data", "representation", "layer"])["accuracy"].mean()
    assert means["digits", "pixels", 0] > 0.85
    assert means["shifted_digits", "pixels", 0] < 0.3
    assert len(study.tables["probes"]) == 2 * 8 * (2 + 3 * 3)


def test_a_net_that_is_not_trained_has_learned_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Initial weights in place of all trained weights gain nothing on digits, by training or by labels."""

    def digits(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = {"digits": ["train.epochs=2", "split.limit=200"]}
        for part in node["parts"].values():
            part["cells"] = {"data": ["digits"]}

    right = linear_probes.of_layers

    def untrained(model: Any, params: Any, data: Any) -> Any:
        found = right(model, params, data) if not seen else seen[0]
        seen.append(found)
        return found

    seen: list[Any] = []
    monkeypatch.setattr(linear_probes, "of_layers", untrained)
    found = judged("image_representation", {"seeds": 6}, digits)
    assert found["learned"].label is Label.refuted
    assert found["by_labels"].label is Label.refuted
