"""A run's logged numbers for the rules of `diagnose`: series by quantity and layer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from workbench.tracking.stored_run import saturates


class LoggedRun(Protocol):
    """A run to diagnose: `history` is name -> [(step, value)]."""

    @property
    def name(self) -> str:
        """Name, which says how it differs from the other runs of its sweep."""

    @property
    def outcome(self) -> str:
        """Outcome, as logged."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags."""

    @property
    def params(self) -> Mapping[str, str]:
        """Configuration, flat."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last value of every metric."""

    @property
    def history(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Series of every metric."""


@dataclass(frozen=True)
class RunSeries:
    """The series of a run, by quantity and layer."""

    run: LoggedRun

    def values(self, name: str) -> list[float]:
        """Values of a metric in the order of steps."""
        return [value for _, value in self.run.history.get(name, ())]

    def layers(self, quantity: str) -> list[str]:
        """Layers that have this quantity, in their order."""
        names = (name.partition("/") for name, rows in self.run.history.items() if rows)
        return in_order(layer for kind, _, layer in names if kind == quantity and layer != "all")

    def since(self, name: str, least: float) -> int:
        """First step from which on a metric never fell below `least` again."""
        first = 0
        for step, value in reversed(self.run.history[name]):
            if value < least:
                break
            first = step
        return first

    def early(self, name: str) -> float:
        """Median of a metric over the first quarter of its rows, at least five."""
        values = self.values(name)
        return median(values[: max(5, len(values) // 4)])

    @property
    def saturates(self) -> bool:
        """Whether the hidden units are bounded on both sides; one-sided units may have f' = 0 for half of z."""
        return saturates(self.run.params)


def in_order(layers: Iterable[str]) -> list[str]:
    """Each layer once, by its number."""
    return sorted({*layers}, key=lambda layer: (len(layer), layer))


def typical(values: Iterable[float]) -> float:
    """Median of the values; 0 for none."""
    known = list(values)
    return median(known) if known else 0.0
