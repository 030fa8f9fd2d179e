"""What diagnostics read: one training step, as forward and backward left it on the device.

delta is that of one example, B times what the pass holds: the 1/B of the mean over the batch is not in it, so that it
is the lecture's delta, and batches of different sizes compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf, prod

import torch
from torch import Tensor

from workbench.axes import PerReplicaTensor, Units
from workbench.nn.model import Model
from workbench.nn.params import WEIGHT_SUFFIX, Params, Watch, layer_of


@dataclass(frozen=True)
class Signal:
    """z, a = f(z) and delta = dC/dz of a layer on a batch, each [R, B, U]; no a where there is no activation.

    `bounds` are those of f. `delta` is as the pass holds it, with the 1/B.
    """

    z: Units
    a: Units | None
    delta: Units
    bounds: tuple[float, float] = (-inf, inf)

    @cached_property
    def a_moments(self) -> tuple[PerReplicaTensor, PerReplicaTensor]:
        """Means of a and of a² over examples and units, in double precision."""
        assert self.a is not None
        return moments(self.a)

    @cached_property
    def delta_moments(self) -> tuple[PerReplicaTensor, PerReplicaTensor]:
        """Means of delta and of delta² over examples and units, in double precision."""
        mean, square = moments(self.delta)
        examples = self.delta.shape[1]
        return mean * examples, square * examples**2


@dataclass(frozen=True)
class Snapshot:
    """Step number `step`, counted from 1, on inputs x: parameters before and after it, its gradients and signals.

    The signals are looked for when they are asked for, and what it holds is overwritten by the next step.
    """

    step: int
    x: Units
    before: Params
    params: Params
    grads: Params
    see: Callable[[], Mapping[str, Signal]]

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """By layer, in forward order."""
        return self.see()

    @cached_property
    def weight_norms(self) -> dict[str, PerReplicaTensor]:
        """Norms of W before the step, by layer and over all."""
        return norms(self.before, WEIGHT_SUFFIX)

    @property
    def units(self) -> dict[str, Signal]:
        """The layers whose units have an a."""
        return {name: signal for name, signal in self.signals.items() if signal.a is not None}


Quantity = Callable[[Snapshot], Mapping[str, PerReplicaTensor]]


def moments(values: Units) -> tuple[PerReplicaTensor, PerReplicaTensor]:
    """Means over B and U of the values and of their squares, float64: those of 1e-30 do not underflow."""
    flat = values.flatten(1).double()
    return flat.mean(1), flat.square().mean(1)


def norms(arrays: Params, ending: str = "") -> dict[str, PerReplicaTensor]:
    """Euclidean norm by layer of what belongs to it and has a name of this ending, and ``all``."""
    squares: dict[str, PerReplicaTensor] = {}
    of_all = arrays.flat.double().square()
    for name, (start, shape) in arrays.layout.slots.items():
        if not name.endswith(ending):
            continue
        layer, square = layer_of(name), of_all[:, start : start + prod(shape)].sum(1)
        squares[layer] = squares[layer] + square if layer in squares else square
    squares = dict(sorted(squares.items()))
    table = torch.stack(list(squares.values()))
    return dict(zip([*squares, "all"], torch.cat([table, table.sum(0, keepdim=True)]).sqrt_(), strict=True))


def signals_of(model: Model, watch: Watch) -> dict[str, Signal]:
    """The signals of a watched pass, in forward order; gates, whose names have a dot, are left out."""
    units = {name: (z, a) for name, z, a in model.activity(watch.tape)}
    bounds = {one.name: one.activation.bounds for one in model.units(watch.tape)}
    found: dict[str, Signal] = {}
    for weight, product in model.preactivations(watch.tape):
        name = weight.removesuffix(WEIGHT_SUFFIX)
        if "." not in name and name in watch.deltas:
            z, a = units.get(name, (product, None))
            found[name] = Signal(z, a, watch.deltas[name], bounds.get(name, (-inf, inf)))
    return found


def snapshot_of(model: Model, step: int, x: Units, before: Tensor, params: Params, grads: Params) -> Snapshot:
    """What a step left whose gradients have a watch; `before` are the parameters [R, P] it began with."""
    assert grads.watch is not None
    return Snapshot(step, x, params.with_flat(before), params, grads, partial(signals_of, model, grads.watch))
