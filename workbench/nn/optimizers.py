"""Optimizers: pure settings, per-replica values as tensors [R], state passed in and out.

| name | update |
|---|---|
| sgd | v ← momentum·v + dJ/dθ,  θ ← θ - lr·v   (Sutskever et al. 2013 in PyTorch's form) |
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from workbench.axes import (
    FractionPerReplica,
    NonNegativePerReplica,
    PerReplicaTensor,
    PositivePerReplica,
    per_replica,
)
from workbench.nn.params import Params

State = dict[str, Tensor]


@runtime_checkable
class Optimizer(Protocol):
    """Turns gradients of J into new parameters, in place.

    `lr` and `weight_decay` (the λ of J, on weights only) are [R].
    """

    @property
    def lr(self) -> Tensor: ...

    @property
    def weight_decay(self) -> Tensor: ...

    def init(self, params: Params) -> State:
        """State before the first step: tensors with axis R first."""

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        """One step of every replica; overwrites `state` and `params`."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: PositivePerReplica
    momentum: FractionPerReplica
    weight_decay: NonNegativePerReplica

    def init(self, params: Params) -> State:
        """The velocity v = 0, kept only where some replica has momentum."""
        return {"velocity": params.flat.new_zeros(params.flat.shape)} if bool((self.momentum > 0).any()) else {}

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        step = grads.flat
        if "velocity" in state:
            step = state["velocity"].mul_(per_replica(self.momentum, step)).add_(step)
        params.flat.addcmul_(step, per_replica(lr.neg(), step))


def sgd(lr: PositivePerReplica, momentum: FractionPerReplica, weight_decay: NonNegativePerReplica) -> Optimizer:
    """SGD; momentum 0 is the lecture's plain gradient descent on minibatches."""
    return SGD(lr, momentum, weight_decay)
