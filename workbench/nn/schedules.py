"""Schedules: the factor on each replica's learning rate at each optimizer step, as tables [T, R].

With t the step from 0 and n the number of steps in all:

| name | factor |
|---|---|
| constant | 1 |
| step | factor^⌊t/every⌋ |
| cosine | floor + (1 - floor)(1 + cos(π t/n))/2, Loshchilov and Hutter 2017 without restarts |
| inverse_time | 1/(1 + rate·t), Robbins and Monro 1951 |
| warmup | min(1, (t + 1)/steps) times the schedule `then`, Goyal et al. 2017 |
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float64
from torch import Tensor

from workbench.core.axes import PER_REPLICA, NonNegativePerReplica, PositiveInt, PositivePerReplica

Steps = Float64[Tensor, "T 1"]
Factors = Float64[Tensor, "T _"]
ShareOfLr = Annotated[Tensor, PER_REPLICA, Interval(ge=0, le=1)]


class Schedule(ABC):
    """Factors on the learning rate over the steps of a training; settings [R] give each replica its own column."""

    @abstractmethod
    def factors(self, t: Steps, total: int) -> Factors:
        """Return the factors at steps `t` out of `total`: [T, R], or [T, 1] where all replicas share them."""

    def table(self, start: int, stop: int, total: int) -> Factors:
        """Return the factors at the steps start:stop out of `total`."""
        return self.factors(torch.arange(start, stop, dtype=torch.float64).unsqueeze(1), total)


@dataclass(frozen=True)
class Constant(Schedule):
    """Factor 1 throughout."""

    def factors(self, t: Steps, total: int) -> Factors:
        return torch.ones_like(t)


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplied by `factor` [R] after every `every` steps."""

    every: int
    factor: Tensor

    def factors(self, t: Steps, total: int) -> Factors:
        steps = (t / self.every).floor()
        factors = self.factor.double().cpu().unbind()
        return torch.cat([factor**steps for factor in factors], 1)  # each alone, for the same bits in any pack


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `floor` [R]."""

    floor: Tensor

    def factors(self, t: Steps, total: int) -> Factors:
        low = self.floor.double().cpu()
        return low + (1 - low) * (1 + torch.cos(pi * t / total)) / 2


@dataclass(frozen=True)
class InverseTime(Schedule):
    """1/(1 + rate·t) with `rate` [R]."""

    rate: Tensor

    def factors(self, t: Steps, total: int) -> Factors:
        return 1 / (1 + self.rate.double().cpu() * t)


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear rise over the first `steps` steps on top of another schedule."""

    steps: int
    then: Schedule

    def factors(self, t: Steps, total: int) -> Factors:
        return ((t + 1) / self.steps).clamp(max=1) * self.then.factors(t, total)


def constant() -> Schedule:
    """Leave the learning rate unchanged."""
    return Constant()


def step(every: PositiveInt, factor: PositivePerReplica) -> Schedule:
    """Multiply the learning rate by `factor` after every `every` optimizer steps."""
    return Step(every, factor)


def cosine(floor: ShareOfLr) -> Schedule:
    """Lower the learning rate to `floor` times its value, along half a cosine over the whole training."""
    return Cosine(floor)


def inverse_time(rate: NonNegativePerReplica) -> Schedule:
    """1/t decay: the learning rate is halved after 1/rate optimizer steps."""
    return InverseTime(rate)


def warmup(steps: PositiveInt, then: Schedule) -> Schedule:
    """A linear rise over the first `steps` optimizer steps, on top of the schedule `then`."""
    return Warmup(steps, then)
