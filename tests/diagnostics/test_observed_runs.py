"""Diagnostics in runs: kept with them, gone on with from a checkpoint, without a look at the device in between."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

import workbench as wb
from tests.engine.test_train import SIZES, _to_device
from tests.reference import blobs, blobs_for, build, inputs_of, make_pack, stems
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.diagnostics.histograms import frame
from workbench.diagnostics.life import born, lived
from workbench.diagnostics.observed_step import observed_step
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.checkpoint import read
from workbench.engine.diagnostic_tables import signal_table
from workbench.engine.history import Record
from workbench.engine.train import Trainer, step
from workbench.nn.layers.base import Recorder
from workbench.nn.model import Model
from workbench.nn.params import Params
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink

FULL: Diagnostics = call("diagnostics", {**option("diagnostics", "full"), "budget": None, "spacing": 1})
SMALL = ("data=wine", "architecture.hidden=[6]", "train.epochs=3", "diagnostics=full", "device=cpu")
FILES = ["histograms.parquet", "signal.parquet", "unit_life.parquet"]


def _train(
    sink: MemorySink, *overrides: str, seeds: Sequence[int] = (0, 1), writer: CheckpointWriter | None = None
) -> Any:
    specs = [wb.configure(*SMALL, *overrides, f"seed={seed}") for seed in seeds]
    return train_pack(
        [Job(spec, f"run {number}", "arm") for number, spec in enumerate(specs)], sink, checkpoints=writer
    )


@pytest.mark.slow
def test_tables_and_share_are_kept_with_each_run() -> None:
    """Files that pandas reads, with the columns that the documentation names; one share; tags of the schedule."""
    sink = MemorySink()
    _train(sink)
    for run in sink.runs.values():
        assert sorted(name for name in run.files if name in FILES) == FILES
        life, bins, signal = (
            pd.read_parquet(BytesIO(run.files[f"{name}.parquet"])) for name in ("unit_life", "histograms", "signal")
        )
        assert life.shape == (6, 10)
        assert bins.columns.tolist() == ["step", "layer", "quantity", "low", "high", "count"]
        assert set(bins["quantity"]) == {"z", "a", "delta"}
        assert signal["layer"].tolist() == ["l1", "l2"]
        shares = [metrics["diagnostics/share"] for _, _, metrics in run.rows if "diagnostics/share" in metrics]
        assert len(shares) == 1
        assert 0 < shares[0] < 1
        assert {"diagnostics.stride", "diagnostics.taken", "diagnostics.skipped"} <= run.tags.keys()
        names = {name for _, _, metrics in run.rows for name in metrics}
        assert {"act_var/l1", "delta_norm/l2", "update_ratio/all", "dead_rate/l1"} <= names


@pytest.mark.slow
def test_light_is_what_it_says_and_off_is_nothing() -> None:
    """Gradient norms and rates of units after each epoch; with off, losses and scores alone."""
    names = {}
    for option_name in ("light", "off"):
        sink = MemorySink()
        _train(sink, f"diagnostics={option_name}", seeds=[0])
        (run,) = sink.runs.values()
        assert not set(run.files) & set(FILES)
        names[option_name] = {name for _, _, metrics in run.rows for name in metrics}
        names[option_name] -= {
            f"{part}/{score}" for part in ("train", "valid", "test") for score in ("loss", "accuracy")
        }
    assert names == {
        "light": {
            *("grad_norm/l1", "grad_norm/l2", "grad_norm/all", "dead_rate/l1", "saturation/l1", "diagnostics/share"),
        },
        "off": set(),
    }


def test_a_wrong_quantity_is_refused_before_the_first_step() -> None:
    """A quantity that does not exist, a budget above 1 and an unknown `at` end the run before its first step."""
    for override, key in (
        ("diagnostics.quantities.act_norm._target_=workbench.nowhere.act_norm", "diagnostics.quantities.act_norm"),
        ("diagnostics.budget=2", "diagnostics.budget"),
        ("diagnostics.at=sometimes", "diagnostics.at"),
    ):
        sink = MemorySink()
        done = _train(sink, override, seeds=[0])
        assert key in done.results[0].error
        assert not sink.runs


# Going on


def _rows(records: Sequence[Record]) -> list[list[dict[str, float]]]:
    return [[record.of(place) for place in range(len(record.replicas))] for record in records]


def _tables(trainer: Trainer) -> list[Any]:
    return [trainer.observer.tables(replica) for replica in range(3)]


@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_training_goes_on_with_the_same_records_and_tables(tmp_path: Path, stop: int) -> None:
    """Training restored from a checkpoint file ends with the same records and tables, also after a replica diverged."""

    def trainer(plan: Diagnostics = FULL) -> Trainer:
        rates = [0.01, 1e150, 0.02]
        pack = make_pack(blobs(100, 5, 3), [0, 1, 2], activation="relu", hidden=[8], lr=rates, loss="squared_error")
        return Trainer(pack, 20, plan)

    whole = trainer()
    records = list(whole.run(4))
    assert len(records) == 7  # the first step's among them
    assert {one.replica for record in records for one in record.diverged} == {1}
    first, writer = trainer(), CheckpointWriter(tmp_path / "one.safetensors", 0.0)
    begun: list[Record] = []
    for record in first.run(4):
        begun.append(record)
        writer.save(first.snapshot(), begun)
        if len(begun) == stop:
            break
    found = read(writer.file)
    again = trainer()
    again.restore(found.snapshot)
    after = list(again.run(4))
    assert _rows([*found.records, *after]) == _rows(records)
    assert _tables(again) == _tables(whole)
    assert again.observer.tags == whole.observer.tags
    for replica in range(3):
        assert torch.equal(again.final[replica], whole.final[replica])


def test_the_stride_once_decided_is_gone_on_with(tmp_path: Path) -> None:
    """A stride restored from a checkpoint stays, whatever later epochs take."""
    plan = replace(FULL, budget=0.05)
    trainer, writer = (
        Trainer(make_pack(blobs(60, 5, 3), [0]), 20, plan),
        CheckpointWriter(tmp_path / "one.safetensors", 0.0),
    )
    begun = []
    for record in trainer.run(5):
        begun.append(record)
        if record.epoch == 1:
            trainer.observer.stride = 3
            writer.save(trainer.snapshot(), begun)
            break
    again = Trainer(make_pack(blobs(60, 5, 3), [0]), 20, plan)
    again.restore(read(writer.file).snapshot)
    epochs = [record.epoch for record in again.run(5) if "act_norm/l1" in record.metrics]
    assert epochs == [3, 5]
    assert again.observer.share > 0


def test_a_moment_inside_an_epoch_leaves_the_epochs_mark() -> None:
    """A snapshot taken between the records of an epoch is the state at the epoch's beginning."""
    trainer = Trainer(make_pack(blobs(60, 5, 3), [0]), 10, replace(FULL, at="steps", every=2))
    before = trainer.params.flat.clone()
    course = trainer.run(2)
    steps = [next(course).step for _ in range(3)]
    assert steps == [0, 1, 2]
    assert torch.equal(trainer.snapshot().flat, before)
    assert (trainer.snapshot().recorded, trainer.snapshot().stage) == (1, 1)
    assert [record.step for record in course] == [4, 5, 6, 8, 10, 10]
    assert (trainer.recorded, trainer.stage) == (9, 4)


# On the device


@pytest.mark.slow
@pytest.mark.parametrize("norm", stems("norm"))
@pytest.mark.parametrize("architecture", stems("architecture"))
def test_nothing_is_read_back_from_the_device(architecture: str, norm: str) -> None:
    """Every quantity, the histograms, the lives and the signal's table run on the meta device."""
    parts = {"activation": build("activation", "leaky_relu"), "norm": build("norm", norm)}
    inputs = inputs_of(architecture, **SIZES.get(architecture, {}))

    def model(n_in: int, n_out: int) -> Model:
        node = {**option("architecture", architecture), **SIZES.get(architecture, {})}
        made: Model = call("architecture", node, n_in=n_in, n_out=n_out, inputs=inputs, per_position=False, **parts)
        return made

    real = make_pack(blobs_for(inputs), [0, 1], architecture=model)
    real_params = real.initial_params()
    pack = replace(_to_device(real), device=torch.device("meta"))
    params = real_params.with_flat(real_params.flat.to("meta"))
    state = {name: tensor.to("meta") for name, tensor in real.optimizer.init(real_params).items()}
    grads = Params.zeros(params.layout.trained, 2, params.flat)
    recorder = Recorder()
    x, y = pack.data.batch(torch.empty(2, 8, dtype=torch.int64, device="meta"))
    step(pack, params, grads, state, x, y, 3, recorder=recorder)
    seen = observed_step(pack.objective.model, 1, x, params.flat, params, grads, recorder)
    found: list[Tensor] = [value for one in FULL.quantities.values() for value in one(seen).values()]
    assert {tuple(value.shape) for value in found} == {(2,)}
    found += [*frame(seen.signals).values(), signal_table(seen, pack)]
    mask = torch.ones(2, 3, dtype=torch.bool, device="meta")
    found += lived(born(mask), mask.unsqueeze(0), [3])
    assert {value.device.type for value in found} == {"meta"}
