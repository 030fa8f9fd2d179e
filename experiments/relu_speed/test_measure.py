"""ReLU's speed: how epochs and times are counted, and false variants that must be refuted."""

from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.evidence import PerSeed
from workbench.claims.rules import Label

SMALL = {"seeds": 6}
TIMED = ("fast", "fast_step")
EPOCHS = ("than_tanh", "than_sigmoid")


def short(node: dict[str, Any]) -> None:
    """Depth 3 alone, one tuning seed, fewer epochs."""
    for name in EPOCHS:
        node["parts"][name]["cells"]["depth"] = [3]
    node["tuning_seeds"] = 1
    node["arms"] = {name: [*overrides, "train.epochs=8"] for name, overrides in node["arms"].items()}


def even(work: Any, calls: int) -> dict[str, PerSeed]:
    """In the place of times: all work takes as long."""
    for one in work.values():
        one()
    return {name: PerSeed((0.0,) * 6) for name in list(work)[1:]}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has the seeds asked for, and the figure draws; equal times are no gain."""
    study, found = studied("relu_speed", SMALL, short, {"DEPTHS": (3,), "compared": even})
    study.entry.load_figure().draw(Figure(), study)
    assert {cell.judgment.n for name in EPOCHS for cell in found[name].cells} == {6}
    assert (found["than_sigmoid"].deciding.judgment.effect or 0) > 0.405
    assert study.tables["errors"]["epoch"].nunique() == 21


def test_one_unit_in_all_arms_learns_no_sooner() -> None:
    """Were tanh and sigmoid ReLU, nothing would be gained: refuted."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        node["arms"] = dict.fromkeys(node["arms"], node["arms"]["relu scaled"])

    found = judged("relu_speed", SMALL, same, {"DEPTHS": (3,), "compared": even})
    assert {found[name].label for name in ("than_tanh", "than_sigmoid")} == {Label.refuted}


@pytest.mark.parametrize(
    ("errors", "epoch"),
    [([0.9, 0.5, 0.1], 1.625), ([0.9, 0.25], 1.0), ([0.2, 0.1], 0.0), ([0.9, 0.5], 21), ([0.9, 0.2, 0.5], 13 / 14)],
)
def test_epochs_between_records(errors: list[float], epoch: float) -> None:
    """Interpolated by hand; never is as it is said."""
    (entry,) = choose(["relu_speed"])
    assert entry.load().reached(errors, 0.25, 21) == pytest.approx(epoch)


def test_more_work_takes_longer() -> None:
    """A hundred times the work, in rounds that take turns."""
    (entry,) = choose(["relu_speed"])
    z = torch.zeros(200_000)
    found = entry.load().compared({"one": lambda: z + 1, "many": lambda: [z + 1 for _ in range(100)]}, 3)
    assert set(found) == {"many"}
    assert min(found["many"].values) > 0
