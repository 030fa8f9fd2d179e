"""Optimizers: pure settings, per-replica values as tensors [R], state passed in and out.

With g = dJ/dθ, t the step from 1, and every operation elementwise:

| name | update | source |
|---|---|---|
| sgd | v ← momentum·v + g,  θ ← θ - lr·v | Sutskever et al. 2013 in PyTorch's form |
| nesterov | v as above,  θ ← θ - lr (g + momentum·v) | the same |
| rmsprop | s ← decay·s + (1 - decay) g²,  θ ← θ - lr·g/(√s + eps) | Tieleman and Hinton 2012 |
| adagrad | s ← s + g²,  θ ← θ - lr·g/(√s + eps) | Duchi et al. 2011 |
| adam | m ← β₁m + (1 - β₁) g,  s ← β₂s + (1 - β₂) g²,  θ ← θ - lr·m̂/(√ŝ + eps) | Kingma and Ba 2015 |
| adamw | adam on C alone, and W ← W - lr·λ·W | Loshchilov and Hutter 2019 |

m̂ = m/(1 - β₁ᵗ), ŝ = s/(1 - β₂ᵗ). Except for adamw, λ = weight_decay is part of J and so of g.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.core.axes import (
    FractionPerReplica,
    NonNegativePerReplica,
    PerReplicaTensor,
    PositivePerReplica,
    per_replica,
)
from workbench.nn.params import Params
from workbench.nn.vector_norm import share_within

State = dict[str, Tensor]


class Optimizer(ABC):
    """Update rule for parameters, in place.

    `lr` and `weight_decay` (λ, on weights only) are [R]. With `decoupled`, the optimizer applies λ itself and J has no
    penalty.
    """

    lr: Tensor
    weight_decay: Tensor
    decoupled: bool

    @abstractmethod
    def init(self, params: Params) -> State:
        """Make the state before the first step: tensors with axis R first."""

    @abstractmethod
    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        """Take a step of every replica with learning rates `lr` [R]; overwrites `state` and `params`."""


def clip_by_norm(grads: Params, max_norm: PerReplicaTensor) -> Params:
    """Scale down each replica's gradient to the Euclidean norm `max_norm` [R] where it is longer."""
    return grads.with_flat(grads.flat * per_replica(share_within(grads.flat, max_norm), grads.flat))


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in the form of Nesterov with `nesterov`."""

    lr: Tensor
    momentum: Tensor
    weight_decay: Tensor
    nesterov: bool = False
    decoupled: bool = False

    def init(self, params: Params) -> State:
        """Make the velocity v = 0, needed only where some replica has momentum."""
        return {"velocity": torch.zeros_like(params.trained)} if bool((self.momentum > 0).any()) else {}

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        step = grads.flat
        if "velocity" in state:
            momentum = per_replica(self.momentum, step)
            velocity = torch.addcmul(step, state["velocity"], momentum, out=state["velocity"])
            step = torch.addcmul(step, velocity, momentum) if self.nesterov else velocity
        params.trained.addcmul_(step, per_replica(lr.neg(), step))


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Steps divided by a running root mean square of each gradient."""

    lr: Tensor
    decay: Tensor
    eps: Tensor
    weight_decay: Tensor
    decoupled: bool = False

    def init(self, params: Params) -> State:
        """Make the running mean of squares s = 0."""
        return {"square": torch.zeros_like(params.trained)}

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        g = grads.flat
        decay, eps, scale = (per_replica(value, g) for value in (self.decay, self.eps, lr.neg()))
        square = state["square"].mul_(decay).addcmul_(g * (1 - decay), g)
        params.trained.addcmul_(g, square.sqrt().add_(eps).reciprocal_().mul_(scale))


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squares of each gradient."""

    lr: Tensor
    eps: Tensor
    weight_decay: Tensor
    decoupled: bool = False

    def init(self, params: Params) -> State:
        """Make the sum of squares s = 0."""
        return {"square": torch.zeros_like(params.trained)}

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        g = grads.flat
        square = state["square"].addcmul_(g, g)
        scale = square.sqrt().add_(per_replica(self.eps, g)).reciprocal_().mul_(per_replica(lr.neg(), g))
        params.trained.addcmul_(g, scale)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments; `decoupled` is adamw."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    weight_decay: Tensor
    decoupled: bool = False

    def init(self, params: Params) -> State:
        """Make both moments 0, and the powers β₁ᵗ and β₂ᵗ [R] at t = 0."""
        zeros, ones = torch.zeros_like(params.trained), torch.ones_like(self.lr)
        return {"mean": zeros, "square": zeros.clone(), "power1": ones, "power2": ones.clone()}

    def update(self, grads: Params, state: State, params: Params, lr: PerReplicaTensor) -> None:
        g = grads.flat
        beta1, beta2, eps = (per_replica(value, g) for value in (self.beta1, self.beta2, self.eps))
        if self.decoupled:
            params.weights.mul_(per_replica(1 - lr * self.weight_decay, g))
        mean = state["mean"].lerp_(g, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(g * (1 - beta2), g)
        correction1 = 1 - state["power1"].mul_(self.beta1)
        correction2 = 1 - state["power2"].mul_(self.beta2)
        root = square.sqrt().mul_(per_replica(correction2.rsqrt_(), g)).add_(eps)
        params.trained.addcmul_(mean / root, per_replica(lr.neg() / correction1, g))


def sgd(
    lr: PositivePerReplica, momentum: FractionPerReplica, weight_decay: NonNegativePerReplica, nesterov: bool = False
) -> Optimizer:
    """SGD; momentum 0 is the lecture's plain gradient descent on minibatches."""
    return SGD(lr, momentum, weight_decay, nesterov)


def rmsprop(
    lr: PositivePerReplica, decay: FractionPerReplica, eps: PositivePerReplica, weight_decay: NonNegativePerReplica
) -> Optimizer:
    """RMSProp without momentum; `decay` is torch's alpha."""
    return RMSProp(lr, decay, eps, weight_decay)


def adagrad(lr: PositivePerReplica, eps: PositivePerReplica, weight_decay: NonNegativePerReplica) -> Optimizer:
    """Adagrad without decay of the learning rate."""
    return Adagrad(lr, eps, weight_decay)


def adam(
    lr: PositivePerReplica,
    beta1: FractionPerReplica,
    beta2: FractionPerReplica,
    eps: PositivePerReplica,
    weight_decay: NonNegativePerReplica,
    decoupled: bool = False,
) -> Optimizer:
    """Adam with λ in J, whose gradient it rescales, or with `decoupled` weight decay (adamw)."""
    return Adam(lr, beta1, beta2, eps, weight_decay, decoupled)
