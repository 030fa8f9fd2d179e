"""Runs that other commands train at the same time: wait for them and take their results, or train them here.

A command trains what is free first, and holds no key while it waits. So two that overlap in any order both finish.
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
SECONDS_AWAY = 600.0  # a store may be away for so long while others train
FAILED = "failed in the command that trained it; sweep.rerun=failed tries it again"


def wait(
    jobs: Sequence[Job],
    taken: Mapping[int, str],
    sink: "MlflowSink",
    console: Console,
    read_ended: Callable[[], Mapping[str, "ReusableRun"]],
    searching: bool,
) -> dict[int, Result]:
    """Wait for runs of other commands that hold keys of these jobs; returns the results that they reached.

    `taken` maps positions of jobs to the other commands' runs. Returns when each of these has ended, or one is free
    because its process is gone or was interrupted: jobs without a result are to be tried again. `read_ended` returns
    the ended runs by key; while `searching`, a run that another search pruned is a result. Raises StoreAway where the
    store stays away.
    """
    from workbench.tracking import lost_runs

    results: dict[int, Result] = {}
    keys = {jobs[position].tags["key"]: position for position in taken}
    trained_before: set[str] | None = None
    pause = SHORTEST
    while True:
        claimed = [claim for claim in _look(sink, keys) if claim.run not in (jobs[keys[claim.key]].known or ())]
        done = {claim.key: claim.run for claim in claimed if claim.is_done}
        training = {claim.key: claim for claim in claimed if claim.key not in done}
        if training.keys() != trained_before:
            ended = read_ended()
            for key, position in keys.items():
                if key not in training:
                    run = ended.get(key)
                    if key in done and (run is None or run.id != done[key]):
                        run = lost_runs.ended_run(sink, done[key])
                    if run and _is_result(run, jobs[position], taken[position], searching):
                        error = FAILED if run.outcome is Outcome.failed else ""
                        results[position] = as_result(jobs[position], run, error)
            if trained_before is None and training:
                console.print(_waiting_line(list(training.values())), highlight=False, soft_wrap=True)
            trained_before = set(training)
        free = [key for key, position in keys.items() if position not in results and key not in training]
        if free or not training:
            _join(jobs, results, sink)
            return results
        sleep(pause)
        pause = min(2 * pause, LONGEST)


def _look(sink: "MlflowSink", keys: Collection[str]) -> list[ClaimedKey]:
    """Runs that hold these keys, once those of gone processes are ended; waits for a store that is away.

    Raises StoreAway after SECONDS_AWAY.
    """
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
    """Make these runs of other commands members of the sweep, if there is one."""
    for sweep in {jobs[position].tags.get("sweep", "") for position in results} - {""}:
        sink.tag([result.run for result in results.values()], member_tag(sweep), "run")


def _is_result(ended: "ReusableRun", job: Job, run: str, searching: bool) -> bool:
    """Whether the result of another command's run is taken; otherwise the job is trained here."""
    if ended.id in (job.known or ()):
        return False
    is_final = ended.is_done or (searching and ended.outcome is Outcome.pruned)
    return is_final or (ended.outcome is Outcome.failed and ended.id == run)


def _waiting_line(claimed: Sequence[ClaimedKey]) -> str:
    owners = sorted({f"process {claim.owner['pid']} on {claim.owner['host']}" for claim in claimed})
    end = f"workbench doctor --end {' '.join(claim.run for claim in claimed)}"
    return (
        f"waiting for {len(claimed)} runs that {', '.join(owners)} trains; Ctrl-C ends this command alone, and if you "
        f"know that the other is dead, this ends its runs: {end}"
    )
