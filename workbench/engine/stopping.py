"""Early stopping: replicas whose validation loss has not improved for some epochs."""

from dataclasses import dataclass, field

from workbench.engine.history import Record

WATCHED = "valid/loss"


@dataclass
class Stopping:
    """Finds the replicas to stop: `patience` epochs have passed since their least validation loss.

    A replica is judged by its own losses alone, so that it stops at the same epoch alone and in any pack.
    """

    patience: int
    least: dict[int, tuple[float, int]] = field(default_factory=dict)  # by replica: the loss, and its epoch

    def exhausted(self, record: Record) -> list[int]:
        """Replicas of a record that have used up their patience; none where it does not end an epoch."""
        stopped = []
        for replica, loss in zip(record.replicas, record.metrics.get(WATCHED, ()), strict=False):
            if replica not in self.least or loss < self.least[replica][0]:
                self.least[replica] = loss, record.epoch
            elif record.epoch - self.least[replica][1] >= self.patience:
                stopped.append(replica)
        return stopped
