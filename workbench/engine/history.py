"""Training history: per-replica metrics at recorded steps, on the host."""

from dataclasses import dataclass, field
from math import isfinite


@dataclass(frozen=True)
class Divergence:
    """A replica whose loss became non-finite.

    `step` counts optimizer steps from 1; 0 is the initial state. `quantity` (z, a, loss, delta, gradient, parameters)
    of `layer` became non-finite first; both are empty where repeating the epoch does not reproduce it.
    """

    replica: int
    step: int
    layer: str = ""
    quantity: str = ""


@dataclass(frozen=True)
class Record:
    """Metrics of the replicas still training after `step` optimizer steps: name -> one number per entry of `replicas`.

    `time_ms` is the wall clock in milliseconds since 1970. `diverged` are the replicas that this record drops.
    """

    step: int
    epoch: int
    time_ms: int
    replicas: tuple[int, ...]
    metrics: dict[str, list[float]]
    diverged: tuple[Divergence, ...] = ()

    def of(self, position: int) -> dict[str, float]:
        """Return the finite metrics of the replica at `position` in `replicas`."""
        return {name: row[position] for name, row in self.metrics.items() if isfinite(row[position])}


@dataclass
class History:
    """Records of a pack, in order."""

    records: list[Record] = field(default_factory=list)

    def series(self, name: str, replica: int) -> tuple[list[int], list[float]]:
        """Return (steps, values) of a replica's metric, over the records that contain it."""
        steps, values = [], []
        for record in self.records:
            if name in record.metrics and replica in record.replicas:
                steps.append(record.step)
                values.append(record.metrics[name][record.replicas.index(replica)])
        return steps, values

    @property
    def diverged(self) -> dict[int, Divergence]:
        """Divergences by replica."""
        return {divergence.replica: divergence for record in self.records for divergence in record.diverged}
