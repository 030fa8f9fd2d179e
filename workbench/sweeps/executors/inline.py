"""Packs trained one after the other in this process."""

from collections.abc import Sequence

from workbench.sweeps.executors.base import Ends, Executor, OnProgress, PackTask, Worker
from workbench.tracking.base import Sink


class Inline(Executor):
    """The executor of ``hydra/launcher=packed``."""

    def run(self, tasks: Sequence[PackTask], sink: Sink, on_progress: OnProgress) -> Ends:
        worker = Worker(sink)
        for task in tasks:
            yield task, worker.do(task, on_progress)
