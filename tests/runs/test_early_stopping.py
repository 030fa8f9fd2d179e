"""A run stops where its own validation loss has used up the patience: with the same bits alone and in any pack."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import workbench as wb
from tests.outer import trained
from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.engine.stages import make_trainer
from workbench.runs.train_pack import Job, PackResult, train_pack
from workbench.tracking.base import MemorySink, Outcome

pytest_plugins = ["tests.outer_fixtures"]

SEEDS = range(5)
NOISY = ("data=wine", "architecture.hidden=[6]", "split.label_noise=0.3", "certificate=false", "optimizer.lr=0.3")
WATCHED = "valid/loss"


def specs(*overrides: str, seeds: Sequence[int] = SEEDS) -> list[RunSpec]:
    """Runs whose validation loss rises again, each at another time."""
    return [wb.configure(*NOISY, *overrides, seed=seed) for seed in seeds]


def train(runs: Sequence[RunSpec], sink: MemorySink | None = None) -> PackResult:
    """Train runs as one pack."""
    return train_pack([Job(spec, f"run {spec.config.seed}", "") for spec in runs], sink or MemorySink())


def expected_stop(losses: Sequence[float], patience: int) -> int:
    """The epoch after which no loss of `patience` epochs was below all before; the last one where there is none."""
    for epoch in range(len(losses)):
        if epoch >= patience and min(losses[epoch - patience + 1 : epoch + 1]) >= min(losses[: epoch - patience + 1]):
            return epoch
    return len(losses) - 1


@pytest.fixture(scope="module")
def whole() -> PackResult:
    """The runs, trained to the end."""
    return train(specs("train.epochs=12"))


@pytest.mark.slow
@pytest.mark.parametrize("patience", [1, 3])
def test_runs_stop_where_their_own_loss_says(whole: PackResult, patience: int) -> None:
    """Each ends at the epoch that its losses in the whole training give, as a run of so many epochs does."""
    sink = MemorySink()
    stopped = train(specs("train.epochs=12", f"train.patience={patience}"), sink)
    ends = [expected_stop(whole.history.series(WATCHED, replica)[1], patience) for replica in SEEDS]
    assert len({*ends}) > 1
    for replica, (epochs, run) in enumerate(zip(ends, sink.runs.values(), strict=True)):
        assert stopped.history.series(WATCHED, replica)[1] == whole.history.series(WATCHED, replica)[1][: epochs + 1]
        alone = train(specs(f"train.epochs={epochs}", seeds=[replica]))
        result, short = stopped.results[replica], alone.results[0]
        assert stopped.final[replica].equal(alone.final[0])
        assert result.outcome is Outcome.finished
        assert {name: result.metrics[name] for name in ("test/loss", "test/accuracy", WATCHED)} == {
            name: short.metrics[name] for name in ("test/loss", "test/accuracy", WATCHED)
        }
        assert run.tags.get("stopped.epoch") == (str(epochs) if epochs < 12 else None)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("norm=batch",), ("pretraining=autoencoder", "pretraining.epochs=1")])
def test_a_stopped_run_has_the_same_bits_alone(more: tuple[str, ...]) -> None:
    """Weights, and every number of every epoch, are those of the run trained by itself."""
    runs = specs("train.epochs=10", "train.patience=2", *more)
    together = train(runs)
    for replica, spec in enumerate(runs):
        alone = train([spec])
        assert together.final[replica].equal(alone.final[0])
        for name in ("train/loss", WATCHED, "test/loss"):
            assert together.history.series(name, replica) == alone.history.series(name, 0)


def test_without_patience_nothing_changes() -> None:
    """A configuration without it is the one of before there was the key, so that runs that are done stay done."""
    assert "patience" not in wb.configure().resolved["train"]
    assert wb.configure("train.patience=3").resolved["train"]["patience"] == 3
    with pytest.raises(ConfigError, match=r"train\.patience: must be at least 1, or null, got 0; write for example"):
        wb.configure("train.patience=0")


@pytest.fixture
def here(folder: Path, empty_database: Path) -> None:
    """A store in the current folder."""
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_callbacks_hear_each_epoch() -> None:
    """They are called before training and after each epoch with the numbers that the store keeps, of the runs left."""
    heard: list[wb.EpochEnd] = []
    sweep = wb.sweep(*NOISY[:3], seed=[0, 1], train={"epochs": 8, "patience": 1}, callbacks=[heard.append])
    assert [end.epoch for end in heard] == [*range(len(heard))]
    kept = {run.name: run for run in sweep.runs}
    for name, run in kept.items():
        series = [end.metrics[name][WATCHED] for end in heard if name in end.metrics]
        assert series == run.history(WATCHED)[WATCHED].dropna().tolist()
    heard.clear()
    trained(*NOISY[:3], "train.epochs=1")
    assert not heard


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_stopped_run_verifies() -> None:
    """Trained again alone, it stops at the same epoch with the same bits."""
    sweep = wb.sweep(*NOISY[:3], seed=[0, 1], train={"epochs": 8, "patience": 1})
    assert all(run.verify().same for run in sweep.runs)


def test_a_stopped_pack_resumes_with_the_same_bits() -> None:
    """From a snapshot after a replica has stopped, the others go on as they did, and the stopped one keeps its end."""
    pack, batch = build_pack(specs(seeds=range(3))), 16
    whole, later = make_trainer(pack, batch), make_trainer(pack, batch)
    steps = whole.run(4)
    records = [next(steps) for _ in range(3)]
    test = whole.finish([1], records[-1].step)
    assert (test.replicas, sorted(test.metrics)) == ((1,), ["test/accuracy", "test/loss"])
    snapshot = whole.snapshot().copied()
    assert snapshot.recorded == 4
    rest = list(steps)
    later.restore(snapshot)
    resumed = list(later.run(4))
    assert [record.metrics for record in resumed] == [record.metrics for record in rest]
    assert all(later.final[replica].equal(whole.final[replica]) for replica in range(3))
