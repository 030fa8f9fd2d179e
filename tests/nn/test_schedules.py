"""Schedules against torch.optim.lr_scheduler, one scheduler per replica, each with its own numbers."""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from tests.reference import blobs, make_pack, stems
from workbench.nn.schedules import Schedule, constant, cosine, inverse_time, step, warmup

STEPS = 50
LR = 0.3
FACTOR, FLOOR, RATE = [0.5, 0.9, 2.0], [0.0, 0.1, 1.0], [0.0, 0.01, 3.0]


def _rows(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _warm(optimizer: Any, then: Any) -> Any:
    """Seven steps up from 1/7, on top of another scheduler."""
    return lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(optimizer, start_factor=1 / 7, end_factor=1.0, total_iters=6), then]
    )


# name -> (ours, torch's for replica r)
SCHEDULES: dict[str, tuple[Callable[[], Schedule], Callable[[Any, int], Any]]] = {
    "constant": (constant, lambda optimizer, r: lr_scheduler.ConstantLR(optimizer, factor=1.0)),
    "step": (
        lambda: step(7, _rows(FACTOR)),
        lambda optimizer, r: lr_scheduler.StepLR(optimizer, step_size=7, gamma=FACTOR[r]),
    ),
    "cosine": (
        lambda: cosine(_rows(FLOOR)),
        lambda optimizer, r: lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS, eta_min=FLOOR[r] * LR),
    ),
    "inverse_time": (
        lambda: inverse_time(_rows(RATE)),
        lambda optimizer, r: lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + RATE[r] * t)),
    ),
    "warmup": (
        lambda: warmup(7, step(7, _rows(FACTOR))),
        lambda optimizer, r: _warm(optimizer, lr_scheduler.StepLR(optimizer, step_size=7, gamma=FACTOR[r])),
    ),
    "warmup then cosine": (
        lambda: warmup(7, cosine(_rows([0.0] * 3))),
        lambda optimizer, r: lr_scheduler.LambdaLR(
            optimizer,
            lambda t: min(1.0, (t + 1) / 7) * (1 + cos(pi * t / STEPS)) / 2,
        ),
    ),
}


def test_twins_are_of_schedules() -> None:
    """The table of torch twins names existing schedules only."""
    assert {name.partition(" ")[0] for name in SCHEDULES} <= set(stems("schedule"))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_rates_follow_torch(name: str) -> None:
    """50 steps of three replicas, each with its own numbers: the rate of every step is torch's."""
    make, twin = SCHEDULES[name]
    table = make().table(0, STEPS, STEPS).expand(STEPS, 3)
    for r in range(3):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
        scheduler = twin(optimizer, r)
        rates = []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        torch.testing.assert_close(LR * table[:, r], _rows(rates), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_epochs_join_to_the_whole(name: str) -> None:
    """A table in parts is the table in one: an epoch knows where in the training it stands."""
    make = SCHEDULES[name][0]
    whole = make().table(0, STEPS, STEPS)
    parts = [make().table(start, min(start + 12, STEPS), STEPS) for start in range(0, STEPS, 12)]
    assert torch.equal(torch.cat(parts), whole)


def test_factors_worked_by_hand() -> None:
    """Step: 1, 1, ½, ½, ¼; cosine to ½ over 4: 1, ·, ¾, ·; 1/(1 + t/2): 1, ⅔, ½; warmup over 4: ¼, ½, ¾, 1, 1."""
    half = _rows([0.5])
    assert step(2, half).table(0, 5, 5).flatten().tolist() == [1, 1, 0.5, 0.5, 0.25]
    assert cosine(half).table(0, 4, 4)[[0, 2]].flatten().tolist() == pytest.approx([1, 0.75], rel=1e-15)
    assert inverse_time(half).table(0, 3, 9).flatten().tolist() == pytest.approx([1, 2 / 3, 0.5], rel=1e-15)
    assert warmup(4, constant()).table(0, 5, 5).flatten().tolist() == [0.25, 0.5, 0.75, 1, 1]


def test_a_pack_multiplies_each_replicas_rate() -> None:
    """The rate at a step is the replica's lr times its own factor, in the pack's precision."""
    pack = make_pack(
        blobs(60, 3, 4), [0, 1], lr=[0.1, 0.4], schedule=step(2, _rows([0.5, 1.0])), dtype=torch.float32, hidden=[3]
    )
    rates = pack.learning_rates(2, 5, 9)
    assert rates.dtype == torch.float32
    torch.testing.assert_close(rates, torch.tensor([[0.05, 0.4], [0.05, 0.4], [0.025, 0.4]]))
