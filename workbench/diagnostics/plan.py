"""Which diagnostics a run keeps, and at which of its steps: the options of ``conf/diagnostics``.

A *moment* is a step whose quantities are kept. Steps are counted from 1. At ``epochs``, moments are the last steps of
every k-th epoch; at ``steps``, every k-th step; ``geometric`` are the steps 1, 2^k, 4^k, .... The last step is one in
any case, and with tables so is the first. Where epochs are short, looks at the ends of epochs, at quantities as at
units, lie `spacing` steps apart or more: each takes as long as some steps, however small the data.
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
    """`quantities` by name, rates of `units` after epochs, and whether `tables` are kept; when, and at what price.

    `budget` is the share of the time that all may take, by leaving out moments; None leaves out none.
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
        """The quantities, where the gradients of a step are all that they read; else None."""
        own = {name: one for name, one in self.quantities.items() if isinstance(one, OfGradients)}
        return own if len(own) == len(self.quantities) and not self.tables else None

    def scheduled(self, start: int, stop: int, epoch_length: int) -> dict[int, int]:
        """The steps after `start` up to `stop` that it asks for, each with its number among all that it asks for."""
        if self.at == "geometric":
            powers = range(0, stop.bit_length(), self.every)
            return {1 << power: power // self.every for power in powers if start < 1 << power <= stop}
        period = self._epochs_apart(self.every, epoch_length) * epoch_length if self.at == "epochs" else self.every
        return {period * number: number for number in range(start // period + 1, stop // period + 1)}

    def _epochs_apart(self, every: int, epoch_length: int) -> int:
        """The least multiple of `every` epochs that is `spacing` steps or longer."""
        return every * -(-self.spacing // (every * epoch_length))

    def counts_units(self, epoch: int, epochs: int, epoch_length: int) -> bool:
        """Whether units are counted at the end of an epoch; 0 is the beginning of training."""
        return self.units and (epoch == epochs or epoch % self._epochs_apart(1, epoch_length) == 0)

    def unit_counts(self, start: int, stop: int, epoch_length: int) -> int:
        """How often that is after epoch `start` up to the last, which is epoch `stop`."""
        if not self.units or start == stop:
            return 0
        apart = self._epochs_apart(1, epoch_length)
        return -(-stop // apart) - start // apart

    def looks(self, epochs: int, epoch_length: int) -> tuple[int, int]:
        """How often units are counted in a whole training, and how many moments it has at most."""
        steps = epochs * epoch_length
        moments = self.scheduled(0, steps, epoch_length).keys() | {steps} | ({1} if self.tables else set())
        return self.units + self.unit_counts(0, epochs, epoch_length), len(moments)

    def most_inside(self, epochs: int, epoch_length: int) -> int:
        """How many moments that do not end an epoch there may be."""
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
    """The diagnostics of a run; without quantities, units and tables there are none."""
    return Diagnostics(quantities, units, tables, at, every, spacing, budget)


def stride_for(budget: float | None, moment: float, count: int, fixed: float, rest: float) -> int:
    """The smallest power of two so that keeping every so many-th moment stays within the budget.

    Each of `count` scheduled moments would take `moment` seconds; rates of units, tables and what is spent take
    `fixed`, training and measuring `rest`. With x seconds for moments, the share is (x + fixed)/(x + fixed + rest).
    Where no stride does it, one above `count` leaves none.
    """
    if budget is None:
        return 1
    room = budget / (1 - budget) * rest - fixed
    stride = 1
    while stride <= count and moment * count / stride > room:
        stride *= 2
    return stride
