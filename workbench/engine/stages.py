"""Greedy layer-wise pretraining, then training of the whole net, as stages of one run (Bengio et al. 2007).

Every stage has a pack and a trainer: the same replicas, a smaller model, and as data the codes that the layers below
compute. Steps and epochs are counted through all stages; records of a stage have the metrics ``pretrain.1/loss`` and
``pretrain.1/valid_loss``. A language model's body that was trained before in this process is taken from there.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
from jaxtyping import Int64
from torch import Tensor

from workbench.data.batches import DataPart, PackData, one_hot_table
from workbench.diagnostics.plan import LIGHT, OFF, Diagnostics
from workbench.engine.checkpoint import PackState
from workbench.engine.epoch_plan import batch_sizes
from workbench.engine.history import Record
from workbench.engine.observer import Observer
from workbench.engine.pretrained import keep_trained, records_of, trained_bodies, untrained
from workbench.engine.replicas import CONSTANT, Pack
from workbench.engine.train import Trainer
from workbench.nn.losses import Loss, softmax_nll, squared_error
from workbench.nn.masking import next_tokens
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.nn.position_loss import at_positions
from workbench.nn.pretraining_stages import Stage, stages

WHOLE = "whole."  # key, before the stage's number, of the whole net's parameters in the state of a stage in training
STAGE_METRICS = {"train/loss": "loss", "valid/loss": "valid_loss"}
CHUNK = 512  # examples encoded at once


def make_trainer(pack: Pack, batch_size: int, diagnostics: Diagnostics = LIGHT) -> "AnyTrainer":
    """Make the trainer of a pack: a Pretrainer where it has epochs of pretraining."""
    kind = Pretrainer if pack.pretraining.epochs else Trainer
    return kind(pack, batch_size, diagnostics)


class Pretrainer:
    """Trainer of a pack whose layers are pretrained one by one, with the interface of a Trainer.

    Diagnostics are those of the whole net, and their tables count steps from the beginning of its training.
    """

    def __init__(self, pack: Pack, batch_size: int, diagnostics: Diagnostics = LIGHT) -> None:
        self.whole = Trainer(pack, batch_size, diagnostics)
        self.stages = stages(pack.objective.model, pack.pretraining)
        self._asked = batch_size
        self.batch_size, self.sizes = self.whole.batch_size, self.whole.sizes
        self.steps_per_epoch = self.whole.steps_per_epoch
        self._number = 0
        self._part: _StageTrainer | None = None
        self._enter(0)

    @property
    def pack(self) -> Pack:
        """Pack of the whole net, with the replicas still training."""
        return self.whole.pack

    @property
    def observer(self) -> Observer:
        """Observer of the whole net."""
        return self.whole.observer

    @property
    def params(self) -> Params:
        """Parameters of the whole net."""
        return self.whole.params

    @property
    def replicas(self) -> tuple[int, ...]:
        """Numbers of the replicas still training."""
        return self.whole.replicas

    @property
    def final(self) -> dict[int, Tensor]:
        """Parameters [P] of the whole net of each replica that has left or ended."""
        return self.whole.final

    @property
    def mark(self) -> PackState:
        """State at the beginning of the epoch in training."""
        return self._part.mark if self._part else self._counted(self.whole.mark)

    def run(self, epochs: int) -> Iterator[Record]:
        """Train every stage in turn, then the whole net; yields records, after `restore` only those that follow."""
        while self._part:
            if self._part.task.is_language and not self._part.recorded:
                self._train_alike_once()
            yield from self._pretrain(self._part)
            if not self.replicas:
                return
            self._adopt(self._part)
            self._enter(self._number + 1)
        for record in self.whole.run(epochs):
            yield self._shifted(record)

    def snapshot(self) -> PackState:
        """Return the state from which training continues, between two records of `run`."""
        return self._part.snapshot() if self._part else self._counted(self.whole.snapshot())

    def restore(self, snapshot: PackState) -> None:
        """Continue from a snapshot of the same pack, in any stage; raises NumericsError as `Trainer.restore`."""
        number = next((int(name.removeprefix(WHOLE)) for name in snapshot.state if name.startswith(WHOLE)), None)
        if number is None:
            self._part, self._number = None, len(self.stages)
            self.whole.restore(replace(snapshot, recorded=snapshot.recorded - self._records))
            return
        copied = snapshot.copied(self.params.flat.device)
        self.whole.drop(set(self.replicas) - set(copied.replicas))
        self.whole.final = dict(copied.final)
        self.params.flat.copy_(copied.state[f"{WHOLE}{number}"])
        self._enter(number)
        assert self._part is not None
        self._part.restore(snapshot)

    def finish(self, replicas: Collection[int], step: int) -> Record:
        """Stop these replicas after `step` of the whole training; returns their record of the test part."""
        return self._shifted(self.whole.finish(replicas, step - self._steps_before(len(self.stages))))

    def drop(self, replicas: Collection[int]) -> None:
        """Stop these replicas, with their current parameters as final ones; between two records of `run`."""
        if self._part:
            self._part.drop(replicas)
        self.whole.drop(replicas)

    def _enter(self, number: int) -> None:
        """Begin the stage `number`, or training of the whole net after the last stage."""
        self._number = number
        if number < len(self.stages):
            sizes = self._sizes(self.stages[number])
            self._part = _StageTrainer(self.whole, self.stages[number], number, self._records, self._asked, sizes)
        else:
            self.whole.mark = self.whole.snapshot().copied()
            self._part = None

    def _train_alike_once(self) -> None:
        """Train the bodies that several replicas share, each of them alone."""
        texts = self.pack.bodies
        if len(set(texts)) == len(texts) or not (positions := untrained(texts)):
            return
        alone = Pretrainer(self.pack.select(positions), self._asked, OFF)
        assert alone._part is not None
        for _ in alone._pretrain(alone._part):
            pass

    def _pretrain(self, part: "_StageTrainer") -> Iterator[Record]:
        """Yield the records of a stage: one before it and one after each epoch, without the test part's.

        Keeps the bodies of a language model, if it was trained from its first step on and no replica diverged.
        """
        name, epochs, begun, texts = part.task.name, part.task.epochs, part.recorded, part.pack.bodies
        records = []
        for record in islice(part.run(epochs), epochs + 1 - begun):
            records.append(record)
            if record.diverged:
                self.whole.drop({divergence.replica for divergence in record.diverged})
            metrics = {f"{name}/{short}": record.metrics[metric] for metric, short in STAGE_METRICS.items()}
            yield self._shifted(replace(record, metrics=metrics))
        if part.task.is_language and not begun and not any(record.diverged for record in records):
            keep_trained(texts, part.params, records)

    def _adopt(self, part: "_StageTrainer") -> None:
        """Copy a stage's parameters to the whole net."""
        for name, values in part.params.items():
            if name in self.params:
                self.params[name].copy_(values)

    @property
    def _records(self) -> int:
        """Number of records before the stage in training."""
        return sum(stage.epochs + 1 for stage in self.stages[: self._number])

    def _counted(self, snapshot: PackState) -> PackState:
        return replace(snapshot, recorded=snapshot.recorded + self._records)

    def _sizes(self, stage: Stage) -> Sequence[int]:
        """Sizes of the batches of a stage's epoch: a language model may see more examples than the whole net."""
        unlabeled = self.whole.pack.data.unlabeled
        if unlabeled is None or not stage.is_language:
            return self.sizes
        return batch_sizes(unlabeled.shape[1], min(self._asked, unlabeled.shape[1]), stage.model.least_batch)

    def _steps_before(self, number: int) -> int:
        """Steps of all stages before the stage `number`."""
        return sum(stage.epochs * len(self._sizes(stage)) for stage in self.stages[:number])

    def _shifted(self, record: Record) -> Record:
        epochs = sum(stage.epochs for stage in self.stages[: self._number])
        steps = self._steps_before(self._number)
        diverged = tuple(replace(divergence, step=divergence.step + steps) for divergence in record.diverged)
        return replace(record, step=record.step + steps, epoch=record.epoch + epochs, diverged=diverged)


AnyTrainer = Trainer | Pretrainer


class _StageTrainer(Trainer):
    """Trainer of one stage, whose snapshots contain the whole net's parameters too."""

    def __init__(
        self, whole: Trainer, task: Stage, number: int, before: int, batch_size: int, sizes: Sequence[int]
    ) -> None:
        self.whole, self.task, self.before, self.key = whole, task, before, f"{WHOLE}{number}"
        super().__init__(stage_pack(whole.pack, whole.params, task), batch_size, OFF, sizes)
        self.replicas = whole.replicas
        self.mark = self.snapshot().copied()

    def run(self, epochs: int) -> Iterator[Record]:
        """Train as every trainer; where all bodies have been trained before, yield the records of that.

        Until their stage is over, snapshots then are of its beginning.
        """
        bodies = trained_bodies(self.pack.bodies) if self.task.is_language and not self.recorded else []
        if not bodies:
            yield from super().run(epochs)
            return
        self._in_epoch = True
        for row, body in enumerate(bodies):
            for name, values in body.params.items():
                self.params[name][row].copy_(values)
        yield from records_of(bodies, self.replicas, self.steps_per_epoch)

    def snapshot(self) -> PackState:
        stage = super().snapshot()
        state = {**stage.state, self.key: self.whole.params.flat}
        return replace(stage, recorded=stage.recorded + self.before, state=state, final=dict(self.whole.final))

    def restore(self, snapshot: PackState) -> None:
        super().restore(replace(snapshot, recorded=snapshot.recorded - self.before))
        del self.state[self.key]


def stage_pack(pack: Pack, params: Params, stage: Stage) -> Pack:
    """Make the pack of a stage from the whole net's pack and current parameters."""
    loss = pack.objective.loss if stage.supervised else stage_loss(stage)
    rates = pack.optimizer.lr if stage.supervised else pack.pretraining.lr
    return replace(
        pack,
        objective=Objective(stage.model, loss, pack.objective.weight_decay, pack.objective.numbers, stage.masking),
        optimizer=replace(pack.optimizer, lr=rates),  # type: ignore[type-var]  # every optimizer is a dataclass
        schedule=CONSTANT,
        data=codes(pack.data, params, stage),
    )


def stage_loss(stage: Stage) -> Loss:
    """Cost of an unsupervised stage: of a token, or of a code."""
    return at_positions(softmax_nll()) if stage.is_language else squared_error()


def codes(data: PackData, params: Params, stage: Stage) -> PackData:
    """Make a stage's data: codes and, as targets, the codes or the original targets; one split per replica.

    A language model's are the inputs, and as targets the tokens themselves or the next ones.
    """
    if stage.is_language:
        one_hot = one_hot_table(stage.vocabulary, params.flat.dtype, params.flat.device)
        tokens = data.train.x if data.unlabeled is None else data.unlabeled
        train, valid = (DataPart(x, token_targets(stage, x), one_hot) for x in (tokens, data.valid.x))
        return PackData(train, valid, valid, data.split_of, stage.vocabulary)
    if not (stage.below.layers or stage.supervised):
        train, valid = (DataPart(part.x, part.x) for part in (data.train, data.valid))
        return PackData(train, valid, valid, data.split_of, None)
    train, valid = (_coded(data, part, params, stage) for part in (data.train, data.valid))
    split_of = torch.arange(len(data.split_of), device=data.split_of.device)
    return PackData(train, valid, valid, split_of, data.n_classes if stage.supervised else None)


def token_targets(stage: Stage, x: Int64[Tensor, "S N T"]) -> Int64[Tensor, "S N T"]:
    """Targets of a language model: the tokens themselves, or the next ones; the size of the vocabulary for none."""
    if stage.masking is None:
        return next_tokens(x, stage.vocabulary, stage.padding)
    return x if stage.padding is None else x.masked_fill(x == stage.padding, stage.vocabulary)


def _coded(data: PackData, part: DataPart, params: Params, stage: Stage) -> DataPart:
    chunks = [data.chunk(part, start, start + CHUNK) for start in range(0, part.size, CHUNK)]
    x = torch.cat([_code(stage.below, params, inputs) for inputs, _ in chunks], 1)
    if part.one_hot is not None:
        return DataPart(x, data.by_replica(part.y), part.one_hot)
    return DataPart(x, torch.cat([y for _, y in chunks], 1) if stage.supervised else x)


def _code(below: Model, params: Params, x: Tensor) -> Tensor:
    return below.forward(params, x)[0]
