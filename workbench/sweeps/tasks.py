"""Which packs are to be trained of a sweep's jobs: those that were left, then new ones."""

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
    """The packs that were left first, then those of all other jobs that are to be trained."""
    checkpoints = Checkpoints.of(sink.store, sink.experiment_id, jobs[0].spec.config.sweep)
    keys = [job.tags["key"] for job in jobs]
    packs = checkpoints.packs(keys, done, sink.unfinished) if checkpoints else []
    known = {*done, *(position for pack in packs for position in pack)}
    rest = [position for position in range(len(jobs)) if position not in known]
    fresh = group([jobs[position].spec for position in rest], parallel, total)
    packs += [tuple(rest[place] for place in pack) for pack in fresh]
    return [
        PackTask(pack, tuple(jobs[position] for position in pack), pruning, checkpoints, frozenset(done))
        for pack in packs
    ]
