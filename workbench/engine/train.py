"""The training step and the training loop.

A step reads nothing back from the device; numbers are moved to the host once per epoch. A replica whose loss is not
finite leaves the pack with its parameters from the beginning of the epoch; the others continue.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from time import time

import torch
from jaxtyping import Int64
from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.core.errors import NumericsError
from workbench.core.seeds import generator
from workbench.diagnostics.observed_step import observed_step
from workbench.diagnostics.plan import LIGHT, Diagnostics
from workbench.engine.checkpoint import PackState, layout_digest
from workbench.engine.epoch_plan import Batch, Plan, batch_sizes
from workbench.engine.evaluate import errors, evaluate, measure
from workbench.engine.failure import Failure, first_failures
from workbench.engine.graph import GraphedSteps
from workbench.engine.history import Divergence, Record
from workbench.engine.meter import ALL, COPIES
from workbench.engine.observer import Metrics, Observer
from workbench.engine.replicas import Pack
from workbench.nn.layers.base import Recorder
from workbench.nn.optimizers import State
from workbench.nn.params import Params

_STOPPED = "stopped"


def step(
    pack: Pack,
    params: Params,
    grads: Params,
    state: State,
    x: Tensor,
    y: Tensor,
    number: int | Int64[Tensor, ""] = 0,
    lr: PerReplicaTensor | None = None,
    recorder: Recorder | None = None,
) -> PerReplicaTensor:
    """Take an optimizer step of every replica on its batch, in place; return the batch's loss before it [R].

    x is [R, B, I], or tokens [R, B, T]; y is [R, B, K], or [R, B, T, K]. `number` counts steps from 0 and seeds the
    noise; `lr` [R] is the learning rate at this step, by default the optimizer's.
    """
    loss = pack.objective.gradients(params, grads, x, y, pack.mode(number), recorder)
    pack.apply(grads, state, params, pack.optimizer.lr if lr is None else lr)
    return loss


class Trainer:
    """A pack in training: its parameters, optimizer state and random streams of batch orders.

    `sizes` are the sizes of an epoch's batches. `replicas` are the original positions in the pack of the replicas still
    training; `final` holds each replica's parameters [P] once it has left or ended. `recorded` counts the records so
    far, and `stage` the completed stages: the initial record, each epoch, the test. `mark` is the state at the
    beginning of the epoch in training, consistent also where the epoch is interrupted.
    """

    def __init__(
        self, pack: Pack, batch_size: int, diagnostics: Diagnostics = LIGHT, sizes: Sequence[int] | None = None
    ) -> None:
        self.pack = pack
        self.batch_size = min(batch_size, pack.data.train.size)
        self.params = pack.initial_params()
        self.grads = Params.zeros(self.params.layout.trained, len(pack), self.params.flat)
        self.state = pack.optimizer.init(self.params)
        self.orders = [generator(seed, "order") for seed in pack.seeds]
        self.replicas = tuple(range(len(pack)))
        self.sizes = sizes or batch_sizes(pack.data.train.size, self.batch_size, pack.objective.model.least_batch)
        self.steps_per_epoch = len(self.sizes)
        self.final: dict[int, Tensor] = {}
        self.recorded = self.stage = 0
        self.observer = Observer(diagnostics, pack, self.params, self.steps_per_epoch)
        self._in_epoch = False
        self._graphed = GraphedSteps(step)
        self._layout = layout_digest(self.params.layout)
        self.mark = self.snapshot()

    def run(self, epochs: int) -> Iterator[Record]:
        """Train for `epochs`; yields a record at step 0, one after each epoch, and one of the test part at the end.

        Moments of diagnostics inside an epoch have their own records, before the epoch's. After `restore`, only the
        records that follow are made.
        """
        if not self.stage:
            with self.observer.meter.of(ALL):
                (record,) = self._records({0: self._epoch_metrics(0, epochs)})
            self.observer.begin()
            yield self._done(record)
        for epoch in range(self.stage, epochs + 1):
            if not self.replicas:
                return
            self.mark = self.snapshot().copied()
            *inside, record = self._epoch(epoch, epochs)
            self._in_epoch = True
            yield from inside
            self._in_epoch = False
            self.recorded += len(inside)
            yield self._done(record)
        if self.replicas and self.stage == epochs + 1:
            with self.observer.meter.of(ALL):
                (record,) = self._records({epochs * self.steps_per_epoch: self._evaluate("test")})
            yield self._done(record)
        self.final |= dict(zip(self.replicas, self.params.flat, strict=True))

    def _epoch(self, epoch: int, epochs: int) -> list[Record]:
        """Train one epoch, counted from 1; return the records of its moments and, last, the epoch's own."""
        mark, plan = self.mark, self.epoch_plan(epoch, epochs)
        with self.observer.meter.of(ALL):
            losses, moments = self._train_epoch(plan, epochs * self.steps_per_epoch)
            end = plan.start + self.steps_per_epoch
            metrics = self._epoch_metrics(epoch, epochs)
            metrics |= {**moments.pop(end, {}), _STOPPED: _stopped(losses, metrics["train/loss"])}
            *inside, record = self._records({**moments, end: metrics})
        self.observer.end_epoch(epoch, epochs)
        return [*inside, self._drop_diverged(record, mark, plan)]

    def _done(self, record: Record) -> Record:
        self.recorded += 1
        self.stage += 1
        return record

    def snapshot(self) -> PackState:
        """Return the state from which training continues after a record of `run`; it shares the tensors in training.

        After a record inside an epoch, it is the epoch's mark.
        """
        if self._in_epoch:
            return self.mark
        orders = [order.get_state() for order in self.orders]
        return PackState(
            self.recorded,
            self.stage,
            self.replicas,
            self.params.flat,
            dict(self.state),
            torch.stack(orders) if orders else torch.empty(0, 0, dtype=torch.uint8),
            dict(self.final),
            self._layout,
            self.observer.notes(),
        )

    def restore(self, snapshot: PackState) -> None:
        """Continue from a snapshot of the same pack, as if its records had been made here.

        Raises NumericsError where its parameters or optimizer state have other shapes or types.
        """
        if self.snapshot().program != snapshot.program:
            raise NumericsError(
                "checkpoint: must be of the program that goes on from it, but its parameters or its optimizer's state "
                "are others; run the command again to train from the start"
            )
        if snapshot.replicas != self.replicas:
            self._select_replicas(list(snapshot.replicas))
        copied = snapshot.copied(self.params.flat.device)  # torch's alignment, on which the last bits depend
        self.params = self.params.with_flat(copied.flat)
        self.state, self.final = copied.state, dict(copied.final)
        self.recorded, self.stage = copied.recorded, copied.stage
        self.observer.restore(copied.notes(), self.replicas, self.params.flat.device)
        for order, state in zip(self.orders, snapshot.orders, strict=True):
            order.set_state(state.clone())  # torch crashes on memory that is not aligned
        self.mark = self.snapshot().copied()

    def epoch_plan(self, epoch: int, epochs: int) -> Plan:
        """Draw the order of the examples of an epoch, counted from 1, and compute its learning rates."""
        start, length = (epoch - 1) * self.steps_per_epoch, self.steps_per_epoch
        rates = self.pack.learning_rates(start, start + length, epochs * length)
        return Plan(start, self.pack.data.epoch_rows(self.orders), rates)

    def _train_epoch(self, plan: Plan, last: int) -> tuple[Tensor, dict[int, Metrics]]:
        """Pass once over the training part; return each step's loss [steps, R], and metrics of moments by step from 1.

        `last` is the number of the whole training's last step.
        """
        losses = self.params.flat.new_empty(self.steps_per_epoch, len(self.pack))
        moments = self.observer.moments(plan.start, last)
        metrics: dict[int, Metrics] = {}
        for index, batch in enumerate(plan.batches(self.pack.data, self.sizes)):
            if batch.number + 1 in moments:
                losses[index], metrics[batch.number + 1] = self.observed_step(batch, last)
            else:
                losses[index] = self.take_step(batch)
        return losses, metrics

    def take_step(self, batch: Batch, recorder: Recorder | None = None) -> PerReplicaTensor:
        """Take a step of an epoch's plan; return its loss before it [R]."""
        if self.params.flat.is_cuda and recorder is None:
            return self._graphed(self.pack, self.params, self.grads, self.state, batch)
        pack, params, grads, state = self.pack, self.params, self.grads, self.state
        return step(pack, params, grads, state, batch.x, batch.y, batch.number, batch.lr, recorder)

    def observed_step(self, batch: Batch, last: int) -> tuple[PerReplicaTensor, Metrics]:
        """Take a step; return its loss [R] and its diagnostics, in a training that ends with step `last`."""
        of_gradients = self.observer.plan.of_gradients
        if of_gradients is not None:
            loss = self.take_step(batch)
            return loss, self.observer.take_gradients(of_gradients, self.grads)
        with self.observer.meter.of(COPIES):
            before = self.params.flat.clone()
        recorder, model, params = Recorder(), self.pack.objective.model, self.params
        loss = self.take_step(batch, recorder)
        snapshot = observed_step(model, batch.number + 1, batch.x, before, params, self.grads, recorder)
        return loss, self.observer.take(snapshot, self.pack, last)

    def _evaluate(self, part: str) -> Metrics:
        objective, data, examples = self.pack.objective, self.pack.data, getattr(self.pack.data, part)
        in_unit = errors(objective, self.params, data, examples) if part == "test" else {}
        return _named(part, evaluate(objective, self.params, data, examples) | in_unit)

    def _epoch_metrics(self, epoch: int, epochs: int) -> Metrics:
        """Measure training and validation part at the end of an epoch out of `epochs`; 0 is the beginning."""
        pack, observer = self.pack, self.observer
        units = observer.plan.counts_units(epoch, epochs, self.steps_per_epoch)
        train, dead = measure(pack.objective, self.params, pack.data, pack.data.train, units, observer.counting)
        observer.mark(dead, epoch * self.steps_per_epoch)
        return _named("train", train) | self._evaluate("valid")

    def _records(self, metrics: dict[int, Metrics]) -> list[Record]:
        """Convert metrics by step to records; moves their numbers to the host, all at once."""
        table = iter(torch.stack([row.double() for by_name in metrics.values() for row in by_name.values()]).tolist())
        now, length = int(time() * 1000), self.steps_per_epoch
        return [
            Record(step, step // length, now, self.replicas, {name: next(table) for name in by_name})
            for step, by_name in metrics.items()
        ]

    def _drop_diverged(self, record: Record, mark: PackState, plan: Plan) -> Record:
        """Drop the replicas whose loss was not finite, with their parameters at the mark as final ones."""
        stopped = [int(step) for step in record.metrics.pop(_STOPPED)]
        lost = [position for position, step in enumerate(stopped) if step]
        if not lost:
            return record
        flat, state = mark.flat, mark.state
        before = record.step - self.steps_per_epoch
        index = torch.tensor(lost, device=flat.device)
        failures = first_failures(
            self.pack.select(lost),
            self.params.with_flat(flat[index]),
            {name: tensor[index] for name, tensor in state.items()},
            plan.select(index),
            self.sizes,
        )
        diverged = []
        for order, position in enumerate(lost):
            replica = self.replicas[position]
            self.final[replica] = flat[position]
            failure = failures.get(order, Failure(stopped[position], "", ""))
            diverged.append(Divergence(replica, before + failure.step, failure.layer, failure.quantity))
        self._select_replicas([position for position, step in enumerate(stopped) if not step])
        return replace(record, diverged=tuple(diverged))

    def finish(self, replicas: Collection[int], step: int) -> Record:
        """Stop these replicas after `step`, between two records of `run`; returns their record of the test part."""
        with self.observer.meter.of(ALL):
            (record,) = self._records({step: self._evaluate("test")})
        columns = [position for position, replica in enumerate(self.replicas) if replica in replicas]
        metrics = {name: [row[column] for column in columns] for name, row in record.metrics.items()}
        self.drop(replicas)
        self.recorded += 1
        return replace(record, replicas=tuple(record.replicas[column] for column in columns), metrics=metrics)

    def drop(self, replicas: Collection[int]) -> None:
        """Stop these replicas, with their current parameters as final ones; between two records of `run`."""
        for position, replica in enumerate(self.replicas):
            if replica in replicas:
                self.final[replica] = self.params.flat[position]
        self._select_replicas([position for position, replica in enumerate(self.replicas) if replica not in replicas])

    def _select_replicas(self, positions: list[int]) -> None:
        self.replicas = tuple(self.replicas[position] for position in positions)
        self.observer.select(positions)
        self.orders = [self.orders[position] for position in positions]
        self.pack = self.pack.select(positions)
        index = torch.tensor(positions, dtype=torch.int64, device=self.params.flat.device)
        self.params = self.params.with_flat(self.params.flat[index])
        self.grads = self.grads.with_flat(self.grads.flat[index])
        self.state = {name: tensor[index] for name, tensor in self.state.items()}


def _stopped(losses: Tensor, train_loss: PerReplicaTensor) -> Tensor:
    """Find the first step of an epoch, from 1, whose loss was not finite; 0 where all were [R].

    The last step, where only the loss at the epoch's end was not finite.
    """
    bad = ~losses.isfinite()
    at_end = torch.where(train_loss.isfinite(), 0, len(losses))
    return torch.where(bad.any(0), bad.double().argmax(0) + 1, at_end)


def _named(part: str, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """Prefix loss and scores with the part's name; unit rates have full names already."""
    return {name if "/" in name else f"{part}/{name}": values for name, values in metrics.items()}
