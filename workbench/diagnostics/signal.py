"""What theory expects of signals at initialization in wide nets (Poole et al. 2016; Schoenholz et al. 2017).

An affine layer of independent weights of variance v and fan-in n makes z of one example Gaussian around the bias b with
variance σ_w² q + σ_b², where σ_w² = n v and q is the mean of a² in the layer below. So over that z, layer by layer,

    q' = E f(z)²            chi = σ_w² E f'(z)²            E delta² = E f'(z)² · m v' · E delta'²

where m is the number of units above and v' the variance of their weights. Under he weights relu has q' = q and chi = 1;
a linear net q' = σ_w² q. A residual connection h + s f(z) gives q + s² E f(z)² + 2 s E h E f(z), and below it the
gradient's square is 1 + s² m v E f'² times as large. That a gradient does not depend on the weights it passes is an
assumption here, as it is theirs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, log, nan
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from workbench.core.axes import PerReplicaTensor, Units
from workbench.diagnostics.quadrature import normal_mean
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model

CRITICAL = 1e-6  # chi closer to 1 than this is 1
STEPS = 200
VANISHED, EXPLODED = 1e-14, 1e14  # variances beyond which a fixed point is 0 or none

PerExample = Float64[Tensor, "R B"]
Back = Callable[[PerExample], PerExample]  # E grad² above a layer -> below it


class Expected(NamedTuple):
    """Of a layer [R]: mean of a² and chi, where it has an activation; E delta² as a multiple of the output layer's."""

    q: PerReplicaTensor | None
    chi: PerReplicaTensor | None
    delta: PerReplicaTensor


class FixedPoint(NamedTuple):
    """The variance of z that no further layer changes, chi there, and the depth scale.

    `depth` is -1/log chi, the layers in which a small signal or gradient shrinks by e (Schoenholz et al. 2017, eq. 9
    and section 5): inf where chi is 1, None where it is above.
    """

    variance: float
    chi: float
    depth: float | None


class _NoTheoryError(Exception):
    """A layer of which the theory says nothing."""


class _Signal(NamedTuple):
    """On the way up: means over units of the signal's square and of itself; after an affine layer σ_w² and its name."""

    q: PerExample
    mean: PerExample
    weight: PerExample | None = None
    name: str = ""


@dataclass
class _Walk:
    """Goes up through layers, and leaves a way back; what it learns of each layer is kept by name."""

    schemes: Sequence[Scheme]
    q: dict[str, PerExample] = field(default_factory=dict)
    chi: dict[str, PerExample] = field(default_factory=dict)
    delta: dict[str, PerExample] = field(default_factory=dict)

    def through(self, layers: Sequence[Layer], signal: _Signal) -> tuple[_Signal, Back]:
        """The signal above these layers, and the way back down."""
        ways: list[Back] = []
        for layer in layers:
            if isinstance(layer, Dense):
                signal, back = self._dense(layer, signal)
            elif isinstance(layer, Activate):
                signal, back = self._activate(layer, signal)
            elif isinstance(layer, Residual):
                signal, back = self._residual(layer, signal)
            elif isinstance(layer, Dropout):
                signal, back = _scaled(signal, 1 / (1 - layer.rate))
            else:
                raise _NoTheoryError
            ways.append(back)

        def down(above: PerExample) -> PerExample:
            for way in reversed(ways):
                above = way(above)
            return above

        return signal, down

    def _column(self, values: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=like.device).unsqueeze(1)

    def _dense(self, layer: Dense, signal: _Signal) -> tuple[_Signal, Back]:
        schemes, sizes = self.schemes, (layer.fan_in, layer.fan_out)
        v = self._column([scheme.weights.std(*sizes) ** 2 for scheme in schemes], signal.q)
        b = self._column([scheme.bias.value for scheme in schemes], signal.q)
        spread = self._column([scheme.bias.spread**2 / (3 * layer.fan_in) for scheme in schemes], signal.q)
        q = layer.fan_in * v * signal.q + spread + b.square()

        def back(above: PerExample) -> PerExample:
            self.delta.setdefault(layer.name, above)
            return above * (layer.fan_out * v)

        return _Signal(q, b.expand_as(q), layer.fan_in * v, layer.name), back

    def _activate(self, layer: Activate, signal: _Signal) -> tuple[_Signal, Back]:
        f, schemes = layer.activation, self.schemes
        constants = [
            self._column([{**f.constants, **scheme.constants}[key] for scheme in schemes], signal.q)[..., None]
            for key in f.constants
        ]
        variance = signal.q - signal.mean.square()
        square, slope, mean = normal_mean(
            lambda z: _moments(f, z, constants), signal.mean, variance, [*f.kinks, *f.bends]
        )
        self.q[layer.name] = square
        if signal.weight is not None and signal.name == layer.name:
            self.chi[layer.name] = signal.weight * slope

        def back(above: PerExample) -> PerExample:
            self.delta[layer.name] = above * slope
            return above * slope

        return _Signal(square, mean), back

    def _residual(self, layer: Residual, signal: _Signal) -> tuple[_Signal, Back]:
        inner = layer.inner.layers if isinstance(layer.inner, Model) else (layer.inner,)
        above, within = self.through(inner, signal)
        s = layer.scale
        q = signal.q + s**2 * above.q + 2 * s * signal.mean * above.mean
        return _Signal(q, signal.mean + s * above.mean), lambda grad: grad + within(grad * s**2)


def _scaled(signal: _Signal, factor: float) -> tuple[_Signal, Back]:
    """Numbers kept by dropout are `factor` times as large and 1/factor times as many."""
    return _Signal(signal.q * factor, signal.mean), lambda above: above * factor


def _moments(f: Activation, z: Tensor, constants: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """f(z)², f'(z)² and f(z)."""
    a = f.forward(z, *constants)
    slope = f.derivative(z, a, *constants)
    return a.square(), slope.square(), a


def expected(
    model: Model, schemes: Sequence[Scheme], x: Units, output_delta: PerExample | None = None
) -> dict[str, Expected]:
    """By layer, for replicas that start by these schemes, on a batch x.

    `output_delta` is the mean of delta² of the output layer for each example; left out, it is the same for all. Empty
    where the theory says nothing: for normalized, highway and maxout layers. NaN of replicas whose weights are no
    draws, made from data or drawn unevenly.
    """
    walk = _Walk(schemes)
    try:
        signal, back = walk.through(model.layers, _Signal(x.double().square().mean(2), x.double().mean(2)))
    except _NoTheoryError:
        return {}
    above = torch.ones_like(signal.q) if output_delta is None else output_delta.double()
    back(above)
    known = torch.tensor([1.0 if scheme.weights.is_random else nan for scheme in schemes], device=x.device)
    return {
        name: Expected(
            walk.q[name].mean(1) * known if name in walk.q else None,
            walk.chi[name].mean(1) * known if name in walk.chi else None,
            delta.mean(1) / above.mean(1) * known,
        )
        for name, delta in sorted(walk.delta.items(), key=lambda item: (len(item[0]), item[0]))
    }


def fixed_points(model: Model, scheme: Scheme) -> dict[str, FixedPoint | None]:
    """By layer as wide as the one below it, where a deep net of such layers leads, or None where signals grow for ever.

    Empty where the theory says nothing: it speaks of plain nets of affine layers and activations with random weights.
    """
    plain = all(isinstance(layer, Dense | Activate) for layer in model.layers)
    if not plain or not scheme.weights.is_random:
        return {}
    found: dict[str, FixedPoint | None] = {}
    for below, layer in pairwise(model.layers):
        if isinstance(below, Dense) and isinstance(layer, Activate) and below.fan_in == below.fan_out:
            f, fan_in = layer.activation, below.fan_in
            activation = replace(f, constants={key: {**f.constants, **scheme.constants}[key] for key in f.constants})
            weight = fan_in * scheme.weights.std(fan_in, fan_in) ** 2
            spread = scheme.bias.spread**2 / (3 * fan_in)
            found[layer.name] = fixed_point(activation, weight, scheme.bias.value, spread)
    return found


def fixed_point(
    activation: Activation, weight: float, bias_mean: float = 0.0, bias_variance: float = 0.0
) -> FixedPoint | None:
    """Where layers of equal width with σ_w² = `weight` lead from Var z = 1 on; None where it grows for ever.

    Where steps shrink, by Steffensen's iteration: at criticality the plain one comes nearer like 1/depth.
    """
    constants = [torch.tensor(value, dtype=torch.float64) for value in activation.constants.values()]

    def means(variance: float) -> tuple[float, float]:
        center, spread = (torch.tensor([[value]], dtype=torch.float64) for value in (bias_mean, variance))
        kinks = [*activation.kinks, *activation.bends]
        square, slope, _ = normal_mean(lambda z: _moments(activation, z, constants), center, spread, kinks)
        return weight * float(square) + bias_variance, weight * float(slope)

    variance = 1.0
    for _ in range(STEPS):
        first = means(variance)[0]
        second = means(first)[0]
        before, variance = variance, second
        if abs(second - first) < abs(first - before):
            variance = max(0.0, before - (first - before) ** 2 / (second - 2 * first + before))
        if variance > EXPLODED:
            return None
        if variance < VANISHED or abs(variance - before) <= 1e-13 * variance:
            break
    chi = means(variance)[1]
    if abs(chi - 1) < CRITICAL:
        return FixedPoint(variance, 1.0, inf)
    return FixedPoint(variance, chi, -1 / log(chi) if 0 < chi < 1 else (0.0 if chi == 0 else None))
