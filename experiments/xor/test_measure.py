"""The claim on XOR comes out as proved, and what is made false comes out refuted."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from tests.claim_reference import judged
from workbench.claims.catalog import choose
from workbench.claims.rules import Label
from workbench.claims.study import Study
from workbench.claims.verdict import PartVerdict
from workbench.proofs import separation

SMALL = {"inits": 20, "steps": 1, "hidden": [1, 8]}
TRAINED = ("one_hidden_unit", "learned", "learned_parity_3", "learned_parity_4")


def _only(arms: list[str], hidden: list[int]) -> Callable[[dict[str, Any]], object]:
    """Train these arms only, and let these widths decide what is learned."""

    def edit(node: dict[str, Any]) -> None:
        node["arms"] = {arm: node["arms"][arm] for arm in arms}
        node["parts"]["one_hidden_unit"]["cells"]["activation"] = arms
        node["parts"]["learned"]["cells"] = {"activation": arms, "hidden": hidden}
        for part in ("learned_parity_3", "learned_parity_4"):
            node["parts"][part]["cells"]["activation"] = arms

    return edit


def _proved(also: Mapping[str, str] | None = None) -> dict[str, PartVerdict]:
    """The verdicts that need no training, with one more activation among those of a part."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"] = {name: part for name, part in node["parts"].items() if name not in TRAINED}
        for part, activation in (also or {}).items():
            node["parts"][part]["cells"]["activation"].append(activation)

    return judged("xor", SMALL, edit, {"learned": lambda study: iter(())})


def test_proofs_and_examples_come_out_whatever_is_trained() -> None:
    """All that is deterministic; one step of training teaches no hidden layer XOR from 95 % of the starts."""
    labels = {name: part.label for name, part in judged("xor", SMALL).items()}
    refuted = {labels.pop(name) for name in ("learned", "learned_parity_3", "learned_parity_4")}
    assert set(labels.values()) == {Label.supported}
    assert refuted == {Label.refuted}


def test_training_finds_what_a_layer_can_compute() -> None:
    """Training from 150 starts finds XOR with eight hidden units of tanh or relu, and not with one hidden unit."""
    parts = judged("xor", {"inits": 150, "hidden": [1, 8]}, _only(["tanh", "relu"], [8]))
    assert {parts[name].label for name in ("learned", "one_hidden_unit")} == {Label.supported}


@pytest.mark.parametrize(("part", "activation"), [("limit", "absolute"), ("limit", "bump"), ("regression", "absolute")])
def test_an_activation_that_falls_refutes_the_limit(part: str, activation: str) -> None:
    """|z| called monotone is found out where it falls, and where it fits XOR's values."""
    verdict = _proved({part: activation})[part]
    assert verdict.label is Label.refuted
    assert verdict.deciding.at == {"activation": activation}


def test_one_hidden_unit_that_is_not_monotone_refutes_that_none_succeeds() -> None:
    """A single |z| learns XOR from some starts."""
    verdicts = judged("xor", {"inits": 20, "hidden": [1]}, _only(["absolute"], [1]))
    assert verdicts["one_hidden_unit"].label is Label.refuted


def test_a_parity_that_a_line_separates_refutes_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parity that is 1 where all bits are set, not an odd number, is separable and refutes the limit."""
    monkeypatch.setattr(separation, "parity", lambda points: tuple(int(all(point)) for point in points))
    assert _proved()["parity_limit"].label is Label.refuted


@pytest.mark.parametrize("part", ["limit", "regression", "three_of_four"])
def test_a_labeling_that_a_line_separates_refutes_the_limit(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AND said to be impossible is refuted by weights that compute it."""
    monkeypatch.setattr(separation, "XOR", separation.AND)
    assert _proved()[part].label is Label.refuted


def test_units_that_do_not_compute_xor_are_no_witnesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units off from XOR are no witnesses: x₁ + x₂ - 1 in place of |x₁ - x₂|, two hidden units off by one input."""
    monkeypatch.setitem(separation.SINGLE_UNITS, "absolute", lambda x: x.sum(1) - 1)
    compute = separation.parity_units
    monkeypatch.setattr(separation, "parity_units", lambda name, x: compute(name, x.roll(1, 0)))
    parts = _proved()
    assert parts["not_monotone"].label is not Label.supported
    assert parts["two_hidden_units"].label is not Label.supported
    assert parts["parity_units"].label is not Label.supported


def test_two_hidden_relus_are_not_enough_to_learn_it_from() -> None:
    """Two hidden ReLUs can compute XOR, but training need not find it: that it is learned is refuted."""
    assert judged("xor", {"inits": 150, "hidden": [1, 2]}, _only(["relu"], [2]))["learned"].label is Label.refuted


def test_every_initial_weight_is_that_of_its_own_seed() -> None:
    """Counted nets start with the initial weights of single runs with the same seeds."""
    (entry,) = choose(["xor"])
    study = Study(entry, SMALL)
    overrides = ["activation=relu", "bias=small_positive", "architecture.hidden=[3]"]
    started: list[torch.Tensor] = []
    study.descend = lambda pack, steps: started.append(pack.initial_params().flat) or pack.initial_params()
    entry.load().successes(study, overrides, 3)
    assert torch.equal(started[0], study.pack(*overrides, seeds=range(20)).initial_params().flat)
