"""A pack that trains step by step, in the engine, and begins again from the same initial weights."""

from collections.abc import Iterator, Sequence

from workbench.config.prepare import build_pack
from workbench.config.schema import RunSpec
from workbench.diagnostics.plan import OFF
from workbench.engine.epoch_plan import Batch
from workbench.engine.train import Trainer

LAST = 10**6  # epochs that a schedule would end with; the page has constant rates


class Training:
    """A pack in training: `steps` counts its steps since the initial weights."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.specs = specs
        self.trainer = Trainer(build_pack(specs), specs[0].config.train.batch_size, OFF)
        self._start = self.trainer.snapshot().copied()
        self.rewind()

    def rewind(self) -> None:
        """Return to the initial weights, with the orders of examples as at first."""
        self.trainer.restore(self._start)
        self.steps = 0
        self._batches: Iterator[Batch] = iter(())

    def step(self) -> None:
        """Take the next step of every replica: the step that the trainer of a sweep would take."""
        batch = next(self._batches, None)
        if batch is None:
            trainer = self.trainer
            plan = trainer.epoch_plan(self.steps // trainer.steps_per_epoch + 1, LAST)
            self._batches = plan.batches(trainer.pack.data, trainer.sizes)
            batch = next(self._batches)
        self.trainer.take_step(batch)
        self.steps += 1

    @property
    def epochs(self) -> int:
        """Epochs begun so far, at least 1."""
        return max(1, -(-self.steps // self.trainer.steps_per_epoch))
