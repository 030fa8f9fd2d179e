"""An epoch laid out before it is trained: the order of its examples and the learning rate of each step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.axes import Outputs, PerReplicaTensor, Units
from workbench.data.batches import PackData


def batch_sizes(examples: int, size: int, least: int = 1) -> list[int]:
    """The sizes of an epoch's batches: `size` each, and what is left at the end.

    Where that is fewer than the `least` that a training pass needs, it joins the batch before it.
    """
    whole, rest = divmod(examples, size)
    if rest < least and whole:
        return [size] * (whole - 1) + [size + rest]
    return [size] * whole + [rest]


@dataclass(frozen=True)
class Batch:
    """What one step needs: its number counted from 0 over the whole training, learning rates, rows of examples."""

    number: int
    lr: PerReplicaTensor
    rows: Int64[Tensor, "R B"]
    data: PackData

    @cached_property
    def examples(self) -> tuple[Units, Outputs]:
        """Inputs and targets, read once."""
        return self.data.batch(self.rows)

    @property
    def x(self) -> Units:
        """Inputs."""
        return self.examples[0]

    @property
    def y(self) -> Outputs:
        """Targets."""
        return self.examples[1]


@dataclass(frozen=True)
class Plan:
    """The epoch that begins with step `start`; `rows` are the examples of each replica, `lrs` its learning rates."""

    start: int
    rows: Int64[Tensor, "R N"]
    lrs: Float[Tensor, "T R"]

    def batches(self, data: PackData, sizes: int | Sequence[int]) -> Iterator[Batch]:
        """The steps in order, of batches of these sizes; of one size, the last may be smaller."""
        for index, rows in enumerate(torch.split(self.rows, sizes if isinstance(sizes, int) else list(sizes), dim=1)):
            yield Batch(self.start + index, self.lrs[index], rows, data)

    def select(self, index: Int64[Tensor, " K"]) -> "Plan":
        """The same epoch for some of the replicas."""
        return Plan(self.start, self.rows[index], self.lrs[:, index])
