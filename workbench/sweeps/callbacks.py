"""Functions of a user's that are called after each epoch of the runs that this process trains."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from workbench.engine.history import Record


@dataclass(frozen=True)
class EpochEnd:
    """An epoch that has ended, counted from 1 (0: before training), after `step` optimizer steps.

    `metrics` are by the name of each run that is still in training, then by their own.
    """

    epoch: int
    step: int
    metrics: Mapping[str, Mapping[str, float]]


Callback = Callable[[EpochEnd], object]
callbacks: ContextVar[Sequence[Callback]] = ContextVar("callbacks", default=())


def call_back(record: Record, names: Sequence[str]) -> None:
    """Call what listens with a record that ends an epoch; `names` are the runs' by replica."""
    if "train/loss" not in record.metrics:
        return
    for callback in callbacks.get():
        metrics = {names[replica]: record.of(position) for position, replica in enumerate(record.replicas)}
        callback(EpochEnd(record.epoch, record.step, metrics))
