"""Checkpoints: a file gives back what was put in, and training that goes on from one ends with the same bits."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reference import blobs, build, make_pack, stems
from workbench.config.instantiate import call_stacked
from workbench.config.options import option
from workbench.core.errors import NumericsError
from workbench.engine.checkpoint import read, read_about, weights_digest, weights_of, write
from workbench.engine.history import Record
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer
from workbench.nn.builders import mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.model import Model
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Layout, Params
from workbench.runs import checkpoint_writer as keeping
from workbench.runs.checkpoint_writer import CheckpointWriter

EPOCHS = 4
ODD = blobs(100, 7, 5)  # sizes in multiples of 16 would give a replica the same bits in any pack
LATE = 0.55  # the learning rate that lets a replica leave in the second epoch


def stacked(group: str, name: str, **given: Sequence[float]) -> Any:
    """An option with numbers of its own for each of three replicas where they are `given`."""
    nodes = [{**option(group, name), **{key: row[replica] for key, row in given.items()}} for replica in range(3)]
    return call_stacked(group, nodes, torch.tensor)


def optimizer(name: str) -> Optimizer:
    """Build an optimizer of three learning rates and penalties, and of three momenta for SGD."""
    momentum = {"momentum": (0.0, 0.5, 0.9)} if name == "sgd" else {}
    made: Optimizer = stacked("optimizer", name, lr=(0.01, 0.02, 0.03), weight_decay=(0.0, 0.01, 0.1), **momentum)
    return made


def pack_of(lr: Sequence[float] = (0.01, 0.02, 0.03), **given: Any) -> Pack:
    """Three replicas in odd sizes and float32, where bits depend on who trains together."""
    settings = {"hidden": [13, 11], "momentum": 0.9, "dtype": torch.float32, "split_seeds": [0, 1, 0], **given}
    return make_pack(ODD, [0, 1, 2], lr=lr, **settings)


def noisy(n_in: int, n_out: int) -> Model:
    """Batch norm with its running statistics, dropout, and slopes per replica."""
    return mlp([13, 11], n_in, n_out, build("activation", "leaky_relu"), norm=build("norm", "batch"), dropout=0.3)


def diverging(lr: float) -> Pack:
    """The middle replica of three leaves by the growth of its weights."""
    return pack_of(lr=(0.01, lr, 0.03), loss="squared_error", activation="relu", momentum=0.0, hidden=[13])


def schemes_with_slopes() -> list[Scheme]:
    """Leaky units of three slopes."""
    return [Scheme(he(), constant(0.1), {"slope": slope}) for slope in (0.01, 0.1, 0.3)]


PACKS = {
    **{name: lambda name=name: pack_of(optimizer=optimizer(name)) for name in stems("optimizer")},
    "noisy": lambda: pack_of(architecture=noisy, schemes=schemes_with_slopes()),
    "cosine": lambda: pack_of(
        schedule=stacked("schedule", "cosine", floor=(0.0, 0.1, 0.5)), clip_norm=torch.tensor([0.5, 1.0, 2.0])
    ),
    "warmup": lambda: pack_of(schedule=stacked("schedule", "warmup", steps=(3, 3, 3))),
    "lost at once": lambda: diverging(1e30),
    "lost later": lambda: diverging(LATE),
    "all lost": lambda: pack_of(lr=(1e30, 1e30, 1e30), loss="squared_error", activation="relu", hidden=[13]),
}


QUICK = ("adam", "noisy", "warmup", "lost later")


def timeless(records: Sequence[Record]) -> str:
    """Records as text without their times: NaN equals NaN."""
    return repr([replace(record, time_ms=0) for record in records])


def resumed(pack: Pack, file: Path, after: int) -> tuple[Trainer, list[Record]]:
    """Trained until `after` records, written, read, and trained on by another trainer."""
    first = Trainer(pack, 16)
    records = []
    for record in first.run(EPOCHS):
        records.append(record)
        if len(records) == after:
            break
    write(file, first.snapshot(), records, {"runs": ["a"]})
    found = read(file)
    assert found.about == {"runs": ["a"]}
    second = Trainer(pack, 16)
    second.restore(found.snapshot)
    return second, [*found.records, *second.run(EPOCHS)]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PACKS]
)
def test_resumed_after_any_record_is_uninterrupted(name: str, tmp_path: Path) -> None:
    """Training resumed after any record has the same parameters, records and endings, bit for bit."""
    trainer = Trainer(PACKS[name](), 16)
    records = list(trainer.run(EPOCHS))
    for after in range(1, len(records) + 1):
        other, again = resumed(PACKS[name](), tmp_path / "one.safetensors", after)
        assert timeless(again) == timeless(records)
        assert other.replicas == trainer.replicas
        assert other.final.keys() == trainer.final.keys() == {0, 1, 2}
        for replica, flat in trainer.final.items():
            assert torch.equal(other.final[replica], flat), (after, replica)


def test_the_packs_diverge_when_they_say() -> None:
    """The test's packs lose replica 1 in epoch 1, replica 1 in a later epoch, and all replicas in epoch 1."""
    lost = {}
    for name in ("lost at once", "lost later", "all lost"):
        found = [record for record in Trainer(PACKS[name](), 16).run(EPOCHS) if record.diverged]
        lost[name] = {one.replica: record.epoch for record in found for one in record.diverged}
    assert lost["lost at once"] == {1: 1}
    assert 2 <= lost["lost later"][1] <= EPOCHS
    assert lost["all lost"] == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("epoch", [1, 3])
def test_replicas_that_were_given_up_stay_so(epoch: int, tmp_path: Path) -> None:
    """Training resumed from a checkpoint agrees if a replica is dropped before or after it."""

    def train(trainer: Trainer, after: int = 0) -> list[Record]:
        records = []
        for record in trainer.run(EPOCHS):
            records.append(record)
            if record.epoch == epoch and 0 in trainer.replicas:
                trainer.drop([0])
            if after and record.epoch == after:
                break
        return records

    whole = Trainer(pack_of(), 16)
    records = train(whole)
    first, second = Trainer(pack_of(), 16), Trainer(pack_of(), 16)
    train(first, 2)
    write(tmp_path / "one.safetensors", first.snapshot(), [], {})
    second.restore(read(tmp_path / "one.safetensors").snapshot)
    assert timeless(train(second)) == timeless(records[3:])
    assert all(torch.equal(second.final[replica], flat) for replica, flat in whole.final.items())


def test_an_interrupted_epoch_leaves_its_beginning() -> None:
    """`mark` is whole whatever happens in the midst of an epoch: going on from it repeats the epoch."""
    whole, broken = Trainer(pack_of(), 16), Trainer(pack_of(), 16)
    records = list(whole.run(EPOCHS))
    run = broken.run(EPOCHS)
    made = [next(run) for _ in range(3)]
    steps = iter(range(2))
    apply = type(broken.pack).apply

    def interrupt(*arguments: Any) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        apply(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(broken.pack), "apply", interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(run)
    assert broken.mark.recorded == 3
    again = Trainer(pack_of(), 16)
    again.restore(broken.mark)
    assert timeless([*made, *again.run(EPOCHS)]) == timeless(records)
    assert all(torch.equal(again.final[replica], flat) for replica, flat in whole.final.items())


def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path) -> None:
    """A checkpoint of other layer sizes or of another optimizer is refused."""
    write(tmp_path / "one.safetensors", Trainer(pack_of(), 16).snapshot(), [], {})
    found = read(tmp_path / "one.safetensors").snapshot
    for other in (pack_of(hidden=[11, 13]), pack_of(optimizer=optimizer("adam"))):
        with pytest.raises(NumericsError, match=r"checkpoint: must be of the program .*; run the command again"):
            Trainer(other, 16).restore(found)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails before its renaming leaves the old checkpoint whole."""
    file = tmp_path / "here" / "one.safetensors"
    trainer = Trainer(pack_of(), 16)
    write(file, trainer.snapshot(), [], {"try": 1})
    for name in ("save_file", "os.fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(f"workbench.engine.checkpoint.{name}", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                write(file, trainer.snapshot(), [], {"try": 2})
        assert read_about(file) == {"try": 1}


def test_weights_are_the_parameters_by_name() -> None:
    """The weights written for one replica are its parameters and buffers by name, without the layout's padding."""
    from safetensors.torch import load

    trainer = Trainer(pack_of(architecture=noisy, schemes=schemes_with_slopes()), 16)
    content = load(weights_of(trainer.params.layout, trainer.params.flat[2]))
    assert content.keys() == trainer.params.keys()
    for name, tensor in content.items():
        assert torch.equal(tensor, trainer.params[name][2])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the writer sees: the first entry."""
    now = [0.0]
    monkeypatch.setattr(keeping, "monotonic", lambda: now[0])
    return now


def test_checkpoints_are_due_every_so_often(clock: list[float], tmp_path: Path) -> None:
    """A checkpoint is due once the interval since the last one has passed, and always for an interval of 0."""
    writer = CheckpointWriter(tmp_path / "one.safetensors", 10.0)
    clock[0] = 9.0
    assert not writer.is_due(1000)
    assert CheckpointWriter(tmp_path / "two.safetensors", 0.0).is_due(10**12)
    clock[0] = 10.0
    assert writer.is_due(1000)
    writer.save(replace(Trainer(pack_of(), 16).snapshot(), recorded=1), [])
    assert not writer.is_due(1000)
    clock[0] = 20.0
    assert writer.is_due(1000)


def test_checkpoints_take_two_percent_at_most(
    clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints take at most 2 % of the time, foretold from the size at first and measured afterwards."""

    def slow(*_: Any) -> None:
        clock[0] += 3.0

    monkeypatch.setattr(keeping, "write", slow)
    writer = CheckpointWriter(tmp_path / "one.safetensors", 10.0)
    snapshot = Trainer(pack_of(), 16).snapshot()
    clock[0] = 10.0
    assert not writer.is_due(21_000_000)  # a fifth of a second and more
    assert writer.is_due(19_000_000)
    writer.save(replace(snapshot, recorded=1), [])
    assert writer.tags == {"checkpoint.count": "1", "checkpoint.seconds": "3.000"}
    clock[0] = 299.0
    assert not writer.is_due(0)  # 3 s before, 3 s foretold
    clock[0] = 301.0
    assert writer.is_due(0)


def test_nothing_older_replaces_a_checkpoint(tmp_path: Path) -> None:
    """A checkpoint of fewer or as many records, as an interruption's mark may be, does not replace a newer one."""
    writer = CheckpointWriter(tmp_path / "one.safetensors", 0.0)
    snapshot = Trainer(pack_of(), 16).snapshot()
    for recorded in (3, 2, 3):
        writer.save(replace(snapshot, recorded=recorded), [])
    assert (writer.count, read(writer.file).snapshot.recorded) == (1, 3)


def test_a_disk_that_refuses_is_said_and_lived_with(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A checkpoint that cannot be written gives one warning, no count, and leaves further saves due."""
    (tmp_path / "taken").write_text("")
    writer = CheckpointWriter(tmp_path / "taken" / "one.safetensors", 1e9)
    snapshot = Trainer(pack_of(), 16).snapshot()
    for recorded in (1, 2):
        writer.save(replace(snapshot, recorded=recorded), [])
    assert writer.count == 0
    assert writer.is_due(0)
    assert [record.message.partition(" in ")[0] for record in caplog.records] == ["no checkpoint"]


def test_digest_of_weights_stands_for_names_and_bits() -> None:
    """Another bit or name gives another digest; where parameters lie in the storage does not matter."""
    layout = Layout({"l1.W": (2, 3), "l1.b": (2,), "l1.slope": ()})
    turned = Layout({"l1.b": (2,), "l1.W": (2, 3), "l1.slope": (), "l2.W": (1, 1)})
    flat = torch.zeros(1, layout.size)
    params = Params(layout, flat)
    params["l1.W"].copy_(torch.arange(6.0).view(1, 2, 3))
    digest = weights_digest(layout, flat[0])
    expected = sha256(b"l1.W torch.float32 (2, 3)" + params["l1.W"].numpy().tobytes())
    expected.update(b"l1.b torch.float32 (2,)" + params["l1.b"].numpy().tobytes())
    expected.update(b"l1.slope torch.float32 ()" + params["l1.slope"].numpy().tobytes())
    assert digest == expected.hexdigest()
    params["l1.b"][0, 1] = -0.0  # equal to 0, but another bit
    assert weights_digest(layout, flat[0]) != digest
    assert weights_digest(turned, torch.zeros(turned.size)) != digest
