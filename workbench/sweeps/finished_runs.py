"""What of a sweep is done already, by run key: the same command again trains only what is left."""

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


def find_finished(jobs: Sequence[Job], kept: Mapping[str, ReusableRun], rerun: Rerun) -> FinishedRuns:
    """Sort jobs by what is kept of them.

    ``missing`` trains what was never ended (nor is a run that a search gave up), ``failed`` also what failed or was
    interrupted, ``all`` everything.
    """
    results: dict[int, Result] = {}
    superseded = []
    for position, job in enumerate(jobs):
        found = kept.get(job.tags["key"])
        if found is None or rerun is Rerun["all"]:
            continue
        if found.is_done or (rerun is Rerun["missing"] and found.outcome is not Outcome.pruned):
            error = "" if found.is_done else "kept from before; sweep.rerun=failed tries it again"
            results[position] = as_result(job, found, error)
        else:
            superseded.append(found.id)
    to_train = tuple(position for position in range(len(jobs)) if position not in results)
    return FinishedRuns(to_train, results, tuple(superseded))


def as_result(job: Job, kept: ReusableRun, error: str = "") -> Result:
    """What a store knows of a job's run, as its result."""
    return Result(job, kept.id, kept.outcome, dict(kept.metrics), error=error, disagreement=kept.disagreement)


def sweep_key(jobs: Sequence[Job]) -> str:
    """What two sweeps over the same runs share: 16 hexadecimal digits."""
    return sha256(" ".join(sorted(job.tags["key"] for job in jobs)).encode()).hexdigest()[:16]
