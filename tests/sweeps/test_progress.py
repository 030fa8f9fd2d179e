"""Check what a worker tells the bar: the epochs that are done, and in the end all epochs of its task."""

from collections.abc import Sequence

import pytest

from workbench.config.compose import configure
from workbench.engine.history import Record
from workbench.engine.train import Metrics, Trainer
from workbench.runs.train_pack import Job
from workbench.sweeps.executors.base import PackTask, Worker
from workbench.tracking.base import MemorySink

EPOCHS = 4


def _task(*settings: str, done: frozenset[int] = frozenset()) -> PackTask:
    fixed = ["architecture.hidden=[4]", f"train.epochs={EPOCHS}", "train.batch_size=500", "device=cpu"]
    specs = [configure([*fixed, f"seed={seed}", *setting.split()]) for seed, setting in enumerate(settings)]
    jobs = tuple(Job(spec, str(seed), "arm", {"key": str(seed)}) for seed, spec in enumerate(specs))
    return PackTask(tuple(range(10, 10 + len(jobs))), jobs, done=done)


def _told(task: PackTask) -> list[int]:
    told: list[int] = []
    Worker(MemorySink()).do(task, told.append)
    return [epochs for epochs in told if epochs]


LIVING, EXPLODING = "optimizer.lr=0.1", "optimizer.lr=1e30"
PRETRAINED = "pretraining=autoencoder pretraining.epochs=2 pretraining.frozen_epochs=1"
WATCHED = "diagnostics=full diagnostics.at=steps diagnostics.every=1 diagnostics.budget=null"


@pytest.mark.parametrize(
    ("settings", "done", "told"),
    [
        ([LIVING, LIVING], (), [2] * EPOCHS),
        ([LIVING, LIVING, LIVING], (11,), [2] * EPOCHS),
        ([LIVING, EXPLODING], (), [2, EPOCHS - 1, *[1] * (EPOCHS - 1)]),
        ([LIVING, EXPLODING], (11,), [1] * EPOCHS),
        ([PRETRAINED, PRETRAINED], (), [2] * (3 + EPOCHS)),
        ([WATCHED, WATCHED], (), [2] * EPOCHS),
    ],
    ids=["two", "one done before", "one diverges", "one done before diverges", "pretrained", "moments in epochs"],
)
def test_epochs_are_told_as_they_are_done(settings: Sequence[str], done: Sequence[int], told: Sequence[int]) -> None:
    """A run that leaves counts to its end at once; a run that was done before counts nothing."""
    task = _task(*settings, done=frozenset(done))
    assert _told(task) == told
    assert sum(told) == task.epochs


def test_a_pack_that_fails_counts_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that fails counts all its epochs, so that the bar does not wait for the missing epochs."""
    records = Trainer._records

    def broken(trainer: Trainer, metrics: dict[int, Metrics]) -> list[Record]:
        if trainer.steps_per_epoch * 2 in metrics:
            raise ValueError("broken")
        return records(trainer, metrics)

    monkeypatch.setattr(Trainer, "_records", broken)
    assert _told(_task(LIVING, LIVING)) == [2, 2 * (EPOCHS - 1)]
