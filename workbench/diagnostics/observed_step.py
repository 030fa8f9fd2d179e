"""The input of diagnostics: a training step's tensors on the device, as its forward and backward pass left them.

Quantities report delta per example, B times the delta of the pass, without the 1/B of the mean over the batch: this is
the lecture's delta, and comparable between batch sizes.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import inf

import torch
from torch import Tensor

from workbench.core.axes import PerReplicaTensor, Units
from workbench.nn.layers.base import Recorder
from workbench.nn.model import Model
from workbench.nn.params import WEIGHT_SUFFIX, Layout, Params, layer_of
from workbench.nn.vector_norm import norm

WEIGHTS, PRODUCT = (WEIGHT_SUFFIX,), (WEIGHT_SUFFIX, ".b")


@dataclass(frozen=True)
class Signal:
    """z, a = f(z) and delta = dC/dz of a layer on a batch, each [R, B·P, U]; `a` is None without an activation.

    `bounds` are the bounds of f. `delta` is the delta of the pass, with the 1/B; `examples` is B. Means are over
    examples and, where a layer has units at positions, over positions.
    """

    z: Units
    a: Units | None
    delta: Units
    examples: int
    bounds: tuple[float, float] = (-inf, inf)

    @cached_property
    def a_moments(self) -> tuple[PerReplicaTensor, PerReplicaTensor]:
        """Means [R] of a and of a² over examples and units, in double precision."""
        assert self.a is not None
        return moments(self.a)

    @cached_property
    def delta_moments(self) -> tuple[PerReplicaTensor, PerReplicaTensor]:
        """Means [R] of delta and of delta² over examples and units, without the 1/B, in double precision."""
        mean, square = moments(self.delta)
        return mean * self.examples, square * self.examples**2


@dataclass(frozen=True)
class ObservedStep:
    """Step number `step`, from 1, on inputs x: parameters before (`flat` [R, P]) and after it (`params`), gradients.

    `see` computes the signals, once they are read. The next step overwrites the tensors.
    """

    step: int
    x: Tensor
    flat: Tensor
    params: Params
    grads: Params
    see: Callable[[], Mapping[str, Signal]]

    @cached_property
    def before(self) -> Params:
        """Parameters before the step."""
        return self.params.with_flat(self.flat)

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """Signals by layer, in forward order."""
        return self.see()

    @cached_property
    def weight_norms(self) -> dict[str, PerReplicaTensor]:
        """Euclidean norms [R] of W before the step, by layer and over ``all``."""
        return norms(self.before, WEIGHTS)

    @property
    def units(self) -> dict[str, Signal]:
        """Signals of the layers that have an activation, by layer."""
        return {name: signal for name, signal in self.signals.items() if signal.a is not None}


Quantity = Callable[[ObservedStep], Mapping[str, PerReplicaTensor]]


@dataclass(frozen=True)
class OfGradients:
    """A quantity of the gradients alone, for which a step needs no recorder."""

    of: Callable[[Params], Mapping[str, PerReplicaTensor]]

    def __call__(self, seen: ObservedStep) -> Mapping[str, PerReplicaTensor]:
        """Compute the quantity [R] by layer."""
        return self.of(seen.grads)


def moments(values: Units) -> tuple[PerReplicaTensor, PerReplicaTensor]:
    """Compute means [R] over B and U of the values and of their squares, in float64, where squares of 1e-30 fit."""
    flat = values.flatten(1).double()
    return flat.mean(1), flat.square().mean(1)


def norms(arrays: Params, kinds: tuple[str, ...] = PRODUCT) -> dict[str, PerReplicaTensor]:
    """Compute the Euclidean norm [R] of W and b, or of the parameters `kinds`, by layer and over ``all`` layers.

    Gains and shifts of normalizations, and gates, whose names have a second dot, are left out.
    """
    indices = _indices(arrays.layout, kinds)
    layers = {layer: _joined([norm(arrays.rows[index]) for index in indices[layer]]) for layer in indices}
    return {**layers, "all": _joined(list(layers.values()))}


def _joined(lengths: list[PerReplicaTensor]) -> PerReplicaTensor:
    """Combine the norms of parts to the norm of the whole."""
    return norm(torch.stack(lengths, 1)) if len(lengths) > 1 else lengths[0]


@lru_cache(maxsize=64)
def _indices(layout: Layout, kinds: tuple[str, ...]) -> dict[str, list[int]]:
    """Find the indices into `Params.rows` of the parameters of these kinds, by layer."""
    indices: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(layout.slots):
        if name.removeprefix(layer_of(name)) in kinds:
            indices[layer_of(name)].append(index)
    return dict(sorted(indices.items()))


def signals_of(model: Model, recorder: Recorder, examples: int) -> dict[str, Signal]:
    """Collect the signals of a recorded pass of B = `examples`, in forward order.

    Gates, whose names have a dot, are left out.
    """
    units = {name: (z, a) for name, z, a in model.activity(recorder.tape)}
    bounds = {tape.name: tape.activation.bounds for tape in model.units(recorder.tape)}
    signals: dict[str, Signal] = {}
    for weight, product in model.preactivations(recorder.tape):
        name = weight.removesuffix(WEIGHT_SUFFIX)
        if "." not in name and name in recorder.deltas:
            z, a = units.get(name, (product, None))
            signals[name] = Signal(z, a, recorder.deltas[name], examples, bounds.get(name, (-inf, inf)))
    return signals


def observed_step(
    model: Model, step: int, x: Tensor, flat: Tensor, params: Params, grads: Params, recorder: Recorder
) -> ObservedStep:
    """Make the ObservedStep of a recorded step; `flat` [R, P] are the parameters before it."""
    return ObservedStep(step, x, flat, params, grads, partial(signals_of, model, recorder, x.shape[1]))
