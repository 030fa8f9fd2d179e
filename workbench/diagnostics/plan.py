"""Which diagnostics a run keeps, and at which of its steps: the options of ``conf/diagnostics``.

A *moment* is a step whose quantities are kept. Steps are counted from 1. At ``epochs``, moments are the last steps of
every k-th epoch; at ``steps``, every k-th step; ``geometric`` are the steps 1, 2^k, 4^k, .... The last step is one in
any case, and with tables so is the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from annotated_types import Gt, Lt

from workbench.axes import PositiveInt
from workbench.diagnostics.quantities import grad_norm
from workbench.diagnostics.snapshot import OfGradients, Quantity

At = Literal["epochs", "steps", "geometric"]
Share = Annotated[float, Gt(0), Lt(1)]

MOST_THINNING = 2**20


@dataclass(frozen=True)
class Diagnostics:
    """`quantities` by name, rates of `units` after each epoch, and whether `tables` are kept; when, and at what price.

    `budget` is the share of the time that all may take, by leaving out moments; None leaves out none.
    """

    quantities: Mapping[str, Quantity] = field(default_factory=lambda: {"grad_norm": grad_norm()})
    units: bool = True
    tables: bool = False
    at: At = "epochs"
    every: int = 1
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
        period = self.every * (epoch_length if self.at == "epochs" else 1)
        return {period * number: number for number in range(start // period + 1, stop // period + 1)}

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
    budget: Share | None = None,
) -> Diagnostics:
    """The diagnostics of a run; without quantities, units and tables there are none."""
    return Diagnostics(quantities, units, tables, at, every, budget)


def stride_for(budget: float | None, moments: float, fixed: float, rest: float) -> int:
    """The smallest power of two so that keeping every so many-th moment stays within the budget.

    All scheduled moments together would take `moments` seconds; rates of units, tables and what is spent take `fixed`,
    training and measuring `rest`. With x seconds for moments, the share is (x + fixed)/(x + fixed + rest).
    """
    if budget is None:
        return 1
    room = budget / (1 - budget) * rest - fixed
    stride = 1
    while stride < MOST_THINNING and moments / stride > max(room, 0):
        stride *= 2
    return stride
