"""Diagnostics of a pack in training: their moments, and their cost within the budget."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import isfinite

import torch
from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.diagnostics.life import Mask
from workbench.diagnostics.observed_step import ObservedStep, OfGradients
from workbench.diagnostics.plan import Diagnostics, stride_for
from workbench.engine.diagnostic_tables import Columns, Notes, Tables
from workbench.engine.meter import ALL, MARKS, MOMENTS, PARTS, TABLES, Meter
from workbench.engine.replicas import Pack
from workbench.nn.params import Params

Metrics = dict[str, PerReplicaTensor]

UNDECIDED = 0
ABOVE_LEAST = 1.2  # typical time of a moment, relative to the shortest
UNSEEN = 1.3  # true cost of diagnostics over the metered one, as caches refill; from `workbench bench diagnostics`


class Observer:
    """Records the diagnostics of a plan for a pack in training, within the plan's budget.

    Every `stride`-th scheduled moment is recorded; with a budget, the stride is UNDECIDED in the first epochs, in which
    all are.
    """

    def __init__(self, plan: Diagnostics, pack: Pack, params: Params, epoch_length: int) -> None:
        self.plan, self.epoch_length = plan, epoch_length
        self.meter = Meter(pack.device)
        self.stride = UNDECIDED if plan.budget else 1
        self.taken = self.skipped = 0
        self._tables = Tables(pack, params) if plan.tables else None
        self._spent = self.meter.read()

    def moments(self, start: int, last: int) -> frozenset[int]:
        """Return the steps of the epoch after step `start` that are moments, in a training of `last` steps."""
        if not (self.plan.quantities or self.plan.tables):
            return frozenset()
        stop = start + self.epoch_length
        scheduled = self.plan.scheduled(start, stop, self.epoch_length)
        chosen = {step for step, number in scheduled.items() if number % (self.stride or 1) == 0}
        always = (1, last) if self.plan.tables else (last,)
        chosen |= {step for step in always if start < step <= stop}
        self.skipped += len(scheduled.keys() - chosen)
        return frozenset(chosen)

    def take(self, snapshot: ObservedStep, pack: Pack, last: int) -> Metrics:
        """Compute the metrics of a moment; with tables, the 1st, 2nd, 4th, 8th, ... and the last record histograms."""
        metrics = self._take({name: partial(quantity, snapshot) for name, quantity in self.plan.quantities.items()})
        with_histograms = snapshot.step == last or self.taken.bit_count() == 1
        if self._tables and with_histograms:
            with self.meter.of(TABLES):
                self._tables.see(snapshot, pack)
        return metrics

    def take_gradients(self, quantities: Mapping[str, OfGradients], grads: Params) -> Metrics:
        """Compute the metrics of a moment whose quantities read only gradients."""
        return self._take({name: partial(quantity.of, grads) for name, quantity in quantities.items()})

    def _take(self, quantities: Mapping[str, Callable[[], Mapping[str, PerReplicaTensor]]]) -> Metrics:
        self.taken += 1
        with self.meter.of(MOMENTS):
            return {
                f"{name}/{layer}": values for name, compute in quantities.items() for layer, values in compute().items()
            }

    def counting(self) -> AbstractContextManager[None]:
        """Make a context that meters counting of units."""
        return self.meter.of(MARKS)

    def mark(self, dead: Mapping[str, Mask], step: int) -> None:
        """Record the dead units by layer after a step."""
        if self._tables and dead:
            with self.meter.of(MARKS):
                self._tables.mark(dead, step)

    def begin(self) -> None:
        """Begin the first epoch, so that earlier time does not count to it."""
        self._spent = self.meter.read()

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Move tables to the host; after the first epoch with a moment and a mark, decide on the stride."""
        if self._tables:
            self._tables.flush()
        spent = self.meter.read()
        marked = self.plan.counts_units(epoch, epochs, self.epoch_length) or not self.plan.units
        if self.stride == UNDECIDED and marked and isfinite(self.meter.least[MOMENTS]):
            in_epoch = {part: spent[part] - self._spent[part] for part in PARTS}
            self.stride = self._decide(spent, in_epoch, epoch, epochs)
        self._spent = spent

    def _decide(self, spent: Mapping[str, float], in_epoch: Mapping[str, float], epoch: int, epochs: int) -> int:
        """Choose the stride for the remaining epochs from the seconds spent so far and in this epoch."""
        training = in_epoch[ALL] - sum(in_epoch[part] for part in PARTS[1:])
        length = self.epoch_length
        fixed = sum(spent[part] for part in PARTS[1:]) + in_epoch[MARKS] * self.plan.unit_counts(epoch, epochs, length)
        if self._tables:
            fixed += self.meter.least[TABLES] * ABOVE_LEAST * (epochs - epoch).bit_length()
        count = len(self.plan.scheduled(length * epoch, length * epochs, length))
        moment = self.meter.least[MOMENTS] * ABOVE_LEAST
        return stride_for(self.plan.budget, UNSEEN * moment, count, UNSEEN * fixed, training * epochs)

    def select(self, positions: Sequence[int]) -> None:
        """Continue with the replicas at these positions."""
        if self._tables:
            self._tables.select(positions)

    def notes(self) -> Callable[[], dict[str, Tensor]]:
        """Return a function that makes the tensors of a checkpoint of this moment; training does not change them."""
        counts, seconds = (self.stride, self.taken, self.skipped), tuple(self._spent.values())
        return partial(_tensors, counts, seconds, self._tables.notes() if self._tables else dict)

    def restore(self, notes: Notes, replicas: tuple[int, ...], device: torch.device) -> None:
        """Continue from the notes of an observer of the same plan and pack."""
        self.stride, self.taken, self.skipped = notes["counts"].tolist()
        self._spent = dict(zip(PARTS, notes["seconds"].tolist(), strict=True))
        self.meter.seconds = dict(self._spent)
        if self._tables:
            self._tables.restore(notes, replicas, device)

    @property
    def share(self) -> float:
        """Share of diagnostics in the time of training and measuring, up to the end of the last epoch."""
        return sum(self._spent[part] for part in PARTS[1:]) / self._spent[ALL] if self._spent[ALL] else 0.0

    @property
    def tags(self) -> dict[str, str]:
        """Tags with the stride and the numbers of recorded and skipped moments."""
        counts = {"stride": max(1, self.stride), "taken": self.taken, "skipped": self.skipped}
        return {f"diagnostics.{name}": str(value) for name, value in counts.items() if self.taken}

    def tables(self, replica: int) -> dict[str, Columns]:
        """Return a replica's tables by name: columns of equal length."""
        return self._tables.of(replica) if self._tables else {}


def _tensors(
    counts: tuple[int, ...], seconds: tuple[float, ...], tables: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    return {"counts": torch.tensor(counts), "seconds": torch.tensor(seconds, dtype=torch.float64), **tables()}
