"""A last batch too small for batch statistics joins the batch before it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.reference import blobs, build, make_pack
from workbench.config.validate import validate
from workbench.core.errors import ConfigError, ShapeError
from workbench.engine.epoch_plan import batch_sizes
from workbench.engine.replicas import Pack
from workbench.engine.stages import make_trainer
from workbench.engine.train import Trainer
from workbench.nn.builders import mlp, residual_mlp
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.base import Mode
from workbench.nn.layers.batch_norm import BatchNorm, batch_norm
from workbench.nn.params import Params
from workbench.nn.pretraining import Pretraining
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 3))
def test_batches_hold_each_example_once(examples: int, size: int, least: int) -> None:
    """All but the last are of the size asked for, and none is smaller than it may be."""
    size = min(max(size, least), examples)
    sizes = batch_sizes(examples, size, least)
    assert sum(sizes) == examples
    assert set(sizes[:-1]) <= {size}
    assert min(sizes) >= min(least, examples)
    if least == 1:
        assert sizes == [len(part) for part in torch.arange(examples).split(size)]


def _pack(examples: int, replicas: int, lr: float) -> Pack:
    pack = make_pack(
        blobs(120, 6, 3),
        range(replicas),
        lr=lr,
        architecture=lambda i, o: mlp([16], i, o, build("activation", "tanh"), batch_norm()),
    )
    train = replace(pack.data.train, x=pack.data.train.x[:, :examples], y=pack.data.train.y[:, :examples])
    return replace(pack, data=replace(pack.data, train=train))


@pytest.mark.parametrize("size", [2, 4, 8])
def test_running_variance_is_that_of_the_data_with_a_rest_of_one(size: int) -> None:
    """Weights that stand still: over 30 nets of 16 units, running over true variance is 1 within 3 %."""
    examples = 8 * size + 1
    trainer = Trainer(_pack(examples, 30, 1e-300), size)
    assert trainer.sizes == [*[size] * 7, size + 1]
    records = list(trainer.run(80 // size))
    assert records[-1].step == 80 // size * 8 == 80 // size * trainer.steps_per_epoch
    params = trainer.params
    z = torch.baddbmm(
        params["l1.b"].unsqueeze(1), trainer.pack.data.by_replica(trainer.pack.data.train.x), params["l1.W"].mT
    )
    running = next(params[name] for name in params if name.endswith("running_var"))
    assert float((running / z.var(1)).mean()) == pytest.approx(1, abs=0.03)


def test_a_rest_of_one_stays_a_batch_where_nothing_is_normalized_over_it() -> None:
    """A last batch of one example stays a batch in a net without batch normalization."""
    pack = make_pack(blobs(120, 6, 3), [0])
    assert pack.data.train.size == 96
    assert Trainer(pack, 5).sizes == [*[5] * 19, 1]


def test_stages_of_a_pretraining_have_the_same_batches() -> None:
    """Each stage of a pretraining, the output layer's too, has the same number of steps, without a batch of one."""
    pack = replace(_pack(33, 2, 0.1), pretraining=Pretraining(1, torch.full((2,), 0.1).double(), 0.2, False, 1))
    trainer = make_trainer(pack, 4)
    records = list(trainer.run(1))
    assert [record.step for record in records] == [0, 8, 8, 16, 16, 24, 24]
    assert all(torch.isfinite(trainer.final[one]).all() for one in (0, 1))


def test_one_example_has_no_batch_statistics() -> None:
    """Batch norm refuses a training pass over one example, also inside other layers, and evaluates it."""
    layer = BatchNorm("l1", 3)
    scheme, cpu = Scheme(he(), constant()), torch.device("cpu")
    params = Params.stack([layer.init(0, scheme)], torch.float64, cpu, [layer.buffers(scheme)])
    x = torch.ones(1, 1, 3, dtype=torch.float64)
    with pytest.raises(ShapeError, match="BatchNorm 'l1': a training pass needs 2 examples or more"):
        layer.forward(params, x, Mode(training=True))
    layer.forward(params, x)
    assert residual_mlp(4, 2, 3, 2, build("activation", "relu"), batch_norm()).least_batch == 2


def test_a_training_part_of_one_example_is_refused() -> None:
    """Batch norm refuses a training part of one example, and accepts both ways out that its message offers."""
    given = ["data=curve", "loss=squared_error", "norm=batch", "split.limit=1"]
    with pytest.raises(ConfigError, match="norm: batch needs 2 training examples or more"):
        validate(wb.configure(*given))
    validate(wb.configure(*given, "norm=layer"))
    validate(wb.configure(*given, "split.limit=2"))


def test_a_merged_rest_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A last batch that absorbs a rest is reported by a warning and a tag of the run."""
    spec = wb.configure("data=wine", "norm=batch", "train.batch_size=3", "train.epochs=1", "split.limit=31")
    sink = MemorySink()
    train_pack([Job(spec, "", "")], sink)
    assert "of 31 training examples 1 is left over, too few for batch statistics" in caplog.text
    assert next(iter(sink.runs.values())).info.tags["last_batch"] == "4"
