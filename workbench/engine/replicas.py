"""A pack: the replicas that train together, and everything they share."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.axes import Keys, PerReplicaTensor
from workbench.core.seeds import stream_seed
from workbench.data.batches import PackData
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import Mode
from workbench.nn.layers.dropout import step_keys
from workbench.nn.lsuv import to_unit_variance
from workbench.nn.objective import Objective
from workbench.nn.optimizers import Optimizer, State, clip_by_norm
from workbench.nn.params import Params
from workbench.nn.pretraining import NO_PRETRAINING, Pretraining
from workbench.nn.schedules import Schedule, constant

CONSTANT = constant()


@dataclass(frozen=True)
class Pack:
    """Replica r starts from `seeds[r]` by `schemes[r]`; what else it has for itself is row r of the tensors [R].

    `keys` choose its noise, and `clip_norm` is where its gradient is cut (None where none is). `dtype` and `device` are
    those of every tensor in the pack.
    """

    objective: Objective
    optimizer: Optimizer
    seeds: tuple[int, ...]
    schemes: tuple[Scheme, ...]
    data: PackData
    dtype: torch.dtype
    device: torch.device
    schedule: Schedule = CONSTANT
    clip_norm: Tensor | None = None
    pretraining: Pretraining = NO_PRETRAINING

    def __len__(self) -> int:
        return len(self.seeds)

    @cached_property
    def keys(self) -> Keys:
        """A number of 32 bits for each replica's noise."""
        keys = [stream_seed(seed, "noise", bits=32) for seed in self.seeds]
        return torch.tensor(keys, dtype=torch.int64, device=self.device)

    def mode(self, step: int | Int64[Tensor, ""]) -> Mode:
        """A training pass at this step, counted from 0; as a tensor, it is read on the device."""
        return Mode(training=True, keys=step_keys(self.keys, step) if self.objective.model.is_noisy else None)

    def learning_rates(self, start: int, stop: int, total: int) -> Float[Tensor, "T R"]:
        """Every replica's learning rate at the steps start:stop out of `total`."""
        factors = self.schedule.table(start, stop, total).to(self.device, self.dtype)
        return factors * self.optimizer.lr

    def apply(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        """Turn gradients, cut to their norm first, into new parameters; overwrites `state` and `params`."""
        if self.clip_norm is not None:
            grads = clip_by_norm(grads, self.clip_norm)
        self.optimizer.update(grads, state, params, lr)

    def initial_params(self) -> Params:
        """Every replica's own initial parameters: the same bits in any pack."""
        model = self.objective.model
        pairs = list(zip(self.seeds, self.schemes, strict=True))
        rows = [model.init(seed, scheme) for seed, scheme in pairs]
        buffers = [model.buffers(scheme) for _, scheme in pairs]
        for position, scheme in enumerate(self.schemes):
            if scheme.weights.unit_variance:
                to_unit_variance(model, rows[position], buffers[position], self.data.first_examples(position))
        return Params.stack(rows, self.dtype, self.device, buffers)

    def select(self, keep: Sequence[int]) -> "Pack":
        """The pack of the replicas at the positions `keep`."""
        index = torch.tensor(keep, dtype=torch.int64, device=self.device)
        rows: Pack = select_rows(self, index)
        return replace(
            rows,
            seeds=tuple(self.seeds[position] for position in keep),
            schemes=tuple(self.schemes[position] for position in keep),
            data=self.data.select(index),
        )


def select_rows(record: Any, index: Tensor) -> Any:
    """A dataclass with each of its [R] tensors indexed, in the records it holds too; a pack's data are left out."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            chosen[name] = value[index]
        elif isinstance(value, Objective | Optimizer | Schedule | Pretraining):
            chosen[name] = select_rows(value, index)
    return replace(record, **chosen)
