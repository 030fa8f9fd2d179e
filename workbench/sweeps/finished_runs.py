"""Runs of a sweep that are done already, by run key: the same command again trains only what is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from workbench.config.schema import Rerun
from workbench.runs.train_pack import Job, Result
from workbench.tracking.base import Outcome
from workbench.tracking.reader import ReusableRun


@dataclass(frozen=True)
class FinishedRuns:
    """Positions of the jobs to train, the results of the others, and the runs that a new try supersedes."""

    to_train: tuple[int, ...]
    results: Mapping[int, Result]
    superseded: tuple[str, ...]


def find_finished(jobs: Sequence[Job], ended: Mapping[str, ReusableRun], rerun: Rerun) -> FinishedRuns:
    """Sort jobs by the ended runs in the store, given by run key.

    ``missing`` trains runs that have not ended, and those that a search pruned, ``failed`` also those that failed or
    were interrupted, ``all`` everything.
    """
    results: dict[int, Result] = {}
    superseded = []
    for position, job in enumerate(jobs):
        run = ended.get(job.tags["key"])
        if run is None or rerun is Rerun["all"]:
            continue
        if run.is_done or (rerun is Rerun["missing"] and run.outcome is not Outcome.pruned):
            error = "" if run.is_done else "kept from before; sweep.rerun=failed tries it again"
            results[position] = as_result(job, run, error)
        else:
            superseded.append(run.id)
    to_train = tuple(position for position in range(len(jobs)) if position not in results)
    return FinishedRuns(to_train, results, tuple(superseded))


def as_result(job: Job, run: ReusableRun, error: str = "") -> Result:
    """A run of the store as the result of a job."""
    return Result(job, run.id, run.outcome, dict(run.metrics), error=error, disagreement=run.disagreement)


def sweep_key(jobs: Sequence[Job]) -> str:
    """Digest that sweeps over the same runs share: 16 hexadecimal digits."""
    return sha256(" ".join(sorted(job.tags["key"] for job in jobs)).encode()).hexdigest()[:16]
