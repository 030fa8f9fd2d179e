"""A pack: the replicas that train together, and everything they share."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from workbench.data.batches import PackData
from workbench.nn.initializers import Scheme
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer
from workbench.nn.params import Params


@dataclass(frozen=True)
class Pack:
    """Replica r starts from `seeds[r]` by `schemes[r]`; its lr, momentum and weight_decay are row r of the optimizer's.

    `dtype` and `device` are those of every tensor in it.
    """

    objective: Objective
    optimizer: Optimizer
    seeds: tuple[int, ...]
    schemes: tuple[Scheme, ...]
    data: PackData
    dtype: torch.dtype
    device: torch.device

    def __len__(self) -> int:
        return len(self.seeds)

    def initial_params(self) -> Params:
        """Every replica's own initial parameters: the same bits in any pack."""
        pairs = zip(self.seeds, self.schemes, strict=True)
        rows = [self.objective.model.init(seed, scheme) for seed, scheme in pairs]
        return Params.stack(rows, self.dtype, self.device)

    def select(self, keep: Sequence[int]) -> "Pack":
        """The pack of the replicas at the positions `keep`."""
        index = torch.tensor(keep, dtype=torch.int64, device=self.device)
        return replace(
            self,
            objective=select_rows(self.objective, index),
            optimizer=select_rows(self.optimizer, index),
            seeds=tuple(self.seeds[position] for position in keep),
            schemes=tuple(self.schemes[position] for position in keep),
            data=self.data.select(index),
        )


def select_rows(record: Any, index: Tensor) -> Any:
    """A dataclass with each of its [R] tensors indexed; other fields as they are."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return replace(
        record,
        **{name: value[index] for name, value in values.items() if isinstance(value, Tensor)},
    )
