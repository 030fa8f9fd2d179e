"""The plan of an epoch, made before it is trained: order of the examples and learning rate of each step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.axes import Outputs, PerReplicaTensor, Units
from workbench.data.batches import PackData


def batch_sizes(examples: int, size: int, least: int = 1) -> list[int]:
    """Return the sizes of an epoch's batches: `size` each, and a smaller last one.

    A last batch smaller than `least`, which a training pass needs, is joined to the batch before it.
    """
    whole, remainder = divmod(examples, size)
    if remainder < least and whole:
        return [size] * (whole - 1) + [size + remainder]
    return [size] * whole + [remainder]


@dataclass(frozen=True)
class Batch:
    """Input of a step: its number from 0 over the whole training, learning rates [R], and rows of its examples."""

    number: int
    lr: PerReplicaTensor
    rows: Int64[Tensor, "R B"]
    data: PackData

    @cached_property
    def examples(self) -> tuple[Units, Outputs]:
        """Inputs [R, B, I] and targets [R, B, K], cached."""
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
    """Plan of the epoch that begins with step `start`: each replica's rows of examples and learning rates by step."""

    start: int
    rows: Int64[Tensor, "R N"]
    lrs: Float[Tensor, "T R"]

    def batches(self, data: PackData, sizes: int | Sequence[int]) -> Iterator[Batch]:
        """Yield the steps' batches in order, with these sizes; of a single size, the last batch may be smaller."""
        for index, rows in enumerate(torch.split(self.rows, sizes if isinstance(sizes, int) else list(sizes), dim=1)):
            yield Batch(self.start + index, self.lrs[index], rows, data)

    def select(self, index: Int64[Tensor, " K"]) -> "Plan":
        """Select the replicas at `index`."""
        return Plan(self.start, self.rows[index], self.lrs[:, index])
