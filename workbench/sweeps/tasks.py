"""The packs to train of a sweep's jobs: those that were left by gone processes, then new ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workbench.runs.train_pack import Job, Result
from workbench.sweeps.checkpoints import Checkpoints
from workbench.sweeps.executors.base import PackTask
from workbench.sweeps.packing import group
from workbench.sweeps.pruning import Pruning

if TYPE_CHECKING:
    from workbench.tracking.mlflow_sink import MlflowSink


def make_tasks(
    jobs: Sequence[Job],
    sink: "MlflowSink",
    parallel: int,
    pruning: Pruning | None,
    done: Mapping[int, Result],
    total: int,
) -> list[PackTask]:
    """Make tasks of the packs that were left, then of packs of all other jobs that are to be trained."""
    checkpoints = Checkpoints.of(sink.store, sink.experiment_id, jobs[0].spec.config.sweep)
    keys = [job.tags["key"] for job in jobs]
    packs = checkpoints.packs(keys, done, sink.unfinished) if checkpoints else []
    assigned = {*done, *(position for pack in packs for position in pack)}
    unassigned = [position for position in range(len(jobs)) if position not in assigned]
    fresh = group([jobs[position].spec for position in unassigned], parallel, total)
    packs += [tuple(unassigned[index] for index in pack) for pack in fresh]
    return [
        PackTask(pack, tuple(jobs[position] for position in pack), pruning, checkpoints, frozenset(done))
        for pack in packs
    ]
