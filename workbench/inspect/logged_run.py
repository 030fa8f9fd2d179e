"""What a run logged on its way, as findings read it: series by quantity and layer, and what is known of its units."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Protocol

from workbench.config.instantiate import call, option, options


class LoggedRun(Protocol):
    """What is needed of a run: `history` is name -> [(step, value)]."""

    @property
    def name(self) -> str:
        """What differs from the other runs of its sweep."""

    @property
    def outcome(self) -> str:
        """How it ended."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What is said of it."""

    @property
    def params(self) -> Mapping[str, str]:
        """Its configuration, flat."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its last numbers."""

    @property
    def history(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Its series."""


@dataclass(frozen=True)
class Course:
    """A run's series."""

    run: LoggedRun

    def values(self, name: str) -> list[float]:
        """The values of a metric in the order of steps."""
        return [value for _, value in self.run.history.get(name, ())]

    def layers(self, quantity: str) -> list[str]:
        """The layers that have this quantity, the first first."""
        names = (name.partition("/") for name, rows in self.run.history.items() if rows)
        return in_order(layer for kind, _, layer in names if kind == quantity and layer != "all")

    def since(self, name: str, least: float) -> int:
        """The step from which on a metric was never below `least` again."""
        first = 0
        for step, value in reversed(self.run.history[name]):
            if value < least:
                break
            first = step
        return first

    def early(self, name: str) -> float:
        """The median of a metric over the first quarter of its rows, five at least."""
        values = self.values(name)
        return median(values[: max(5, len(values) // 4)])

    @property
    def saturates(self) -> bool:
        """Whether the hidden units are bounded on both sides: where f' vanishes at one side only, half of them may."""
        name = self.run.params.get("activation", "")
        if name not in options("activation"):
            return False
        activation = call("activation", option("activation", name))
        return all(map(isfinite, activation.bounds))


def in_order(layers: Iterable[str]) -> list[str]:
    """Each layer once, by its number."""
    return sorted({*layers}, key=lambda layer: (len(layer), layer))


def typical(values: Iterable[float]) -> float:
    """The median of learning rates and the like; 0 for none."""
    known = list(values)
    return median(known) if known else 0.0
