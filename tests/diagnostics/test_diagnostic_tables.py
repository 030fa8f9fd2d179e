"""Life of units, histograms and schedules against plain Python and numpy; nets whose trouble is known show it."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import blobs, make_pack
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.diagnostics.histograms import BINS, bin_rows, count, edges, frame
from workbench.diagnostics.life import Life, born, lived, unit_rows
from workbench.diagnostics.observed_step import Signal
from workbench.diagnostics.plan import Diagnostics, stride_for
from workbench.engine.observer import UNDECIDED
from workbench.engine.train import Trainer
from workbench.nn.activations import identity, relu, tanh
from workbench.nn.builders import mlp
from workbench.nn.initializers import Initializer, Scheme, constant, normal_noise

FULL: dict[str, Any] = {**option("diagnostics", "full"), "budget": None, "spacing": 1}
INF = float("inf")


def _plan(**changes: Any) -> Diagnostics:
    plan: Diagnostics = call("diagnostics", {**FULL, **changes})
    return plan


# Life


def _told(masks: list[list[bool]]) -> list[dict[str, Any]]:
    """The life of each unit from its states at steps 0, 10, 20, ..., told in plain Python."""
    told = []
    for states in zip(*masks, strict=True):
        died = [10 * t for t in range(1, len(states)) if states[t] and not states[t - 1]]
        revived = [10 * t for t in range(1, len(states)) if states[t - 1] and not states[t]]
        own: dict[str, Any] = {"born_dead": states[0], "dead_at_end": states[-1]}
        for noun, verb, steps in (("deaths", "died", died), ("revivals", "revived", revived)):
            own[noun] = len(steps)
            own[f"first_{verb}"], own[f"last_{verb}"] = (steps[0], steps[-1]) if steps else (None, None)
        told.append(own)
    return told


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda units: st.lists(st.lists(st.booleans(), min_size=units, max_size=units), min_size=1, max_size=7)
    ),
    st.integers(1, 7),
)
def test_life_is_what_plain_python_tells(masks: list[list[bool]], chunk: int) -> None:
    """Any course of any units, once through the tensor that a checkpoint holds."""
    life = born(torch.tensor([masks[0]]))
    for begin in range(0, len(masks), chunk):
        part = torch.tensor([[mask] for mask in masks[begin : begin + chunk]])
        life = lived(Life.of(life.rows()), part, [10 * (begin + number) for number in range(len(part))])
    table = unit_rows(life.rows()[0], {"l1": 1, "l2": len(masks[0]) - 1})
    expected = _told(masks)
    assert table["layer"] == ["l1", *["l2"] * (len(masks[0]) - 1)]
    assert table["unit"] == [0, *range(len(masks[0]) - 1)]
    for name in expected[0]:
        assert table[name] == [own[name] for own in expected], name


def test_a_unit_dies_and_revives_in_training() -> None:
    """The life table dates the death and revival of a relu unit that is pushed below 0 and lifted again."""
    trainer = Trainer(make_pack(blobs(60, 3, 2), [0, 1], activation="relu", hidden=[2], lr=0.0), 48, _plan())
    records = []
    for record in trainer.run(4):
        records.append(record)
        if record.epoch in (1, 3):  # unit 1 of replica 0 dies after epoch 1 and comes back after epoch 3
            trainer.params["l1.b"][0, 1] += -1e6 if record.epoch == 1 else 1e6
    one, other = (trainer.observer.tables(r)["unit_life"] for r in range(2))
    assert [one[name][1] for name in ("first_died", "deaths", "first_revived", "dead_at_end")] == [2, 1, 4, False]
    assert other["deaths"] == [0, 0]
    rates = [record.metrics["dead_rate/l1"][0] for record in records if "dead_rate/l1" in record.metrics]
    assert rates == [0, 0, 0.5, 0.5, 0]


# Histograms


@pytest.mark.parametrize(
    ("quantity", "bounds"), [("z", (0.0, INF)), ("a", (-1.0, 1.0)), ("a", (0.0, INF)), ("delta", (0.0, 1.0))]
)
def test_histogram_is_numpys(quantity: str, bounds: tuple[float, float]) -> None:
    """Counts by replica equal numpy's between the table's edges, with every finite number counted and no other."""
    x = torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.tanh() if bounds == (-1.0, 1.0) else x * 10.0 ** torch.arange(-6, 8, 2)
    ends = edges(quantity, bounds)
    assert len(ends) == BINS + 1
    assert ends == sorted(ends)
    counts = count(x, quantity, bounds)
    for r in range(2):
        assert counts[r].tolist() == np.histogram(x[r].numpy(), ends)[0].tolist()
        rows = bin_rows(5, "l1", quantity, bounds, counts[r].tolist())
        assert sum(rows["count"]) == x[r].numel()
        assert {*rows["step"], *rows["layer"], *rows["quantity"]} == {5, "l1", quantity}
        assert all(low < high for low, high in zip(rows["low"], rows["high"], strict=True))
    x[0, 0, :2] = torch.tensor([float("nan"), INF])
    assert count(x, quantity, bounds).sum(1).tolist() == [x[0].numel() - 2, x[1].numel()]


def test_histogram_worked_by_hand() -> None:
    """a = -1, 0, 0, 1 of tanh: the first, the middle and the last of 101 even bins; deltas are those of one example."""
    assert count(torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]]), "a", (-1.0, 1.0))[0, [0, 50, 100]].tolist() == [1, 2, 1]
    z = torch.zeros(1, 2, 2)
    found = frame({"l1": Signal(z, None, torch.full((1, 2, 2), 0.5), 2)})
    rows = bin_rows(1, "l1", "delta", (-INF, INF), found["l1", "delta"][0].tolist())
    assert rows["low"][0] <= 1.0 < rows["high"][0]  # B = 2 times 0.5
    assert found["l1", "z"][0, BINS // 2] == 4


# When, and at what price


@pytest.mark.parametrize(
    ("at", "every", "expected"),
    [
        ("epochs", 1, [5, 10, 15, 20]),
        ("epochs", 2, [10, 20]),
        ("epochs", 3, [15, 20]),
        ("steps", 4, [4, 8, 12, 16, 20]),
        ("geometric", 1, [1, 2, 4, 8, 16, 20]),
        ("geometric", 2, [1, 4, 16, 20]),
    ],
)
def test_moments_of_a_schedule(at: str, every: int, expected: list[int]) -> None:
    """Four epochs of five steps: the records with gradient norms stand where the schedule says, and at the end."""
    plan = _plan(at=at, every=every, tables=False, units=False)
    trainer = Trainer(make_pack(blobs(25, 3, 2), [0], hidden=[3]), 4, plan)
    records = list(trainer.run(4))
    assert [record.step for record in records if "grad_norm/l1" in record.metrics] == expected
    assert [record.step for record in records if "train/loss" in record.metrics] == [0, 5, 10, 15, 20]
    assert [record.step for record in records] == sorted(record.step for record in records)
    assert trainer.recorded == len(records) <= 6 + plan.most_inside(4, 5)


@pytest.mark.parametrize(
    ("every", "spacing", "expected", "units"),
    [
        (1, 6, [10, 20, 30, 35], [0, 10, 20, 30, 35]),
        (2, 11, [20, 35], [0, 15, 30, 35]),
        (3, 15, [15, 30, 35], [0, 15, 30, 35]),
        (1, 1000, [35], [0, 35]),
    ],
)
def test_looks_at_short_epochs_lie_apart(every: int, spacing: int, expected: list[int], units: list[int]) -> None:
    """Seven epochs of five steps: multiples of `every` epochs, `spacing` steps long; losses come after each."""
    plan = _plan(every=every, spacing=spacing, tables=False)
    trainer = Trainer(make_pack(blobs(25, 3, 2), [0], hidden=[3]), 4, plan)
    records = list(trainer.run(7))
    assert [record.step for record in records if "grad_norm/l1" in record.metrics] == expected
    assert [record.step for record in records if "dead_rate/l1" in record.metrics] == units
    assert [record.step for record in records if "train/loss" in record.metrics] == [*range(0, 36, 5)]


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 20), st.data())
def test_what_is_left_to_count_is_counted(epochs: int, spacing: int, length: int, data: st.DataObject) -> None:
    """`unit_counts` is the number of epochs left after which units are counted, and 0 without units."""
    done = data.draw(st.integers(0, epochs))
    plan = _plan(spacing=spacing)
    left = sum(plan.counts_units(epoch, epochs, length) for epoch in range(done + 1, epochs + 1))
    assert plan.unit_counts(done, epochs, length) == left
    assert _plan(spacing=spacing, units=False).unit_counts(done, epochs, length) == 0


@given(st.floats(0.01, 0.9), st.floats(1e-6, 1), st.integers(1, 40), st.floats(0, 1), st.floats(1e-3, 10))
def test_stride_is_the_least_that_keeps_the_budget(
    budget: float, moment: float, count: int, marks: float, rest: float
) -> None:
    """The stride keeps the share within the budget and half of it does not, unless the marks alone exceed it."""

    def share(stride: float) -> float:
        spent = moment * count / stride * (stride <= count) + marks
        return spent / (spent + rest)

    stride = stride_for(budget, moment, count, marks, rest)
    assert stride <= 2 * count
    if marks / (marks + rest) < budget * 0.99:
        assert share(stride) <= budget * 1.000001
        assert stride == 1 or share(stride / 2) > budget * 0.999999
    elif marks / (marks + rest) > budget:
        assert stride > count
    assert stride_for(None, moment, count, marks, rest) == 1


def test_a_dear_quantity_is_thinned_and_the_thinning_is_counted() -> None:
    """Moments that take as long as 10 epochs: after the first epoch only the last is left; what is missing is told."""
    plan = _plan(budget=0.05, tables=False)
    trainer = Trainer(make_pack(blobs(100, 3, 2), [0], hidden=[3]), 10, plan)
    records = []
    for record in trainer.run(12):
        records.append(record)
        if record.epoch == 0:
            trainer.observer._decide = lambda *given: 8  # type: ignore[method-assign]
    assert [record.epoch for record in records if "act_mean/l1" in record.metrics] == [1, 8, 12]
    assert trainer.observer.tags == {
        "diagnostics.stride": "8",
        "diagnostics.taken": "3",
        "diagnostics.skipped": "9",
    }


def test_what_is_measured_decides() -> None:
    """Seconds of the first of 21 epochs: 20 for the rest, 0.1 for marks, 3 for the moment, which will be 20·3.6 = 72.

    The meter sees 1 of 1.3. So 0.05/0.95·420 - 1.3·(3.1 + 20·0.1) = 15.5 are left for moments: 1.3·72/4 is too much,
    1.3·72/8 is not. Without a mark in the epoch nothing is decided.
    """
    seconds = {"all": 23.1, "marks": 0.1, "moments": 3.0, "tables": 0.0, "copies": 0.0}
    strides = []
    for spacing in (1, 8, 9):  # an epoch has eight steps
        plan = _plan(budget=0.05, tables=False, spacing=spacing)
        observer = Trainer(make_pack(blobs(100, 3, 2), [0], hidden=[3]), 10, plan).observer
        assert observer.epoch_length == 8
        observer.meter.seconds, observer.meter.least["moments"] = dict(seconds), 3.0
        observer.end_epoch(1, 21)
        assert observer.share == pytest.approx(3.1 / 23.1)
        strides.append(observer.stride)
    assert strides == [8, 8, UNDECIDED]


# Nets whose trouble is known


def _metrics(bias: float, std: float, activation: Any, depth: int = 3, width: int = 32) -> dict[str, float]:
    """The first step of a deep net, on 90 examples in one batch, and its rates of units before it."""
    scheme = Scheme(Initializer(normal_noise, lambda fan_in, fan_out: std * fan_in**-0.5), constant(bias))
    pack = make_pack(
        blobs(112, 32, 4),
        [0, 1],
        schemes=[scheme] * 2,
        lr=0.0,
        architecture=lambda n_in, n_out: mlp([width] * depth, n_in, n_out, activation),
    )
    first, second, *_ = list(Trainer(pack, 1000, _plan()).run(1))
    assert second.step == 1
    return first.of(1) | second.of(1)


def test_a_dead_net_is_seen() -> None:
    """Biases of -1000 under relu: every unit dead, a exactly 0, no gradient below the output."""
    seen = _metrics(-1e3, 1.0, relu())
    for layer in ("l1", "l2", "l3"):
        assert [seen[f"{name}/{layer}"] for name in ("dead_rate", "sparsity", "saturation")] == [1, 1, 1]
        assert [seen[f"{name}/{layer}"] for name in ("act_norm", "delta_norm", "grad_norm")] == [0, 0, 0]
    assert seen["delta_norm/l4"] > 0.1


def test_a_saturated_net_is_seen() -> None:
    """Weights a hundred times too large under tanh: a at ±1, nearly all units flat, hardly any gradient left."""
    seen, sound = _metrics(0.0, 100.0, tanh()), _metrics(0.0, 1.0, tanh())
    assert seen["saturation/l3"] > 0.9 > 0.1 > sound["saturation/l3"]
    assert seen["act_var/l3"] == pytest.approx(1, abs=0.05)
    assert seen["dead_rate/l3"] < 1


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_vanishing_and_exploding_gradients_are_seen(gain: float) -> None:
    """Linear layers whose weights are `gain` times critical: activations and deltas change by about it per layer."""
    seen = _metrics(0.0, gain, identity(), depth=8, width=128)
    forward = (seen["act_norm/l8"] / seen["act_norm/l1"]) ** (1 / 7)
    backward = (seen["delta_norm/l1"] / seen["delta_norm/l8"]) ** (1 / 7)
    assert forward == pytest.approx(gain, rel=0.1)
    assert backward == pytest.approx(gain, rel=0.1)


def test_replicas_that_leave_keep_their_tables() -> None:
    """A replica that diverges has the life, frames and signal that it had; the others have all."""
    pack = make_pack(blobs(100, 5, 3), [0, 1, 2], activation="relu", hidden=[8], lr=[0.01, 1e300, 0.02])
    trainer = Trainer(pack, 20, _plan())
    records = list(trainer.run(3))
    assert [one.replica for record in records for one in record.diverged] == [1]
    tables: list[dict[str, dict[str, list[Any]]]] = [trainer.observer.tables(r) for r in range(3)]
    assert [sorted(one) for one in tables] == [["histograms", "signal", "unit_life"]] * 3
    steps = [sorted({*one["histograms"]["step"]}) for one in tables]
    assert steps[0] == steps[2] == [1, 4, 12]
    assert set(steps[1]) < set(steps[0])
    assert all(len(one["unit_life"]["unit"]) == 8 for one in tables)
