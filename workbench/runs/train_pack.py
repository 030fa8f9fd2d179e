"""Configurations -> a pack -> the engine -> tracking: one pack from start to end."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

import torch

from workbench.certificates.trained import PackCheck, SpotChecks
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.core import signals
from workbench.core.errors import KeyTaken, NumericsError, Terminated, TrackingError
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.checkpoint import weights_digest, weights_of
from workbench.engine.history import Divergence, History, Record
from workbench.engine.replicas import Pack
from workbench.engine.stages import AnyTrainer, make_trainer
from workbench.engine.stopping import Stopping
from workbench.engine.threads import one_thread
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.runs.run_writer import RunWriter
from workbench.tracking.base import DatasetInfo, Outcome, RunInfo, Sink, outcome_of
from workbench.tracking.liveness import owner_tags
from workbench.tracking.table_files import table_files
from workbench.tracking.thinning import Thinning

LARGE_PRODUCT = 4_000_000  # multiply-adds of one replica's product above which a second thread pays


@dataclass(frozen=True)
class Job:
    """A run to be trained: its configuration, name and arm, and the tags and note it is stored with.

    Unless `known` is None, it is not trained where a run that is not among those `known` holds its key.
    """

    spec: RunSpec
    name: str
    arm: str
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    known: frozenset[str] | None = None

    def tagged(self, tags: Mapping[str, str]) -> "Job":
        """The same job with more tags."""
        return replace(self, tags={**self.tags, **tags})

    @property
    def info(self) -> RunInfo:
        """Description that the store receives before the first step."""
        dataset = prepare(self.spec).dataset
        params = {key: str(value) for key, value in self.spec.settings.items()}
        examples, features = dataset.x.shape
        info = DatasetInfo(dataset.name, dataset.digest, examples, features)
        return RunInfo(self.name, params, dict(self.tags), self.note, self.spec.resolved, info)


@dataclass
class Result:
    """Result of a job: its run's id (empty where none was begun), last metrics, and how its gradients are wrong.

    Where another command trains the run or has done so, it was not begun here: `taken` is that command's run.
    """

    job: Job
    run: str
    outcome: Outcome
    metrics: dict[str, float] = field(default_factory=dict)
    divergence: Divergence | None = None
    error: str = ""
    taken: str = ""
    disagreement: str = ""


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
    checkpoints: CheckpointWriter | None = None,
) -> PackResult:
    """Train jobs that share a program as one pack.

    Results of `spot_checks` are stored with the runs, also with those that leave early. `give_up` is called with every
    record, and returns the replicas to train no further. With `checkpoints`, the pack resumes from the checkpoint that
    was found, and writes others. An exception ends its runs as failed, and the results say why. Ctrl-C and SIGTERM are
    raised again once every run has its true status. Where other commands hold keys of the pack, none of it is begun,
    and `Result.taken` names their runs.
    """
    pack_result = PackResult([Result(job, "", Outcome.failed) for job in jobs], History(), {})
    run_writer = RunWriter(sink, pack_result.history.records, checkpoints, jobs[0].spec.epochs + 2)
    trainer: AnyTrainer | None = None
    try:
        trainer, pack = _begin(pack_result.results, run_writer, checkpoints)
        spot_check = PackCheck(trainer, spot_checks, pack, jobs[0].spec)
        tags = _train(spot_check, pack_result, run_writer, on_record, give_up, checkpoints)
        pack_result.final |= trainer.final
        run_writer.checkpoint(trainer.snapshot())
        if share := trainer.observer.share:
            run_writer.add(trainer.replicas, {"diagnostics/share": share})
        tags = {**tags, **trainer.observer.tags, **(checkpoints.tags if checkpoints else {})}
        for replica in trainer.replicas:
            run_writer.close(replica, Outcome.finished, tags)
        run_writer.flush()
        if checkpoints:
            checkpoints.remove()
    except KeyTaken as conflict:  # before any run was begun
        for result in pack_result.results:
            result.taken = conflict.runs.get(result.job.tags.get("key", ""), "")
    except BaseException as error:
        _end_early(pack_result.results, run_writer, trainer, error)
        if not isinstance(error, Exception) or os.environ.get("WORKBENCH_DEBUG"):
            raise
    finally:
        for replica, outcome in run_writer.closed.items():
            pack_result.results[replica].outcome = outcome
    return pack_result


def _begin(
    results: Sequence[Result], run_writer: RunWriter, checkpoints: CheckpointWriter | None
) -> tuple[AnyTrainer, Pack]:
    """Build everything, then begin the runs, so that a configuration that cannot be built leaves no run behind.

    Returns the trainer, and the pack as it was before any replica left it.
    """
    jobs = [result.job for result in results]
    pack = build_pack([job.spec for job in jobs])
    plan, epochs = prepare(jobs[0].spec).diagnostics, jobs[0].spec.epochs
    trainer = _trainer(pack, jobs[0].spec.config.train.batch_size, plan, checkpoints)
    _warn_of_small_rest(trainer)
    run_writer.thinning = Thinning(epochs + 2 + plan.most_inside(epochs, trainer.steps_per_epoch))
    tags = {
        "device": torch.cuda.get_device_name(pack.device) if pack.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "steps_per_epoch": str(trainer.steps_per_epoch),
        "last_batch": str(trainer.sizes[-1]),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(1 if is_small(pack, trainer.batch_size) else torch.get_num_threads()),
        **owner_tags(),
    }
    layout = trainer.params.layout
    run_writer.digest = lambda replica: weights_digest(layout, trainer.final[replica])
    if jobs[0].spec.config.sweep.keep_weights:
        run_writer.weights = lambda replica: weights_of(layout, trainer.final[replica])
    if plan.tables:
        run_writer.files = lambda replica: table_files(trainer.observer.tables(replica))
    infos = zip((job.info for job in jobs), pack_tags(jobs), strict=True)
    known = None if any(job.known is None for job in jobs) else frozenset().union(*{job.known or () for job in jobs})
    run_writer.begin([replace(info, tags={**info.tags, **tags, "pack": pack_tag}) for info, pack_tag in infos], known)
    for result, run in zip(results, run_writer.runs, strict=True):
        result.run = run
    return trainer, pack


def _trainer(pack: Pack, batch_size: int, plan: Diagnostics, checkpoints: CheckpointWriter | None) -> AnyTrainer:
    """Build the pack's trainer and restore its checkpoint; one that does not fit is set aside."""
    if checkpoints and checkpoints.found:
        trainer = make_trainer(pack, batch_size, plan)
        try:
            trainer.restore(checkpoints.found.snapshot)
            return trainer
        except (NumericsError, LookupError, ValueError, RuntimeError) as error:  # half of it may be restored
            checkpoints.refuse(error)
    return make_trainer(pack, batch_size, plan)


def pack_tags(jobs: Sequence[Job]) -> list[str]:
    """Tag of each job for its pack: digest of all its keys, and the job's index among them, ``0f3a…:2/8``."""
    digest = sha256(" ".join(job.tags.get("key", "") for job in jobs).encode()).hexdigest()[:16]
    return [f"{digest}:{index}/{len(jobs)}" for index in range(len(jobs))]


def _train(
    spot_check: PackCheck,
    pack_result: PackResult,
    run_writer: RunWriter,
    on_record: Callable[[Record], None],
    give_up: Callable[[Record], Sequence[int]],
    checkpoints: CheckpointWriter | None,
) -> dict[str, str]:
    """Train the pack record by record, those of its checkpoint first; returns the tags of its spot check."""
    trainer, config = spot_check.trainer, pack_result.results[0].job.spec.config.train
    stopping = Stopping(config.patience) if config.patience else None
    last = pack_result.results[0].job.spec.epochs
    for record in checkpoints.found.records if checkpoints and checkpoints.found else ():
        _append(record, pack_result)
        on_record(record)
        give_up(record)  # for its own state: the replicas it returned then are in the checkpoint
        if stopping:
            stopping.exhausted(record)
    with one_thread(is_small(trainer.pack, trainer.batch_size)):
        for record in trainer.run(config.epochs):
            _append(record, pack_result)
            for divergence in record.diverged:
                run_writer.ends(divergence.replica, Outcome.diverged, {**_tags_of(divergence), **spot_check.tags()})
            on_record(record)
            given_up = give_up(record)
            for replica in given_up:
                run_writer.ends(replica, Outcome.pruned, {"pruned.epoch": str(record.epoch), **spot_check.tags()})
            if given_up:
                trainer.drop(given_up)
            exhausted = stopping.exhausted(record) if stopping and record.epoch < last else []
            if stopped := [replica for replica in exhausted if replica in trainer.replicas]:
                test = trainer.finish(stopped, record.step)
                _append(test, pack_result)
                on_record(test)
                for replica in stopped:
                    tags = {"stopped.epoch": str(record.epoch), **spot_check.tags()}
                    run_writer.ends(replica, Outcome.finished, tags)
            run_writer.after_record(trainer.snapshot)
        tags = spot_check.tags(anew=True)
    if spot_check.last:
        for result in pack_result.results:
            result.disagreement = spot_check.last.disagreement
    return tags


def _append(record: Record, pack_result: PackResult) -> None:
    pack_result.history.records.append(record)
    for position, replica in enumerate(record.replicas):
        pack_result.results[replica].metrics |= record.of(position)
    for divergence in record.diverged:
        pack_result.results[divergence.replica].divergence = divergence


def _tags_of(divergence: Divergence) -> dict[str, str]:
    tags = {"diverged.step": str(divergence.step)}
    if divergence.layer:
        tags |= {"diverged.layer": divergence.layer, "diverged.quantity": divergence.quantity}
    return tags


def _end_early(
    results: Sequence[Result], run_writer: RunWriter, trainer: AnyTrainer | None, error: BaseException
) -> None:
    """Send what may be sent, and end every open run with the reason; raises the last interruption meanwhile."""
    signals.ending(error)
    outcome, reason = outcome_of(error), f"{type(error).__name__}: {error}"
    interruptions: list[BaseException] = []
    if trainer is not None and run_writer.runs:
        with _collecting_interruptions("rows could not be sent", interruptions):
            run_writer.give_up(trainer.mark, error)
    with _collecting_interruptions("rows could not be kept", interruptions):
        run_writer.flush()
    for replica, result in enumerate(results):
        if replica not in run_writer.closed:
            result.outcome, result.error = outcome, reason
    for replica in run_writer.open:
        with _collecting_interruptions(f"run {run_writer.runs[replica]} could not be closed", interruptions):
            run_writer.close(replica, outcome, {"error": reason[:500]})
    with _collecting_interruptions("runs could not be closed", interruptions):
        run_writer.flush()
    if interruptions:
        raise interruptions[-1]


@contextmanager
def _collecting_interruptions(failure: str, interruptions: list[BaseException]) -> Iterator[None]:
    """Warn of what is lost, since the cause may be the store itself, and collect interruptions for later."""
    try:
        yield
    except TrackingError as error:
        logging.getLogger(__name__).warning("%s: %s", failure, error)
    except (KeyboardInterrupt, Terminated) as interruption:
        interruptions.append(interruption)


def _warn_of_small_rest(trainer: AnyTrainer) -> None:
    if trainer.sizes[-1] > trainer.batch_size:
        _warn_once(
            f"train.batch_size={trainer.batch_size}: of {trainer.pack.data.train.size} training examples "
            f"{trainer.sizes[-1] - trainer.batch_size} is left over, too few for batch statistics; the last batch of "
            f"each epoch has {trainer.sizes[-1]}"
        )


@cache
def _warn_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def is_small(pack: Pack, batch_size: int) -> bool:
    """Whether every product of a step is too small for a second thread to pay."""
    return max(batch_size * fan_out * fan_in for fan_out, fan_in in pack.objective.model.products()) < LARGE_PRODUCT
