"""Captured steps against the same steps without a graph. What needs no GPU is tested without one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.test_train import _to_device
from tests.reference import blobs, make_pack
from workbench.engine.epoch_plan import Batch
from workbench.engine.graph import GraphedSteps, Slots, capture, undone
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer, step
from workbench.nn.activations import relu
from workbench.nn.builders import mlp
from workbench.nn.layers.batch_norm import batch_norm
from workbench.nn.layers.dropout import step_keys
from workbench.nn.params import Params
from workbench.nn.schedules import inverse_time

Body = Callable[[], Tensor]


def _pack(seeds: Sequence[int] = (0, 1, 2), device: str = "cpu") -> Pack:
    """Noise, statistics, momentum, decay, a schedule and a cut: all that a step may have; 80 examples in training."""
    rows = [torch.full((len(seeds),), value, dtype=torch.float64) for value in (0.3, 0.02)]
    pack = make_pack(
        blobs(100, 5, 3),
        seeds,
        architecture=lambda n_in, n_out: mlp([6], n_in, n_out, relu(), batch_norm(), dropout=0.5),
        momentum=0.9,
        weight_decay=0.01,
        clip_norm=rows[0],
        schedule=inverse_time(rows[1]),
    )
    return pack if device == "cpu" else _moved(pack, device)


def _moved(pack: Pack, device: str) -> Pack:
    return replace(_to_device(pack, device), device=torch.device(device))


def _losses(pack: Pack, take: Callable[..., Tensor], epochs: int = 3) -> tuple[Tensor, Tensor]:
    """Every step's loss, and the parameters in the end; the last batch of an epoch is smaller."""
    trainer = Trainer(pack, 32)
    losses = []
    for epoch in range(1, epochs + 1):
        for batch in trainer.epoch_plan(epoch, epochs).batches(pack.data, 32):
            losses.append(take(pack, trainer.params, trainer.grads, trainer.state, batch).clone())
    return torch.stack(losses), trainer.params.flat


def _eager(pack: Pack, params: Params, grads: Params, state: dict[str, Tensor], batch: Batch) -> Tensor:
    return step(pack, params, grads, state, batch.x, batch.y, batch.number, batch.lr)


class Played:
    """A capture without a GPU: warms up and undoes that as on CUDA, then plays the body each time."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, body: Body, changed: Sequence[Tensor]) -> Body:
        """Warm up `body`, undo what it changed, and return it to be played."""
        self.count += 1
        with undone(changed):
            body()
            body()
        return body


def test_steps_from_slots_are_the_same_bits() -> None:
    """Number, rates and rows read from fixed memory, after a warm-up that is undone: every loss and parameter."""
    played = Played()
    found, expected = (_losses(_pack(), take) for take in (GraphedSteps(step, played), _eager))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert played.count == 2  # batches of 32 and the smaller last one
    assert len(set(expected[0][:, 0].tolist())) == len(expected[0])


def test_other_tensors_are_captured_anew() -> None:
    """A pack that lost a replica has other memory, and the old graph would train the old one."""
    played = Played()
    steps = GraphedSteps(step, played)
    trainer = Trainer(_pack(), 32)
    first, second, _ = trainer.epoch_plan(1, 1).batches(trainer.pack.data, 32)
    for batch in (first, second):
        steps(trainer.pack, trainer.params, trainer.grads, trainer.state, batch)
    assert played.count == 1
    trainer.drop([1])
    batch = next(iter(trainer.epoch_plan(2, 2).batches(trainer.pack.data, 32)))
    twin = trainer.params.with_flat(trainer.params.flat.clone())
    state = {name: tensor.clone() for name, tensor in trainer.state.items()}
    expected = _eager(trainer.pack, twin, trainer.grads, state, batch)
    assert torch.equal(steps(trainer.pack, trainer.params, trainer.grads, trainer.state, batch), expected)
    assert torch.equal(trainer.params.flat, twin.flat)
    assert played.count == 2


def test_noise_of_a_step_on_the_device_is_that_of_its_number() -> None:
    """The step as a tensor chooses the same keys as the step as an integer, also far on."""
    keys = torch.tensor([0, 1, 2**32 - 1, 123456789])
    for number in (0, 1, 77, 10**6, 2**31):
        assert torch.equal(step_keys(keys, torch.tensor(number)), step_keys(keys, number))


def test_slots_are_filled_in_place() -> None:
    """Loading a batch moves no memory, and leaves the batch alone."""
    pack = _pack()
    first, second, last = Trainer(pack, 32).epoch_plan(1, 1).batches(pack.data, 32)
    slots = Slots.like(first)
    before = [tensor.data_ptr() for tensor in (slots.number, slots.lr, slots.rows)]
    slots.load(second)
    assert [tensor.data_ptr() for tensor in (slots.number, slots.lr, slots.rows)] == before
    assert (int(slots.number), slots.lr.tolist()) == (1, second.lr.tolist())
    assert torch.equal(slots.rows, second.rows)
    assert not torch.equal(first.rows, second.rows)
    assert last.rows.shape[1] < 32


def test_a_captured_step_reads_nothing_back() -> None:
    """Slots and step run on the meta device, where a look at a number raises."""
    real = _pack()
    pack, initial = _moved(real, "meta"), real.initial_params()
    params = initial.with_flat(initial.flat.to("meta"))
    grads = Params.zeros(params.layout.trained, 3, params.flat)
    state = {name: tensor.to("meta") for name, tensor in real.optimizer.init(initial).items()}
    rows = torch.empty(3, 8, dtype=torch.int64, device="meta")
    batch = Batch(4, torch.empty(3, device="meta", dtype=torch.float64), rows, pack.data)
    loss = GraphedSteps(step, Played())(pack, params, grads, state, batch)
    assert (loss.device.type, loss.shape) == ("meta", (3,))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replayed_steps_are_the_same_bits_on_cuda() -> None:
    """Graph and eager step by step: every loss and parameter, with noise, statistics, momentum and a smaller batch."""
    packs: list[Any] = [_pack(device="cuda") for _ in range(2)]
    found, expected = (
        _losses(pack, take) for pack, take in zip(packs, (GraphedSteps(step, capture), _eager), strict=True)
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
