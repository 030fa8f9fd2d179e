"""Configurations -> a pack -> the engine -> tracking: one pack from start to end."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

import torch

from workbench.certificates.trained import Looking, SpotChecks
from workbench.config.prepare import build_pack, dataset_of, diagnostics_of
from workbench.config.schema import RunSpec
from workbench.core import signals
from workbench.core.errors import KeyTaken, NumericsError, Terminated, TrackingError
from workbench.diagnostics.plan import Diagnostics
from workbench.engine.checkpoint import weights_digest, weights_of
from workbench.engine.history import Divergence, History, Record
from workbench.engine.replicas import Pack
from workbench.engine.stages import AnyTrainer, make_trainer
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
    """A run to be made: its configuration, its name, its arm, and the tags and note it is kept with.

    Unless `known` is None, it is not made where another run than those `known` holds its key.
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
        """What tracking is told before the first step."""
        dataset = dataset_of(self.spec)
        params = {key: str(value) for key, value in self.spec.settings.items()}
        examples, features = dataset.x.shape
        info = DatasetInfo(dataset.name, dataset.digest, examples, features)
        return RunInfo(self.name, params, dict(self.tags), self.note, self.spec.resolved, info)


@dataclass
class Result:
    """How a job ended: its run's id (empty where none was begun), its last metrics, and how its gradients are wrong.

    Where another command trains it or has done so, it did not begin: `taken` is that one's run.
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
    keeper: CheckpointWriter | None = None,
) -> PackResult:
    """Train jobs that share a program as one pack.

    With `spot_checks`, what one finds is kept with the runs, also with those that leave early. `give_up` is told of
    every record, and names replicas of it that are trained no further. With a `keeper`, the pack goes on from the
    checkpoint that it found, and leaves others. An exception ends its runs as failed, and the results say why. Ctrl-C
    and SIGTERM are raised again once every run has its true status. Where others hold keys of the pack, none of it is
    begun, and the results say whose.
    """
    done = PackResult([Result(job, "", Outcome.failed) for job in jobs], History(), {})
    outbox = RunWriter(sink, done.history.records, keeper, jobs[0].spec.epochs + 2)
    trainer: AnyTrainer | None = None
    try:
        trainer, pack = _begin(done.results, outbox, keeper)
        looking = Looking(trainer, spot_checks, pack, jobs[0].spec)
        tags = _train(looking, done, outbox, on_record, give_up, keeper)
        done.final |= trainer.final
        outbox.keep(trainer.snapshot())
        if share := trainer.observer.share:
            outbox.add(trainer.replicas, {"diagnostics/share": share})
        tags = {**tags, **trainer.observer.tags, **(keeper.tags if keeper else {})}
        for replica in trainer.replicas:
            outbox.close(replica, Outcome.finished, tags)
        outbox.flush()
        if keeper:
            keeper.remove()
    except KeyTaken as others:  # before any run was begun
        for result in done.results:
            result.taken = others.runs.get(result.job.tags.get("key", ""), "")
    except BaseException as error:
        _end_early(done.results, outbox, trainer, error)
        if not isinstance(error, Exception) or os.environ.get("WORKBENCH_DEBUG"):
            raise
    finally:
        for replica, outcome in outbox.closed.items():
            done.results[replica].outcome = outcome
    return done


def _begin(results: Sequence[Result], outbox: RunWriter, keeper: CheckpointWriter | None) -> tuple[AnyTrainer, Pack]:
    """Build everything, then begin the runs: what cannot be built leaves no run behind. The pack is that of all."""
    jobs = [result.job for result in results]
    pack = build_pack([job.spec for job in jobs])
    plan, epochs = diagnostics_of(jobs[0].spec), jobs[0].spec.epochs
    trainer = _trainer(pack, jobs[0].spec.config.train.batch_size, plan, keeper)
    _say_what_is_left_over(trainer)
    outbox.thinning = Thinning(epochs + 2 + plan.most_inside(epochs, trainer.steps_per_epoch))
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
    outbox.digest = lambda replica: weights_digest(layout, trainer.final[replica])
    if jobs[0].spec.config.sweep.keep_weights:
        outbox.weights = lambda replica: weights_of(layout, trainer.final[replica])
    if plan.tables:
        outbox.files = lambda replica: table_files(trainer.observer.tables(replica))
    places = zip((job.info for job in jobs), pack_tags(jobs), strict=True)
    known = None if any(job.known is None for job in jobs) else frozenset().union(*{job.known or () for job in jobs})
    outbox.begin([replace(info, tags={**info.tags, **tags, "pack": place}) for info, place in places], known)
    for result, run in zip(results, outbox.runs, strict=True):
        result.run = run
    return trainer, pack


def _trainer(pack: Pack, batch_size: int, plan: Diagnostics, keeper: CheckpointWriter | None) -> AnyTrainer:
    """The pack's trainer, where its checkpoint left it; a checkpoint that does not fit is set aside."""
    if keeper and keeper.found:
        trainer = make_trainer(pack, batch_size, plan)
        try:
            trainer.restore(keeper.found.snapshot)
            return trainer
        except (NumericsError, LookupError, ValueError, RuntimeError) as error:  # half of it may be restored
            keeper.refuse(error)
    return make_trainer(pack, batch_size, plan)


def pack_tags(jobs: Sequence[Job]) -> list[str]:
    """Who trains with whom, for each job: digest of all their keys, and its place among them, ``0f3a…:2/8``."""
    digest = sha256(" ".join(job.tags.get("key", "") for job in jobs).encode()).hexdigest()[:16]
    return [f"{digest}:{place}/{len(jobs)}" for place in range(len(jobs))]


def _train(
    looking: Looking,
    done: PackResult,
    outbox: RunWriter,
    on_record: Callable[[Record], None],
    give_up: Callable[[Record], Sequence[int]],
    keeper: CheckpointWriter | None,
) -> dict[str, str]:
    """Every record of the pack, those of its checkpoint first; the tags of its spot check."""
    trainer = looking.trainer
    for record in keeper.found.records if keeper and keeper.found else ():
        _append(record, done)
        on_record(record)
        give_up(record)  # for what it remembers: what it said then is in the checkpoint
    with one_thread(is_small(trainer.pack, trainer.batch_size)):
        for record in trainer.run(done.results[0].job.spec.config.train.epochs):
            _append(record, done)
            for one in record.diverged:
                outbox.ends(one.replica, Outcome.diverged, {**_tags_of(one), **looking.tags()})
            on_record(record)
            given_up = give_up(record)
            for replica in given_up:
                outbox.ends(replica, Outcome.pruned, {"pruned.epoch": str(record.epoch), **looking.tags()})
            if given_up:
                trainer.drop(given_up)
            outbox.after_record(trainer.snapshot)
        tags = looking.tags(anew=True)
    if looking.last:
        for result in done.results:
            result.disagreement = looking.last.disagreement
    return tags


def _append(record: Record, done: PackResult) -> None:
    done.history.records.append(record)
    for position, replica in enumerate(record.replicas):
        done.results[replica].metrics |= record.of(position)
    for one in record.diverged:
        done.results[one.replica].divergence = one


def _tags_of(divergence: Divergence) -> dict[str, str]:
    tags = {"diverged.step": str(divergence.step)}
    if divergence.layer:
        tags |= {"diverged.layer": divergence.layer, "diverged.quantity": divergence.quantity}
    return tags


def _end_early(results: Sequence[Result], outbox: RunWriter, trainer: AnyTrainer | None, error: BaseException) -> None:
    """Send what may be sent, and end every run that is open with the reason."""
    signals.ending(error)
    outcome, reason = outcome_of(error), f"{type(error).__name__}: {error}"
    again: list[BaseException] = []
    if trainer is not None and outbox.runs:
        with _going_on("rows could not be sent", again):
            outbox.give_up(trainer.mark, error)
    with _going_on("rows could not be kept", again):
        outbox.flush()
    for replica, result in enumerate(results):
        if replica not in outbox.closed:
            result.outcome, result.error = outcome, reason
    for replica in outbox.open:
        with _going_on(f"run {outbox.runs[replica]} could not be closed", again):
            outbox.close(replica, outcome, {"error": reason[:500]})
    with _going_on("runs could not be closed", again):
        outbox.flush()
    if again:
        raise again[-1]


@contextmanager
def _going_on(what: str, again: list[BaseException]) -> Iterator[None]:
    """Say what is lost, as the reason for ending may be the store itself, and keep interruptions for later."""
    try:
        yield
    except TrackingError as lost:
        logging.getLogger(__name__).warning("%s: %s", what, lost)
    except (KeyboardInterrupt, Terminated) as interruption:
        again.append(interruption)


def _say_what_is_left_over(trainer: AnyTrainer) -> None:
    if trainer.sizes[-1] > trainer.batch_size:
        _say_once(
            f"train.batch_size={trainer.batch_size}: of {trainer.pack.data.train.size} training examples "
            f"{trainer.sizes[-1] - trainer.batch_size} is left over, too few for batch statistics; the last batch of "
            f"each epoch has {trainer.sizes[-1]}"
        )


@cache
def _say_once(what: str) -> None:
    logging.getLogger(__name__).warning(what)


def is_small(pack: Pack, batch_size: int) -> bool:
    """Whether no product of a step is large enough for a second thread to pay."""
    return max(batch_size * fan_out * fan_in for fan_out, fan_in in pack.objective.model.products()) < LARGE_PRODUCT
