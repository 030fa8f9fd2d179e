"""ReLU's speed: how epochs and times are counted, and false variants that must be refuted."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from workbench.experiments.relu_speed import processor_times

from tests.claim_reference import judged, studied
from workbench.claims.catalog import choose
from workbench.claims.rules import Label
from workbench.core.errors import ConfigError

SMALL = {"seeds": 6}
TIMED = ("fast", "fast_step")
EPOCHS = ("than_tanh", "than_sigmoid")


def short(node: dict[str, Any]) -> None:
    """Depth 3 alone, one tuning seed, fewer images and epochs."""
    for name in EPOCHS:
        node["parts"][name]["cells"]["depth"] = [3]
    node["tuning_seeds"] = 1
    few = ["train.epochs=8", "split.limit=448"]
    node["arms"] = {name: [*overrides, *few] for name, overrides in node["arms"].items()}


def even(count: int, draw: int) -> list[processor_times.Ratios]:
    """Times of processes in which all units take as long, in place of measured times."""
    same = {"tanh": 0.0, "sigmoid": 0.0}
    return [{"functions": same, "64": same, "256": same}] * count


IN_ONE = {"DEPTHS": (3,), "processor_times": SimpleNamespace(in_processes=even)}


def test_the_claim_is_measured_and_drawn() -> None:
    """Every cell has the seeds asked for, and the figure draws; equal times are no gain."""
    study, found = studied("relu_speed", SMALL, short, IN_ONE)
    study.entry.load_figure().draw(Figure(), study)
    assert {cell.judgment.n for name in EPOCHS for cell in found[name].cells} == {6}
    assert (found["than_sigmoid"].deciding.judgment.effect or 0) > 0.405
    assert study.tables["errors"]["epoch"].nunique() == 21


def test_one_unit_in_all_arms_learns_no_sooner() -> None:
    """ReLU in all arms learns no sooner, so that the gain is refuted."""

    def same(node: dict[str, Any]) -> None:
        short(node)
        arms = ("relu scaled", "tanh scaled", "sigmoid scaled")
        node["arms"] = dict.fromkeys(arms, node["arms"]["relu scaled"])
        for name in EPOCHS:
            node["parts"][name]["cells"]["weights"] = ["scaled"]

    found = judged("relu_speed", SMALL, same, {**IN_ONE, "WEIGHTS": ("scaled",)})
    assert {found[name].label for name in ("than_tanh", "than_sigmoid")} == {Label.refuted}


@pytest.mark.parametrize(
    ("errors", "epoch"),
    [([0.9, 0.5, 0.1], 1.625), ([0.9, 0.25], 1.0), ([0.2, 0.1], 0.0), ([0.9, 0.5], 21), ([0.9, 0.2, 0.5], 13 / 14)],
)
def test_epochs_between_records(errors: list[float], epoch: float) -> None:
    """Epochs between records are interpolated as by hand, and never reached is as it is said."""
    (entry,) = choose(["relu_speed"])
    assert entry.load().reached(errors, 0.25, 21) == pytest.approx(epoch)


def test_more_work_takes_longer() -> None:
    """A hundred times the work takes longer, in calls that take turns."""
    z = torch.zeros(200_000)
    found = processor_times.compared({"one": lambda: z + 1, "many": lambda: [z + 1 for _ in range(100)]}, 3)
    assert list(found) == ["many"]
    assert found["many"] > 0


@pytest.mark.slow
def test_every_process_gives_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process times the functions and both widths; a process that fails says why."""
    (found,) = processor_times.in_processes(1, 5)
    assert set(found) == {"functions", "64", "256"}
    assert all(set(one) == {"tanh", "sigmoid"} for one in found.values())
    monkeypatch.setattr(processor_times, "__name__", "workbench.no_such_module")
    with pytest.raises(ConfigError, match=r"(?s)takes times must end well, got: .*no_such_module"):
        processor_times.in_processes(1, 5)
