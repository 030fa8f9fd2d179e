"""Runs that other commands train at the same time: waited for and taken as theirs, or left to be trained here.

A command trains what is free first and waits afterwards, with no key of its own held: two that overlap in any order
come to an end.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.core.errors import StoreAway
from workbench.runs.train_pack import Job, Result
from workbench.sweeps.finished_runs import as_result
from workbench.tracking.base import ClaimedKey, Outcome
from workbench.tracking.store import member_tag

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink
    from workbench.tracking.reader import ReusableRun

SHORTEST, LONGEST = 0.2, 2.0  # seconds between two looks
SECONDS_AWAY = 600.0  # that a store may be away while others train
FAILED = "failed in the command that trained it; sweep.rerun=failed tries it again"


def wait(
    jobs: Sequence[Job],
    taken: Mapping[int, str],
    sink: "MlflowSink",
    console: Console,
    kept_now: Callable[[], Mapping[str, "ReusableRun"]],
    searching: bool,
) -> dict[int, Result]:
    """The results of what others make of the jobs at the positions `taken`, with the runs that others have of them.

    Returns when each of these has ended, or one of them is free because its process is gone or it was interrupted:
    those without a result are to be tried again. `kept_now` gives the ended runs by key; while `searching`, a run that
    another search gave up is a result.
    """
    from workbench.tracking import lost_runs

    results: dict[int, Result] = {}
    keys = {jobs[position].tags["key"]: position for position in taken}
    before: set[str] | None = None
    pause = SHORTEST
    while True:
        held = [one for one in _look(sink, keys) if one.run not in (jobs[keys[one.key]].known or ())]
        done = {one.key: one.run for one in held if one.is_done}
        training = {one.key: one for one in held if one.key not in done}
        if training.keys() != before:
            kept = kept_now()
            for key, position in keys.items():
                if key not in training:
                    found = kept.get(key)
                    if key in done and (found is None or found.id != done[key]):
                        found = lost_runs.kept(sink, done[key])
                    if found and _is_result(found, jobs[position], taken[position], searching):
                        error = FAILED if found.outcome is Outcome.failed else ""
                        results[position] = as_result(jobs[position], found, error)
            if before is None and training:
                console.print(_said(list(training.values())), highlight=False, soft_wrap=True)
            before = set(training)
        free = [key for key, position in keys.items() if position not in results and key not in training]
        if free or not training:
            _join(jobs, results, sink)
            return results
        sleep(pause)
        pause = min(2 * pause, LONGEST)


def _look(sink: "MlflowSink", keys: Collection[str]) -> list[ClaimedKey]:
    """The runs that hold these keys, those of gone processes ended before; waits for a store that is away."""
    late = monotonic() + SECONDS_AWAY
    while True:
        try:
            sink.end_gone()
            return sink.held(keys)
        except StoreAway:
            if monotonic() > late:
                raise
            sleep(LONGEST)


def _join(jobs: Sequence[Job], results: Mapping[int, Result], sink: "MlflowSink") -> None:
    """Make the runs of others members of the sweep, if it is one."""
    for sweep in {jobs[position].tags.get("sweep", "") for position in results} - {""}:
        sink.tag([result.run for result in results.values()], member_tag(sweep), "run")


def _is_result(found: "ReusableRun", job: Job, run: str, searching: bool) -> bool:
    """Whether what came of a job elsewhere is taken, or the job is to be trained here."""
    if found.id in (job.known or ()):
        return False
    by_itself = found.is_done or (searching and found.outcome is Outcome.pruned)
    return by_itself or (found.outcome is Outcome.failed and found.id == run)


def _said(held: Sequence[ClaimedKey]) -> str:
    owners = sorted({f"process {one.owner['pid']} on {one.owner['host']}" for one in held})
    end = f"workbench doctor --end {' '.join(one.run for one in held)}"
    return (
        f"waiting for {len(held)} runs that {', '.join(owners)} trains; Ctrl-C ends this command alone, and if you "
        f"know that the other is dead, this ends its runs: {end}"
    )
