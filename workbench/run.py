"""Configurations -> a pack -> the engine -> tracking: one pack from start to end."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch

from workbench.build import build_pack, dataset_of
from workbench.certificate import SpotChecks
from workbench.config import RunSpec
from workbench.engine.history import Divergence, History, Record
from workbench.engine.replicas import Pack
from workbench.engine.threads import one_thread
from workbench.engine.train import Trainer
from workbench.errors import Terminated, TrackingError
from workbench.tracking.base import DatasetInfo, Outcome, RunInfo, Sink, outcome_of

LARGE_PRODUCT = 4_000_000  # multiply-adds of one replica's product above which a second thread pays


@dataclass(frozen=True)
class Job:
    """A run to be made: its configuration, its name, its arm, and the tags and note it is kept with."""

    spec: RunSpec
    name: str
    arm: str
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def tagged(self, tags: Mapping[str, str]) -> "Job":
        """The same job with more tags."""
        return replace(self, tags={**self.tags, **tags})

    @property
    def info(self) -> RunInfo:
        """What tracking is told before the first step."""
        dataset = dataset_of(self.spec)
        params = {key: str(value) for key, value in self.spec.settings.items()}
        examples, features = dataset.x.shape
        info = DatasetInfo(dataset.name, dataset.digest, examples, features)
        return RunInfo(self.name, params, {"arm": self.arm, **self.tags}, self.note, self.spec.resolved, info)


@dataclass
class Result:
    """How a job ended: its run's id (empty where none was begun), and its last metrics."""

    job: Job
    run: str
    outcome: Outcome
    metrics: dict[str, float] = field(default_factory=dict)
    divergence: Divergence | None = None
    error: str = ""


@dataclass
class PackResult:
    """The results of a pack's jobs in their order, its history, and its final parameters [P] by replica."""

    results: list[Result]
    history: History
    final: dict[int, torch.Tensor]


def train_pack(
    jobs: Sequence[Job],
    sink: Sink,
    on_record: Callable[[Record], None] = lambda record: None,
    spot_checks: SpotChecks | None = None,
    give_up: Callable[[Record], Sequence[int]] = lambda record: (),
) -> PackResult:
    """Train jobs that share a program as one pack.

    With `spot_checks`, what one finds is kept with the runs. `give_up` is told of every record, and names replicas of
    it that are trained no further. An exception ends its runs as failed, and the results say
    why. Ctrl-C and SIGTERM are raised again once every run has its true status.
    """
    results = [Result(job, "", Outcome.failed) for job in jobs]
    done = PackResult(results, History(), {})
    going = dict(enumerate(results))
    try:
        trainer = _begin(results, sink)
        start = perf_counter()
        tags: dict[str, str] = {}
        with one_thread(is_small(trainer.pack, trainer.batch_size)):
            for record in trainer.run(jobs[0].spec.config.train.epochs):
                done.history.records.append(record)
                _keep(record, results, sink)
                for one in record.diverged:
                    _close_diverged(going.pop(one.replica), one, sink)
                on_record(record)
                for replica in _given_up(trainer, give_up(record)):
                    _close_pruned(going.pop(replica), record.epoch, sink)
            if spot_checks and going:
                first = trainer.params.with_flat(trainer.params.flat[:1])
                tags = spot_checks.tags(trainer.pack, first, perf_counter() - start)
        done.final |= trainer.final
        for result in going.values():
            sink.close(result.run, Outcome.finished, tags)
            result.outcome = Outcome.finished
    except BaseException as error:
        _close_early(list(going.values()), error, sink)
        if not isinstance(error, Exception) or os.environ.get("WORKBENCH_DEBUG"):
            raise
    return done


def _begin(results: Sequence[Result], sink: Sink) -> Trainer:
    """Build everything, then begin the runs: what cannot be built leaves no run behind."""
    jobs = [result.job for result in results]
    pack = build_pack([job.spec for job in jobs])
    trainer = Trainer(pack, jobs[0].spec.config.train.batch_size)
    tags = {
        "device": torch.cuda.get_device_name(pack.device) if pack.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "steps_per_epoch": str(trainer.steps_per_epoch),
    }
    infos = [replace(info, tags={**info.tags, **tags}) for info in (job.info for job in jobs)]
    for result, run in zip(results, sink.open(infos), strict=True):
        result.run = run
    return trainer


def _keep(record: Record, results: Sequence[Result], sink: Sink) -> None:
    for position, replica in enumerate(record.replicas):
        metrics = record.of(position)
        sink.write(results[replica].run, record.step, record.time_ms, metrics)
        results[replica].metrics |= metrics


def _close_diverged(result: Result, divergence: Divergence, sink: Sink) -> None:
    result.outcome, result.divergence = Outcome.diverged, divergence
    tags = {"diverged.step": str(divergence.step)}
    if divergence.layer:
        tags |= {"diverged.layer": divergence.layer, "diverged.quantity": divergence.quantity}
    sink.close(result.run, Outcome.diverged, tags)


def _given_up(trainer: Trainer, replicas: Sequence[int]) -> Sequence[int]:
    if replicas:
        trainer.drop(replicas)
    return replicas


def _close_pruned(result: Result, epoch: int, sink: Sink) -> None:
    result.outcome = Outcome.pruned
    sink.close(result.run, Outcome.pruned, {"pruned.epoch": str(epoch)})


def _close_early(results: Sequence[Result], error: BaseException, sink: Sink) -> None:
    outcome = outcome_of(error)
    again: BaseException | None = None
    for result in results:
        if result.outcome is not Outcome.failed:
            continue  # closed before the others could be
        result.outcome, result.error = outcome, f"{type(error).__name__}: {error}"
        if not result.run:
            continue
        try:
            sink.close(result.run, outcome, {"error": result.error[:500]})
        except TrackingError as lost:  # the reason for ending may be the store itself
            logging.getLogger(__name__).warning("run %s could not be closed: %s", result.run, lost)
        except (KeyboardInterrupt, Terminated) as interruption:  # the others must still be closed
            again = interruption
    if again:
        raise again


def is_small(pack: Pack, batch_size: int) -> bool:
    """Whether no product of a step is large enough for a second thread to pay."""
    return max(batch_size * fan_out * fan_in for fan_out, fan_in in pack.objective.model.products()) < LARGE_PRODUCT
