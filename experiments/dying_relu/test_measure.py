"""ReLU can die: what is derived and simulated, small trainings, and false variants that must not be supported."""

from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from workbench.experiments.dying_relu import born_dead

from tests.claim_reference import judged, studied
from workbench.claims.rules import Label

FEW = {"SHORT": ["train.epochs=3", "train.batch_size=64"]}
SIMULATED = ("random_nets", "live_domain")
TRAINED = ("narrow", "digits", "high_rates")


def only(*names: str) -> dict[str, Any]:
    """The claim's code without the other measurements."""
    return {name: lambda study: iter(()) for name in (*SIMULATED, *TRAINED) if name not in names}


def parts(*names: str) -> Any:
    """The claim without the other parts."""

    def edit(node: dict[str, Any]) -> None:
        node["parts"] = {name: node["parts"][name] for name in names}

    return edit


def born(module: dict[str, Any] | None = None, **settings: int) -> dict[str, Any]:
    """The verdicts on random nets."""
    found = {**only("random_nets"), **(module or {})}
    return judged("dying_relu", {"nets": 20_000, **settings}, parts("in_bounds", "born_dead"), found)


def test_random_nets_lie_within_the_bounds() -> None:
    """Random nets lie within the bounds in every cell, and narrow deep nets are mostly constant."""
    found = born()
    assert len(found["in_bounds"].cells) == 25
    assert {cell.judgment.label for cell in found["in_bounds"].cells} == {Label.supported}
    assert found["born_dead"].label is Label.supported
    shares = {tuple(cell.at.values()): cell.judgment.effect for cell in found["born_dead"].cells}
    assert shares[2, 2] == 0
    assert shares[2, 10] == pytest.approx(0.88, abs=0.02)


@pytest.mark.parametrize("shift", [1, -1])
def test_bounds_of_another_depth_are_refuted(monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    """Counting hidden layers in place of affine ones, or one layer less, is off at some width."""
    right = born_dead.bounds
    monkeypatch.setattr(born_dead, "bounds", lambda width, depth: right(width, depth + shift))
    assert born()["in_bounds"].label is Label.refuted


def test_nets_with_leaky_units_are_not_born_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were no net constant, the lower bounds would be refuted, and so would be that most are."""
    monkeypatch.setattr(born_dead, "deaths", lambda width, hidden, nets, stream: torch.zeros(hidden, dtype=torch.int64))
    found = born()
    assert found["in_bounds"].label is Label.refuted
    assert found["born_dead"].label is Label.refuted


@pytest.mark.parametrize(("first", "label"), [(0, Label.supported), (2, Label.refuted)])
def test_a_bias_against_itself_makes_nothing_alive(monkeypatch: pytest.MonkeyPatch, first: int, label: Label) -> None:
    """Shares of the same nets with the same b twice are equal, which refutes that more is alive."""
    right = born_dead.live_shares

    def shares(width: int, depth: int, biases: Any, nets: int, stream: Any) -> Any:
        found = right(width, depth, biases, nets, stream)
        return torch.stack([found[first], *found[1:]])

    monkeypatch.setattr(born_dead, "live_shares", shares)
    alive = parts("in_bounds", "born_dead", "more_alive")
    found = judged("dying_relu", {"slopes": 1000, "nets": 100}, alive, only(*SIMULATED))
    assert found["more_alive"].label is label


def small(node: dict[str, Any]) -> None:
    """Shrink the claim to one width, one size, one tuning seed, and short trainings."""
    parts_of = node["parts"]
    for name in ("collapses", "helps_narrow", "other_biases", "other_ways"):
        parts_of[name]["cells"]["width"] = [2]
        parts_of[name].pop("decided_by", None)
    for name in ("helps_digits", "fewer_dead"):
        parts_of[name]["cells"] = {"depth": [1], "width": [8]}
        parts_of[name].pop("decided_by", None)
    parts_of["dies_in_training"]["cells"]["lr"] = [0.03, 3.0]
    node["tuning_seeds"] = 1
    node["arms"] = {name: [*overrides, "train.epochs=4"] for name, overrides in node["arms"].items()}


def two_ways(node: dict[str, Any], zero: list[str], tenth: list[str]) -> None:
    """Narrow nets that begin in two ways, with overrides in place of those for b = 0 and b = 0.1."""
    small(node)
    node["arms"] = {"b=0": zero, "b=0.1": tenth}
    parts("collapses", "helps_narrow")(node)


def test_trainings_are_measured_and_drawn() -> None:
    """Every cell has evidence of the seeds asked for; the figure draws; rates that are too high kill."""
    study, found = studied("dying_relu", {"seeds": 12, "digits_seeds": 7, "nets": 500, "slopes": 20}, small, FEW)
    study.entry.load_figure().draw(Figure(), study)
    assert [cell.judgment.n for cell in found["helps_narrow"].cells] == [2 * 12], "runs, with b = 0 and with b = 0.1"
    assert [cell.judgment.n for cell in found["helps_digits"].cells] == [7]
    died = {cell.at["lr"]: cell.judgment.effect for cell in found["dies_in_training"].cells}
    assert died[0.03] < 0.05 < 0.5 < died[3.0]
    assert found["collapses"].cells[0].judgment.effect > 0.5
    assert len(study.tables["digits"]) == 4 * 7


def test_the_same_start_twice_does_not_help() -> None:
    """Were b = 0.1 the same as b = 0, nothing would be gained: refuted, where a dozen nets would leave it open."""
    short = {"SHORT": ["train.epochs=10", "train.batch_size=64", "diagnostics=off"]}
    found = judged("dying_relu", {"seeds": 100}, lambda node: two_ways(node, [], []), {**only("narrow"), **short})
    assert found["helps_narrow"].label is Label.refuted
    assert found["helps_narrow"].cells[0].judgment.effect == 0


def test_leaky_nets_do_not_collapse() -> None:
    """Leaky units in the place of rectifiers give no constant output, so that collapse is refuted."""
    leaky = ["activation=leaky_relu", "activation.slope=0.5"]
    found = judged("dying_relu", {"seeds": 14}, lambda node: two_ways(node, leaky, []), {**only("narrow"), **FEW})
    assert found["collapses"].label is Label.refuted
