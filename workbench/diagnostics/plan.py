"""Schedule of diagnostics: which quantities a run records, and at which steps; the options of ``conf/diagnostics``.

A *moment* is a step whose quantities are recorded. Steps are counted from 1. With ``epochs``, moments are the last
steps of every k-th epoch; with ``steps``, every k-th step; with ``geometric``, the steps 1, 2^k, 4^k, .... The last
step is always a moment, and with tables the first one too. Where epochs are short, moments and counts of units at the
ends of epochs are `spacing` steps apart or more, as each takes as long as some steps, however small the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from annotated_types import Gt, Lt

from workbench.core.axes import PositiveInt
from workbench.diagnostics.observed_step import OfGradients, Quantity
from workbench.diagnostics.quantities import grad_norm

At = Literal["epochs", "steps", "geometric"]
Share = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True)
class Diagnostics:
    """Settings: `quantities` by name, and whether rates of `units` and `tables` are recorded; `at` and `every` k.

    `budget` is the largest share of the run's time for diagnostics; moments are skipped to meet it, none for None.
    """

    quantities: Mapping[str, Quantity] = field(default_factory=lambda: {"grad_norm": grad_norm()})
    units: bool = True
    tables: bool = False
    at: At = "epochs"
    every: int = 1
    spacing: int = 1
    budget: float | None = None

    @cached_property
    def of_gradients(self) -> Mapping[str, OfGradients] | None:
        """The quantities, if all of them read only gradients and there are no tables; else None."""
        chosen = {name: quantity for name, quantity in self.quantities.items() if isinstance(quantity, OfGradients)}
        return chosen if len(chosen) == len(self.quantities) and not self.tables else None

    def scheduled(self, start: int, stop: int, epoch_length: int) -> dict[int, int]:
        """Scheduled steps after `start` up to `stop`: step -> its number among all scheduled steps."""
        if self.at == "geometric":
            powers = range(0, stop.bit_length(), self.every)
            return {1 << power: power // self.every for power in powers if start < 1 << power <= stop}
        period = self._epochs_apart(self.every, epoch_length) * epoch_length if self.at == "epochs" else self.every
        return {period * number: number for number in range(start // period + 1, stop // period + 1)}

    def _epochs_apart(self, every: int, epoch_length: int) -> int:
        """Least multiple of `every` epochs that is `spacing` steps or longer."""
        return every * -(-self.spacing // (every * epoch_length))

    def counts_units(self, epoch: int, epochs: int, epoch_length: int) -> bool:
        """Whether units are counted at the end of an epoch; 0 is the beginning of training."""
        return self.units and (epoch == epochs or epoch % self._epochs_apart(1, epoch_length) == 0)

    def unit_counts(self, start: int, stop: int, epoch_length: int) -> int:
        """Number of counts of units after epoch `start` up to the last epoch, `stop`."""
        if not self.units or start == stop:
            return 0
        apart = self._epochs_apart(1, epoch_length)
        return -(-stop // apart) - start // apart

    def looks(self, epochs: int, epoch_length: int) -> tuple[int, int]:
        """Number of counts of units in a whole training, and the largest number of moments."""
        steps = epochs * epoch_length
        moments = self.scheduled(0, steps, epoch_length).keys() | {steps} | ({1} if self.tables else set())
        return self.units + self.unit_counts(0, epochs, epoch_length), len(moments)

    def most_inside(self, epochs: int, epoch_length: int) -> int:
        """Largest number of moments that do not end an epoch."""
        steps = epochs * epoch_length
        most = {"epochs": 0, "steps": steps // self.every, "geometric": -(-steps.bit_length() // self.every)}
        return most[self.at] + self.tables


LIGHT = Diagnostics()
OFF = Diagnostics({}, units=False)


def diagnostics(
    quantities: Mapping[str, Quantity],
    units: bool = True,
    tables: bool = False,
    at: At = "epochs",
    every: PositiveInt = 1,
    spacing: PositiveInt = 1,
    budget: Share | None = None,
) -> Diagnostics:
    """Diagnostics of a run; `at`, `every` and `spacing` set the moments, `budget` their largest share of the time."""
    return Diagnostics(quantities, units, tables, at, every, spacing, budget)


def stride_for(budget: float | None, moment: float, count: int, fixed: float, training: float) -> int:
    """Return the smallest power of two n for which recording every n-th moment stays within the budget.

    Times are seconds: `moment` for each of `count` scheduled moments, `fixed` for all other diagnostics and what was
    spent, `training` for training and measuring. With x for moments, the share is (x + fixed)/(x + fixed + training).
    Where no stride suffices, it exceeds `count`, which leaves no moment.
    """
    if budget is None:
        return 1
    room = budget / (1 - budget) * training - fixed
    stride = 1
    while stride <= count and moment * count / stride > room:
        stride *= 2
    return stride
