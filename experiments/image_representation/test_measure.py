"""Representations of images: the claim measured small, and false variants that must not be supported."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from workbench.experiments.image_representation import convolutional, linear_probes

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

SMALL = {"seeds": 8}  # with fewer seeds none of two cells can refute alone
PARTS = ("learned", "layer_by_layer", "over_pixels", "over_components", "by_labels", "random_first", "random_deeper")
DENSE = {"convolutional": SimpleNamespace(NAME="convolutional", measure=lambda *_: iter(()))}  # measures nothing


def short(node: dict[str, Any]) -> None:
    """Shrink the claim to one tuning seed, fewer images and epochs."""
    node["tuning_seeds"] = 1
    few = ["train.epochs=10", "split.limit=400"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items()}


def dense_alone(node: dict[str, Any]) -> None:
    """Shrink the claim, and take the convolutional net away."""
    short(node)
    del node["arms"][convolutional.NAME]
    node["parts"] = {name: part for name, part in node["parts"].items() if name in PARTS}


@pytest.fixture(autouse=True)
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit probes less closely: they take most of the time."""
    monkeypatch.setattr(linear_probes, "TOLERANCE", 0.1)


def test_dense_nets_are_measured() -> None:
    """Training helps on both data sets, and pixels fail on shifted digits."""
    study, found = studied("image_representation", SMALL, dense_alone, DENSE)
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
        dense_alone(node)
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
    found = judged("image_representation", {"seeds": 6}, digits, DENSE)
    assert found["learned"].label is Label.refuted
    assert found["by_labels"].label is Label.refuted


def convolutional_alone(node: dict[str, Any]) -> None:
    """Keep the parts of the convolutional net, with one tuning seed, few channels and images."""
    short(node)
    node["arms"][convolutional.NAME] += ["architecture.channels=[4,4,8]", "train.epochs=2", "split.limit=200"]
    node["parts"] = {name: part for name, part in node["parts"].items() if name not in PARTS}
    node["parts"]["convolutional_learned"]["role"] = "primary"  # a claim must have one


def beside_nothing(study: Any) -> Any:
    """Measure the convolutional net on shifted digits, beside pixels and a dense net that guess."""
    guesses = [0.1] * study["seeds"]
    return convolutional.measure(study, {"shifted_digits": ["data=shifted_digits"]}, {"shifted_digits": [guesses] * 2})


@pytest.mark.slow
def test_a_convolutional_net_is_measured_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages have the features of their pools, random convolutions beat guessing, and the figure draws."""
    monkeypatch.setattr(linear_probes, "TOLERANCE", 0.01)
    few = {"seeds": 6, "convolutional": 6}
    study, found = studied("image_representation", few, convolutional_alone, {"measure": beside_nothing})
    assert {cell.judgment.n for part in found.values() for cell in part.cells} == {6}
    assert (found["random_convolutions"].deciding.judgment.seeds_low or 0) > 0.01
    stages = study.tables["stages"]
    assert len(stages) == 3 * 3 * 6
    assert stages["between_classes"].between(0, 1).all()
    assert study.tables["filters"].shape == (25, 3 * 4)
    by_net = study.tables["selectivity"].groupby("filters")["selectivity"].mean()
    assert by_net[convolutional.RANDOM] == pytest.approx(by_net["untrained"], abs=0.06)
    study.keep("probes", DRAWN)
    study.keep("weights", {f"unit {number}": np.arange(64) - 30 for number in range(12)})
    study.entry.load_figure().draw(Figure(), study)


DRAWN = [
    {"data": data, "representation": name, "layer": layer, "seed": seed, "accuracy": 0.5 + seed / 10}
    for data in ("digits", "shifted_digits")
    for name, layers in {"pixels": [0], "components": [0], "untrained": [1, 2], "trained": [1, 2]}.items()
    for layer in layers
    for seed in (0, 1)
] + [
    {"data": data, "representation": "labels drawn anew", "layer": 1, "seed": seed, "accuracy": 0.3}
    for data in ("digits", "shifted_digits")
    for seed in (0, 1)
]


@pytest.mark.slow
def test_a_convolutional_net_that_is_not_trained_has_no_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Initial weights in place of trained ones have the selectivity, and the channels, of an untrained net."""
    right = convolutional.nets

    def untrained(trained: Any, arm: str) -> Any:
        found = right(trained, arm)
        return dict.fromkeys(found, found["untrained"])

    monkeypatch.setattr(convolutional, "nets", untrained)
    monkeypatch.setattr(linear_probes, "TOLERANCE", 0.01)
    few = {"seeds": 6, "convolutional": 6}
    found = judged("image_representation", few, convolutional_alone, {"measure": beside_nothing})
    for name in ("edges", "convolutional_learned", "general_to_specific"):
        assert found[name].label is Label.refuted, name
