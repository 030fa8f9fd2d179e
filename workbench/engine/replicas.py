"""Packs: replicas that train together, with their settings and data."""

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
    """A pack: replica r is initialized from `seeds[r]` by `schemes[r]`; its other settings are row r of tensors [R].

    `keys` seed its noise, and `clip_norm` is the largest norm of its gradient (None for no clipping). Replicas with the
    same text in `bodies` have the same body after pretraining as a language model. All tensors of the pack have `dtype`
    and `device`.
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
    bodies: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.seeds)

    @cached_property
    def keys(self) -> Keys:
        """A 32-bit number for each replica's noise, from its seed."""
        keys = [stream_seed(seed, "noise", bits=32) for seed in self.seeds]
        return torch.tensor(keys, dtype=torch.int64, device=self.device)

    def mode(self, step: int | Int64[Tensor, ""]) -> Mode:
        """Make the mode of a training pass at this step, from 0; a tensor is read on the device only."""
        return Mode(training=True, keys=step_keys(self.keys, step) if self.objective.is_noisy else None)

    def learning_rates(self, start: int, stop: int, total: int) -> Float[Tensor, "T R"]:
        """Return every replica's learning rate at the steps start:stop out of `total`."""
        factors = self.schedule.table(start, stop, total).to(self.device, self.dtype)
        return factors * self.optimizer.lr

    def apply(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        """Clip the gradients and take an optimizer step with learning rates `lr`; overwrites `state` and `params`."""
        if self.clip_norm is not None:
            grads = clip_by_norm(grads, self.clip_norm)
        self.optimizer.update(grads, state, params, lr)

    def initial_params(self) -> Params:
        """Draw every replica's initial parameters: the same bits in any pack."""
        model = self.objective.model
        pairs = list(zip(self.seeds, self.schemes, strict=True))
        rows = [model.init(seed, scheme) for seed, scheme in pairs]
        buffers = [model.buffers(scheme) for _, scheme in pairs]
        for position, scheme in enumerate(self.schemes):
            if scheme.weights.unit_variance:
                to_unit_variance(model, rows[position], buffers[position], self.data.first_examples(position))
        return Params.stack(rows, self.dtype, self.device, buffers)

    def select(self, positions: Sequence[int]) -> "Pack":
        """Make the pack of the replicas at these positions."""
        index = torch.tensor(positions, dtype=torch.int64, device=self.device)
        rows: Pack = select_rows(self, index)
        return replace(
            rows,
            seeds=tuple(self.seeds[position] for position in positions),
            schemes=tuple(self.schemes[position] for position in positions),
            data=self.data.select(index),
            bodies=tuple(self.bodies[position] for position in positions if self.bodies),
        )


def select_rows(record: Any, index: Tensor) -> Any:
    """Index each [R] tensor of a dataclass and of the settings inside it; a pack's data are left out."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            chosen[name] = value[index]
        elif isinstance(value, Objective | Optimizer | Schedule | Pretraining):
            chosen[name] = select_rows(value, index)
    return replace(record, **chosen)
