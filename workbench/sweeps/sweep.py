"""A sweep from composed configurations to finished runs: checked, named, packed, trained, and said in the end."""

import os
import platform
import secrets
import shlex
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from getpass import getuser
from pathlib import Path

from rich.console import Console

from workbench import __version__
from workbench.build import dataset_of, validate
from workbench.certificate import SpotChecks
from workbench.config import OnError, RunSpec
from workbench.engine.history import Record
from workbench.errors import ConfigError
from workbench.run import Job, Result, train_pack
from workbench.sweeps.identity import NOT_RESULT, run_key
from workbench.sweeps.naming import PALETTE, arm_label, label, varying_keys
from workbench.sweeps.packs import group
from workbench.sweeps.progress import SweepProgress
from workbench.tracking.base import Outcome, RunInfo, Sink, outcome_of
from workbench.tracking.store import Store, find_store, run_link, sweep_link, ui_base


@dataclass(frozen=True)
class Finished:
    """A trained sweep (`sweep` is empty for a single run): where it is kept and what came of its runs."""

    sweep: str
    experiment_id: str
    store: Store
    results: list[Result]
    link: str


def train_one(spec: RunSpec, command: Sequence[str], console: Console) -> Finished:
    """Train a single run: a pack of one, without a sweep around it."""
    return _train([spec], command, console, sweep="")


def train_sweep(specs: Sequence[RunSpec], command: Sequence[str], console: Console) -> Finished:
    """Train the runs of a multirun, and keep a run of the sweep itself beside them."""
    return _train(specs, command, console, new_sweep())


def new_sweep() -> str:
    """An id that no other sweep has: when it began, and four random digits."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _train(specs: Sequence[RunSpec], command: Sequence[str], console: Console, sweep: str) -> Finished:
    _check(specs)
    store = find_store(specs[0].config.tracking.uri)
    packs = group(specs)
    jobs = make_jobs(specs, sweep)
    console.print(_opening(jobs, packs, store), highlight=False, soft_wrap=True)

    from workbench.tracking.mlflow import MlflowSink  # seconds of imports, once everything is checked

    sink = MlflowSink(store, specs[0].config.tracking.experiment)
    base = ui_base(store)
    if not sweep:
        results = _train_packs(jobs, packs, sink, console)
        return Finished("", sink.experiment_id, store, results, run_link(base, sink.experiment_id, results[0].run))
    (own,) = sink.open([_sweep_info(jobs, sweep, command)])
    try:
        results = _train_packs(jobs, packs, sink, console)
        saved = sink.save_view(own, sweep, {name for result in results for name in result.metrics})
    except BaseException as error:
        sink.close(own, outcome_of(error))
        raise
    failed = any(result.outcome is Outcome.failed for result in results)
    sink.close(own, Outcome.failed if failed else Outcome.finished)
    return Finished(sweep, sink.experiment_id, store, results, sweep_link(base, sink.experiment_id, sweep, saved))


def train_arms(
    specs: Sequence[RunSpec], arms: Sequence[str], sweep: str, sink: Sink, store: Store, console: Console
) -> list[Result]:
    """Train more runs of a sweep whose own run is kept elsewhere; `arms` names the arm of each run."""
    _check(specs)
    packs = group(specs)
    jobs = make_jobs(specs, sweep, arms)
    console.print(_opening(jobs, packs, store), highlight=False, soft_wrap=True)
    return _train_packs(jobs, packs, sink, console)


def _check(specs: Sequence[RunSpec]) -> None:
    _check_together(specs)
    for spec in specs:
        validate(spec)


def _check_together(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError for a sweep without runs, or over settings that belong to the sweep as a whole."""
    if not specs:
        raise ConfigError("sweep: must have at least one run, got none; write for example seed=range(5)")
    for key in specs[0].settings:
        values = {str(spec.settings.get(key)) for spec in specs}
        if key.partition(".")[0] in NOT_RESULT and len(values) > 1:
            raise ConfigError(f"{key}: must be the same for all runs of a sweep, got {', '.join(sorted(values))}")


def _train_packs(jobs: Sequence[Job], packs: Sequence[Sequence[int]], sink: Sink, console: Console) -> list[Result]:
    results: dict[int, Result] = {}
    spot_checks = SpotChecks()
    with SweepProgress(sum(job.spec.config.train.epochs for job in jobs), console) as progress:
        for pack in packs:
            epochs = jobs[pack[0]].spec.config.train.epochs

            def on_record(record: Record, epochs: int = epochs) -> None:
                if record.epoch and "train/loss" in record.metrics:
                    progress.advance(len(record.replicas) + len(record.diverged) * (epochs - record.epoch))

            checks = spot_checks if jobs[pack[0]].spec.config.certificate else None
            done = train_pack([jobs[position] for position in pack], sink, on_record, checks)
            results |= dict(zip(pack, done.results, strict=True))
            stop = jobs[pack[0]].spec.config.sweep.on_error is OnError["stop"]
            if stop and any(result.outcome is Outcome.failed for result in done.results):
                break
    return [results.get(position) or _not_begun(job) for position, job in enumerate(jobs)]


def _not_begun(job: Job) -> Result:
    return Result(job, "", Outcome.failed, error="not begun, because a run before it failed and sweep.on_error=stop")


def make_jobs(specs: Sequence[RunSpec], sweep: str, arms: Sequence[str] | None = None) -> list[Job]:
    """Each run's name, arm, tags and note; an arm has one color in all charts.

    Without `arms`, an arm is named for what differs between the runs.
    """
    keys = varying_keys(specs)
    of_run = [arm_label(spec, keys) for spec in specs] if arms is None else arms
    colors = {arm: PALETTE[number % len(PALETTE)] for number, arm in enumerate(dict.fromkeys(of_run))}
    shared = environment_tags()
    jobs = []
    for number, (spec, arm) in enumerate(zip(specs, of_run, strict=True)):
        name = label(spec, keys) if sweep and arms is None else f"{arm} seed={spec.config.seed}"
        tags = {
            **shared,
            "kind": "run",
            "number": str(number),
            "key": run_key(spec, dataset_of(spec).digest),
            "mlflow.runColor": colors[arm],
        }
        if sweep:
            tags["sweep"] = sweep
        jobs.append(Job(spec, name, arm, tags, _note(spec, name)))
    return jobs


def summary(finished: Finished) -> list[str]:
    """How the runs ended, and those that did not finish by name."""
    counts = Counter(result.outcome.value for result in finished.results)
    lines = [", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))]
    for result in finished.results:
        if result.divergence:
            where = (
                f" in the {result.divergence.quantity} of {result.divergence.layer}" if result.divergence.layer else ""
            )
            lines.append(f"  diverged: {result.job.name} at step {result.divergence.step}{where}")
        elif result.error:
            lines.append(f"  {result.outcome.value}: {result.job.name}: {result.error}")
    return lines


def _opening(jobs: Sequence[Job], packs: Sequence[Sequence[int]], store: Store) -> str:
    arms = len({job.arm for job in jobs})
    runs = f"{len(jobs)} runs of {arms} arms in {len(packs)} packs" if len(jobs) > 1 else f"1 run: {jobs[0].name}"
    return f"{runs}; kept in {store.shown}"


def _sweep_info(jobs: Sequence[Job], sweep: str, command: Sequence[str]) -> RunInfo:
    keys = varying_keys([job.spec for job in jobs])
    values = {key: ", ".join(dict.fromkeys(label(job.spec, [key]) for job in jobs)) for key in keys}
    lines = [f"- `{key}`: {value}" for key, value in values.items()]
    text = f"{len(jobs)} runs over\n\n" + "\n".join(lines) + f"\n\nRepeat it with\n\n    {shlex.join(command)}\n"
    tags = {**environment_tags(), "kind": "sweep", "sweep": sweep}
    return RunInfo(f"sweep {' x '.join(keys)}", {}, tags, text, {}, None)


def _note(spec: RunSpec, name: str) -> str:
    c, train = spec.choices, spec.config.train
    return (
        f"**{name}**: {c['architecture']} {spec.settings.get('architecture.hidden', '')} of {c['activation']} units "
        f"(init {c['init']}, bias {c['bias']}) on {c['data']}, {c['loss']} minimized by {c['optimizer']} for "
        f"{train.epochs} epochs in batches of {train.batch_size}, gradients by the hand-written backward pass.\n\n"
        f"Repeat it with\n\n    {shlex.join(['workbench', 'train', *spec.overrides])}\n"
    )


@lru_cache(maxsize=1)
def environment_tags() -> dict[str, str]:
    """Who made a run, with what: tags of every run."""
    tags = {
        "workbench": __version__,
        "python": platform.python_version(),
        "host": platform.node(),
        "pid": str(os.getpid()),
        "mlflow.user": getuser(),
        "mlflow.source.name": "workbench train",
        "mlflow.source.type": "LOCAL",
    }
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        asked = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
        if asked.returncode == 0:
            tags["mlflow.source.git.commit"] = asked.stdout.strip()
    return tags
