"""Greedy pretraining against the same stages written out, what a pack changes for a replica, and after a kill."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import workbench as wb
from tests.reference import blobs, make_pack
from workbench.config.prepare import prepare
from workbench.config.validate import validate
from workbench.core.errors import ConfigError
from workbench.core.seeds import generator
from workbench.engine import stages
from workbench.engine.checkpoint import read, write
from workbench.engine.history import Record
from workbench.engine.replicas import Pack
from workbench.engine.stages import Pretrainer, make_trainer
from workbench.engine.train import Trainer
from workbench.nn.pretraining import autoencoder

EPOCHS, BATCH = 2, 20
DATA = blobs()


def pack_of(seeds: list[int], lr: float | list[float] = 0.1, **settings: Any) -> Pack:
    """A pack with pretraining, in float64."""
    rates = lr if isinstance(lr, list) else [lr] * len(seeds)
    given = {"epochs": 2, "corruption": 0.25, **settings}
    own = autoencoder(torch.tensor(rates, dtype=torch.float64), **given)
    return replace(make_pack(DATA, seeds, momentum=0.9), pretraining=own)


def trained(pack: Pack) -> tuple[Pretrainer, list[Record]]:
    """All records of a pack."""
    trainer = make_trainer(pack, BATCH)
    assert isinstance(trainer, Pretrainer)
    return trainer, list(trainer.run(EPOCHS))


def test_stages_are_those_of_the_same_training_in_torch() -> None:
    """Two plain auto-encoders by autograd, one on the codes of the other, with the run's own weights and orders."""
    pack = replace(pack_of([3], corruption=0.0), optimizer=make_pack(DATA, [3]).optimizer)
    start, (trainer, records) = pack.initial_params(), trained(pack)
    x = pack.data.train.x[0]
    for layer, width in (("l1", 16), ("l2", 16)):
        d = f"d{layer[1]}"
        own = {f"{layer}.W": start[f"{layer}.W"][0], f"{layer}.b": start[f"{layer}.b"][0]}
        stage = make_trainer(pack, BATCH)
        assert isinstance(stage, Pretrainer)
        model = stage.stages[int(layer[1]) - 1].model
        own |= model.init(3, pack.schemes[0])
        leaves = {name: value.clone().requires_grad_() for name, value in own.items()}

        def loss(rows: Tensor, leaves: dict[str, Tensor] = leaves, layer: str = layer, d: str = d) -> Tensor:
            a = torch.tanh(F.linear(rows, leaves[f"{layer}.W"], leaves[f"{layer}.b"]))
            return 0.5 * (F.linear(a, leaves[f"{d}.W"], leaves[f"{d}.b"]) - rows).square().sum(1).mean()

        order = generator(3, "order")
        for _ in range(2):
            for rows in torch.split(torch.randperm(len(x), generator=order), BATCH):
                gradients = torch.autograd.grad(loss(x[rows]), list(leaves.values()))
                with torch.no_grad():
                    for leaf, gradient in zip(leaves.values(), gradients, strict=True):
                        leaf -= 0.1 * gradient
        found = [r.metrics[f"pretrain.{layer[1]}/loss"][0] for r in records if f"pretrain.{layer[1]}/loss" in r.metrics]
        assert found[-1] == pytest.approx(float(loss(x).detach()), rel=1e-9)
        x = torch.tanh(F.linear(x, leaves[f"{layer}.W"], leaves[f"{layer}.b"])).detach()
        assert x.shape[1] == width
    again = Trainer(replace(pack, pretraining=replace(pack.pretraining, epochs=0)), BATCH)
    assert not torch.equal(again.params["l1.W"], trainer.params["l1.W"])


@pytest.mark.parametrize("tied", [False, True])
def test_records_count_on_and_losses_fall(tied: bool) -> None:
    """Steps and epochs continue over the stages; each stage gives its input back better; the net learns after them."""
    trainer, records = trained(pack_of([0, 1], tied=tied, frozen_epochs=1))
    length = trainer.steps_per_epoch
    names = [next(iter(record.metrics)) for record in records]
    assert names[:8] == ["pretrain.1/loss"] * 3 + ["pretrain.2/loss"] * 3 + ["frozen/loss"] * 2
    assert [record.epoch for record in records] == [0, 1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 7]
    assert [record.step for record in records] == [record.epoch * length for record in records]
    for name in ("pretrain.1/loss", "pretrain.2/loss", "frozen/loss"):
        losses = [record.metrics[name] for record in records if name in record.metrics]
        assert all(last < first for first, last in zip(losses[0], losses[-1], strict=True))
    frozen, before = records[7].metrics["frozen/loss"], records[8].metrics["train/loss"]
    assert before == pytest.approx(frozen, rel=1e-9)  # the whole net begins where the output layer has ended
    assert sorted(trainer.final) == [0, 1]


def test_frozen_layers_stand_still() -> None:
    """The output layer's stage leaves what is below it, and moves the output layer."""
    trainer = make_trainer(pack_of([0], frozen_epochs=2), BATCH)
    seen = [trainer.params.with_flat(trainer.params.flat.clone()) for _ in islice(trainer.run(EPOCHS), 10)]
    assert torch.equal(seen[6]["l2.W"], seen[9]["l2.W"])
    assert not torch.equal(seen[0]["l1.W"], seen[6]["l1.W"])


def test_a_replica_depends_on_its_own_seed() -> None:
    """A pretrained replica ends the same alone and beside replicas with other rates."""
    alone, _ = trained(pack_of([7], 0.05))
    together, _ = trained(pack_of([1, 7, 2], [0.1, 0.05, 0.2]))
    torch.testing.assert_close(alone.final[0], together.final[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", range(12))
def test_going_on_from_any_record_ends_with_the_same_bits(tmp_path: Path, count: int) -> None:
    """Training restored from a file after any record ends with the same later records and final weights."""
    pack = pack_of([0, 4], frozen_epochs=1)
    expected, records = trained(pack)
    first = make_trainer(pack, BATCH)
    early = list(islice(first.run(EPOCHS), count))
    write(tmp_path / "one.safetensors", first.snapshot(), early, {})
    second = make_trainer(pack, BATCH)
    second.restore(read(tmp_path / "one.safetensors").snapshot)
    late = list(second.run(EPOCHS))
    assert [replace(one, time_ms=0) for one in early + late] == [replace(one, time_ms=0) for one in records]
    for replica, flat in expected.final.items():
        assert torch.equal(flat, second.final[replica])


@pytest.mark.parametrize("count", range(1, 12))
def test_the_mark_is_whole_after_any_record(count: int) -> None:
    """The mark kept for an interruption has no later records, and training from it ends with the same bits."""
    pack = pack_of([0, 4], frozen_epochs=1)
    expected, records = trained(pack)
    first = make_trainer(pack, BATCH)
    early = list(islice(first.run(EPOCHS), count))
    assert first.mark.recorded <= count
    second = make_trainer(pack, BATCH)
    second.restore(first.mark.copied())
    late = list(second.run(EPOCHS))
    assert len(early[: first.mark.recorded]) + len(late) == len(records)
    assert torch.equal(expected.final[1], second.final[1])


def test_a_replica_that_diverges_in_a_stage_leaves(tmp_path: Path) -> None:
    """A replica that diverges in a stage ends with its initial net, and the others train as if it were absent."""
    pack = pack_of([0, 4, 5], [0.1, 1e30, 0.1])
    trainer, records = trained(pack)
    (lost,) = [one for record in records for one in record.diverged]
    assert (lost.replica, records[1].diverged) == (1, (lost,))
    assert trainer.replicas == (0, 2)
    assert torch.equal(trainer.final[1], pack.initial_params().flat[1])
    alone, _ = trained(pack_of([5]))
    torch.testing.assert_close(alone.final[0], trainer.final[2], rtol=1e-9, atol=1e-12)
    first = make_trainer(pack, BATCH)
    early = list(islice(first.run(EPOCHS), 3))
    write(tmp_path / "one.safetensors", first.snapshot(), early, {})
    second = make_trainer(pack, BATCH)
    second.restore(read(tmp_path / "one.safetensors").snapshot)
    assert len(list(second.run(EPOCHS))) == len(records) - 3
    assert all(torch.equal(trainer.final[replica], second.final[replica]) for replica in (0, 1, 2))


def test_a_replica_that_diverges_after_the_stages_has_its_step_counted_from_the_first() -> None:
    """Two stages of two epochs lie before the epoch in which it left, whose steps are those before its record."""
    pack = pack_of([0, 4])
    pack = replace(pack, optimizer=make_pack(DATA, [0, 4], lr=[0.1, 1e308], momentum=0.9).optimizer)
    trainer, records = trained(pack)
    ((record, lost),) = [(record, one) for record in records for one in record.diverged]
    assert (lost.replica, record.epoch) == (1, 5)
    assert record.step - trainer.steps_per_epoch < lost.step <= record.step == 5 * trainer.steps_per_epoch


def test_codes_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coded seven at a time, with a rest, examples and targets are the same."""
    pack = pack_of([0], frozen_epochs=1)
    whole, _ = trained(pack)
    monkeypatch.setattr(stages, "CHUNK", 7)
    chunked, _ = trained(pack)
    torch.testing.assert_close(whole.final[0], chunked.final[0], rtol=1e-9, atol=1e-12)


def test_dropped_replicas_leave_every_stage() -> None:
    """A replica dropped between two records of the first stage, as by a search, is in no later record."""
    trainer = make_trainer(pack_of([0, 4, 5]), BATCH)
    records = []
    for record in trainer.run(EPOCHS):
        records.append(record)
        if len(records) == 2:
            trainer.drop([0])
    assert [record.replicas for record in records] == [(0, 1, 2)] * 2 + [(1, 2)] * (len(records) - 2)
    assert sorted(trainer.final) == [0, 1, 2]


def test_memory_holds_the_codes_of_two_layers() -> None:
    """A pretrained replica's memory estimate adds float32 codes of two layers: 1797 digits and 64 units each."""
    plain, pretrained = (
        prepare(wb.configure(f"pretraining={name}", "architecture.hidden=[64,32]")).replica_bytes
        for name in ("none", "autoencoder")
    )
    assert pretrained - plain == 2 * 1797 * 64 * 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pretraining.frozen_epochs=-1", "pretraining.frozen_epochs: must be greater than or equal to 0, got -1"),
        ("pretraining.lr=0", "pretraining.lr: must be greater than 0, got 0"),
        ("architecture=perceptron", "pretraining: an auto-encoder needs a net .* got none; write"),
        (
            "architecture=maxout_mlp",
            "pretraining: an auto-encoder needs a net .* got Maxout; write",
        ),
    ],
)
def test_what_cannot_be_pretrained_is_refused(override: str, message: str) -> None:
    """Invalid settings of a pretraining and nets without plain hidden layers are refused before step 0."""
    with pytest.raises(ConfigError, match=message):
        validate(wb.configure("pretraining=autoencoder", override))


def test_nothing_is_pretrained_unless_asked() -> None:
    """A pack without pretraining gets the plain trainer."""
    assert isinstance(make_trainer(make_pack(DATA, [0]), BATCH), Trainer)
