"""What diagnostics read: one training step, as forward and backward left it on the device.

delta is that of one example, B times what the pass holds: the 1/B of the mean over the batch is not in it, so that it
is the lecture's delta, and batches of different sizes compare.
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
class ObservedStep:
    """Step number `step`, counted from 1, on inputs x: parameters before (`flat` [R, P]) and after it, its gradients.

    The signals are looked for when they are asked for, and what it holds is overwritten by the next step.
    """

    step: int
    x: Units
    flat: Tensor
    params: Params
    grads: Params
    see: Callable[[], Mapping[str, Signal]]

    @cached_property
    def before(self) -> Params:
        """The parameters that the step began with."""
        return self.params.with_flat(self.flat)

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """By layer, in forward order."""
        return self.see()

    @cached_property
    def weight_norms(self) -> dict[str, PerReplicaTensor]:
        """Norms of W before the step, by layer and over all."""
        return norms(self.before, WEIGHTS)

    @property
    def units(self) -> dict[str, Signal]:
        """The layers whose units have an a."""
        return {name: signal for name, signal in self.signals.items() if signal.a is not None}


Quantity = Callable[[ObservedStep], Mapping[str, PerReplicaTensor]]


@dataclass(frozen=True)
class OfGradients:
    """A quantity that reads the gradients alone: for these, a step needs no recorder."""

    of: Callable[[Params], Mapping[str, PerReplicaTensor]]

    def __call__(self, seen: ObservedStep) -> Mapping[str, PerReplicaTensor]:
        """By layer, as every quantity."""
        return self.of(seen.grads)


def moments(values: Units) -> tuple[PerReplicaTensor, PerReplicaTensor]:
    """Means over B and U of the values and of their squares, float64: those of 1e-30 do not underflow."""
    flat = values.flatten(1).double()
    return flat.mean(1), flat.square().mean(1)


def norms(arrays: Params, kinds: tuple[str, ...] = PRODUCT) -> dict[str, PerReplicaTensor]:
    """Euclidean norm by layer of its own product's W and b, or of those of `kinds`, and of these of all layers.

    Gains and shifts of normalizations, and gates, whose names have a second dot, belong to none.
    """
    own = _places(arrays.layout, kinds)
    layers = {layer: _joined([norm(arrays.rows[place]) for place in own[layer]]) for layer in own}
    return {**layers, "all": _joined(list(layers.values()))}


def _joined(lengths: list[PerReplicaTensor]) -> PerReplicaTensor:
    """The norm of what has these norms."""
    return norm(torch.stack(lengths, 1)) if len(lengths) > 1 else lengths[0]


@lru_cache(maxsize=64)
def _places(layout: Layout, kinds: tuple[str, ...]) -> dict[str, list[int]]:
    """By layer, the places in the storage of what is of these kinds."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(layout.slots):
        if name.removeprefix(layer_of(name)) in kinds:
            places[layer_of(name)].append(place)
    return dict(sorted(places.items()))


def signals_of(model: Model, recorder: Recorder) -> dict[str, Signal]:
    """The signals of a recorded pass, in forward order; gates, whose names have a dot, are left out."""
    units = {name: (z, a) for name, z, a in model.activity(recorder.tape)}
    bounds = {one.name: one.activation.bounds for one in model.units(recorder.tape)}
    found: dict[str, Signal] = {}
    for weight, product in model.preactivations(recorder.tape):
        name = weight.removesuffix(WEIGHT_SUFFIX)
        if "." not in name and name in recorder.deltas:
            z, a = units.get(name, (product, None))
            found[name] = Signal(z, a, recorder.deltas[name], bounds.get(name, (-inf, inf)))
    return found


def observed_step(
    model: Model, step: int, x: Units, flat: Tensor, params: Params, grads: Params, recorder: Recorder
) -> ObservedStep:
    """The snapshot of a recorded step; `flat` are the parameters before it."""
    return ObservedStep(step, x, flat, params, grads, partial(signals_of, model, recorder))
