"""The loop of a search: choose a batch of trials, train them as runs of one sweep, tell the sampler their values.

An ended trial is stored as a tag of the sweep's own run, from which a search resumes.
"""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.config.schema import OnError, Rerun, RunSpec
from workbench.config.validate import validate
from workbench.core import signals
from workbench.core.errors import ConfigError
from workbench.runs.train_pack import Result
from workbench.sweeps import preflight
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.jobs import environment_tags, make_jobs
from workbench.sweeps.naming import label
from workbench.sweeps.pruning import TRIAL, Pruning
from workbench.sweeps.search import Search, Trial, read_trial
from workbench.sweeps.sweep import INLINE, Finished, begin, in_own_run, open_sink, train_members
from workbench.tracking.base import SWEEP, Outcome, RunInfo
from workbench.tracking.store import find_store, sweep_link, ui_base

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink

TRIAL_TAG = "trial."  # begins the tags of a search's own run that hold its trials
SWEEPER = ("hydra/sweeper", "hydra.sweeper")
LONGEST_ERROR = 500  # characters of an error
ENDED = (Outcome.finished, Outcome.diverged, Outcome.pruned)


def train_search(search: Search, command: Sequence[str], console: Console, executor: Executor = INLINE) -> Finished:
    """Search, as one sweep; a search equal to an earlier one resumes it.

    Returns the sweep with the results of all runs trained now. Raises ConfigError before anything is trained.
    """
    from workbench.tracking.reader import read_sweep

    spec = search.corners[0][0]
    store = find_store(spec.config.tracking.uri)
    executor.ready(store)
    sink = open_sink(store, spec)
    known = sink.done() if spec.config.sweep.rerun is Rerun["all"] else frozenset()
    sweep, own_run = begin(sink, spec.config, search.key, lambda sweep: _info(search, sweep, command))
    with in_own_run(sink, own_run) as results:
        progress = _SearchInProgress(search, sweep, own_run, sink, console, executor, known)
        results += progress.run()
        notes = progress.notes(command)
        sink.tag([own_run], "best", "; ".join(line.strip() for line in notes[-2:]))
        runs = read_sweep(store, sweep, histories=False).runs
        saved = sink.save_view(own_run, sweep, {name for run in runs for name in run.metrics})
    link = sweep_link(ui_base(store), sink.experiment_id, sweep, saved)
    return Finished(sweep, sink.experiment_id, store, results, link, notes)


def rehearse_search(search: Search, executor: Executor = INLINE) -> preflight.SearchOutlook:
    """Forecast what a search will take, and check it as if it began; train and write nothing."""
    find_store(search.corners[0][0].config.tracking.uri)
    settings = search.settings
    return preflight.search_outlook(search.corners, settings.trials, settings.batch, executor.parallel)


@dataclass
class _SearchInProgress:
    """A search in progress within a sweep; `told` are its ended trials by number."""

    search: Search
    sweep: str
    own: str
    sink: "MlflowSink"
    console: Console
    executor: Executor
    known: frozenset[str] = frozenset()
    told: dict[int, Trial] = field(default_factory=dict)
    marks: dict[int, dict[int, float]] = field(default_factory=dict)

    def run(self) -> list[Result]:
        """Choose, train and tell until there are enough trials; returns the results of the runs."""
        from workbench.tracking.reader import tags_of

        tags = tags_of(self.sink.store, self.own)
        space = self.search.space
        stored = [read_trial(name, text, space) for name, text in sorted(tags.items()) if name.startswith(TRIAL_TAG)]
        retries = self.search.corners[0][0].config.sweep.rerun is not Rerun["missing"]
        retried = [Trial(trial.number, trial.values) for trial in stored if trial.state == "FAIL" and retries]
        self.told = {trial.number: trial for trial in stored if trial.state != "FAIL" or not retries}
        if self.told:
            self.console.print(f"going on after {len(self.told)} trials", highlight=False)
        results: list[Result] = []
        while batch := self._next(retried):
            retried = []
            with signals.going_on(self._rest):
                batch_results = self._train(batch)
            results += batch_results
            if (best := self.best()) is not None:
                line = f"{len(self.told)} of {self.search.settings.trials} trials; {self._describe(best)}"
                self.console.print(line, highlight=False, soft_wrap=True)
            if self.stops and any(result.outcome is Outcome.failed for result in batch_results):
                break
        return results

    def _rest(self) -> str:
        return f"repeat the command to go on: {len(self.told)} of {self.search.settings.trials} trials are done"

    @property
    def stops(self) -> bool:
        """Whether the first failure ends the search."""
        return self.search.corners[0][0].config.sweep.on_error is OnError["stop"]

    def _next(self, retried: list[Trial]) -> list[Trial]:
        settings = self.search.settings
        count = min(settings.batch, settings.trials - len(self.told)) - len(retried)
        ended = [self.told[number] for number in sorted(self.told)]
        return retried + self.search.choose([*ended, *retried], self._marks, count)

    def _train(self, batch: Sequence[Trial]) -> list[Result]:
        """Train and tell a batch; a trial whose values cannot be combined fails."""
        keys = _plain(self.search.space.searched)
        specs: list[RunSpec] = []
        arms: list[str] = []
        trials: list[Trial] = []
        for trial in batch:
            try:
                trial_specs = self.search.compose(self.search.space.runs(trial.values))
                for spec in trial_specs:
                    validate(spec)
            except ConfigError as error:
                self._tell(replace(trial, state="FAIL", error=str(error)[:LONGEST_ERROR]))
                continue
            specs += trial_specs
            arms += [f"{trial.number}: {label(spec, keys)}" for spec in trial_specs]
            trials += [trial] * len(trial_specs)
        if not specs:
            return []
        jobs = [
            job.tagged({TRIAL: str(trial.number)}) for job, trial in zip(make_jobs(specs, arms), trials, strict=True)
        ]
        results = train_members(jobs, self.sweep, self.sink, self.console, self.executor, self._pruning(), self.known)
        for trial, members in groupby(zip(trials, results, strict=True), lambda member: member[0]):
            self._judge(trial, [result for _, result in members])
        return results

    def _pruning(self) -> Pruning | None:
        settings = self.search.settings
        if not settings.prune:
            return None
        finished = (trial for trial in self.told.values() if trial.state == "COMPLETE" and isfinite(trial.value or 0))
        marks = tuple(self._marks(trial) for trial in finished)
        return Pruning(settings.metric, settings.aim, marks, settings.prune_least, settings.prune_after)

    def _judge(self, trial: Trial, results: Sequence[Result]) -> None:
        """Tell how a trial's runs ended; a trial not begun because another failed may be chosen again."""
        outcomes = {result.outcome for result in results}
        failed = [result for result in results if result.outcome not in ENDED]
        ended = replace(trial, state="COMPLETE", runs=tuple(result.run for result in results if result.run))
        if failed:
            if not self.stops or any(result.run for result in failed):
                self._tell(replace(ended, state="FAIL", error=failed[0].error[:LONGEST_ERROR]))
        elif Outcome.diverged in outcomes:
            self._tell(replace(ended, value=self.search.settings.worst))
        elif Outcome.pruned in outcomes:
            self._tell(replace(ended, state="PRUNED"))
        else:
            metric = self.search.settings.metric
            self._tell(replace(ended, value=fmean(result.metrics[metric] for result in results)))

    def _tell(self, trial: Trial) -> None:
        self.told[trial.number] = trial
        text = str(trial.state).lower() if trial.value is None else str(trial.value)
        self.sink.tag(trial.runs, TRIAL, str(trial.number))
        self.sink.tag(trial.runs, "trial.value", text)
        self.sink.tag([self.own], f"{TRIAL_TAG}{trial.number:04}", json.dumps(asdict(trial)))

    def _marks(self, trial: Trial) -> dict[int, float]:
        """Mean objective of a trial's runs after each epoch that all of them reached; empty where it is not used."""
        from workbench.tracking.reader import series

        if trial.state != "PRUNED" and not self.search.settings.prune:
            return {}
        if trial.number not in self.marks:
            rows = series(self.sink.store, trial.runs, self.search.settings.metric)
            self.marks[trial.number] = dict(enumerate(map(fmean, zip(*rows, strict=False))))
        return self.marks[trial.number]

    def best(self) -> Trial | None:
        """The trial with the best finite value; None where there is none."""
        complete = [trial for trial in self.told.values() if trial.value is not None and isfinite(trial.value)]
        sign = 1 if self.search.settings.aim == "minimize" else -1
        return min(complete, key=lambda trial: (sign * (trial.value or 0), trial.number), default=None)

    def notes(self, command: Sequence[str]) -> tuple[str, ...]:
        """Lines with the number of trials, what failed, and the best trial with the command that repeats it."""
        states = [trial.state for trial in self.told.values()]
        counts = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
        summary = ", ".join(f"{states.count(state)} {name}" for name, state in counts.items() if state in states)
        failed = [f"  trial {trial.number} failed: {trial.error}" for trial in self.told.values() if trial.error]
        best = self.best()
        if best is None:
            return f"{len(states)} trials: {summary}", *failed, "best: none, no trial ended with a value"
        return (
            f"{len(states)} trials: {summary}",
            *failed,
            self._describe(best),
            f"  {self._repeat_command(best, command)}",
        )

    def _describe(self, best: Trial) -> str:
        over = f" over {len(best.runs)} runs" if len(best.runs) > 1 else ""
        return f"best: trial {best.number}, {self.search.settings.metric} {best.value:.6g}{over}"

    def _repeat_command(self, trial: Trial, command: Sequence[str]) -> str:
        """The command with the values of a trial in place of the sweeps they were chosen from."""
        space = self.search.space
        chosen, repeats = space.overrides(trial.values), space.repeats()
        keys = {word.partition("=")[0] for word in (*chosen, *repeats)}
        words = [word for word in command if word.partition("=")[0] not in keys and not word.startswith(SWEEPER)]
        if not repeats:
            words = [word for word in words if word not in ("-m", "--multirun")]
        return shlex.join([*words, *chosen, *repeats])


def _plain(keys: Iterable[str]) -> list[str]:
    return [key.lstrip("+") for key in keys]


def _info(search: Search, sweep: str, command: Sequence[str]) -> RunInfo:
    keys = _plain(search.space.searched)
    lines = [f"- `{key}`: `{distribution}`" for key, distribution in search.space.searched.items()]
    text = (
        f"A search for the trial that {search.settings.aim}s {search.settings.metric}, over\n\n" + "\n".join(lines)
    ) + f"\n\nGo on with it, or repeat it, with\n\n    {shlex.join(command)}\n"
    tags = {**environment_tags(), "kind": SWEEP, "sweep": sweep, "sweep.key": search.key}
    return RunInfo(f"search {' x '.join(keys)}", {}, tags, text, {}, None)
