"""Mean-field theory of signals at initialization in wide nets (Poole et al. 2016; Schoenholz et al. 2017).

In an affine layer with independent weights of variance v and fan-in n, z of one example is Gaussian with mean b, the
bias, and variance σ_w² q + σ_b², where σ_w² = n v and q is the mean of a² in the layer below. Over this z, by layer,

    q' = E f(z)²            chi = σ_w² E f'(z)²            E delta² = E f'(z)² · m v' · E delta'²

where m is the number of units above and v' the variance of their weights. With he weights, relu has q' = q and chi = 1;
a linear net has q' = σ_w² q. A residual connection h + s f(z) gives q + s² E f(z)² + 2 s E h E f(z), and the gradient's
square below it is 1 + s² m v E f'² times as large. As in both papers, gradients are assumed independent of the weights
that they pass through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, log, nan
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.diagnostics.quadrature import normal_mean
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model

CRITICAL = 1e-6  # chi closer to 1 than this is taken for 1
STEPS = 200
VANISHED, EXPLODED = 1e-14, 1e14  # variances beyond which a fixed point is 0 or none

PerExample = Float64[Tensor, "R B"]
Back = Callable[[PerExample], PerExample]  # E grad² above a layer -> below it


class Expected(NamedTuple):
    """Expectations for a layer [R]: q, the mean of a², and chi, or None without an activation; E delta².

    E delta² is relative to that of the output layer.
    """

    q: PerReplicaTensor | None
    chi: PerReplicaTensor | None
    delta: PerReplicaTensor


class FixedPoint(NamedTuple):
    """The variance of z that further layers leave unchanged, chi there, and the depth scale.

    `depth` is -1/log chi, the number of layers over which a small signal or gradient shrinks by a factor e (Schoenholz
    et al. 2017, eq. 9 and section 5): inf where chi is 1, None where it is larger.
    """

    variance: float
    chi: float
    depth: float | None


class _NoTheoryError(Exception):
    """Raised for a layer that the theory does not cover."""


class _Signal(NamedTuple):
    """Signal in the forward pass: means over units of its square and of itself; σ_w² and name of an affine layer."""

    q: PerExample
    mean: PerExample
    weight: PerExample | None = None
    name: str = ""


@dataclass
class _Walk:
    """Forward and backward propagation of expectations, which collects q, chi and E delta² by layer."""

    schemes: Sequence[Scheme]
    q: dict[str, PerExample] = field(default_factory=dict)
    chi: dict[str, PerExample] = field(default_factory=dict)
    delta: dict[str, PerExample] = field(default_factory=dict)

    def through(self, layers: Sequence[Layer], signal: _Signal) -> tuple[_Signal, Back]:
        """Return the signal above these layers, and the function that propagates E grad² down through them.

        Raises _NoTheoryError for a layer that the theory does not cover.
        """
        backs: list[Back] = []
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
            backs.append(back)

        def down(above: PerExample) -> PerExample:
            for back in reversed(backs):
                above = back(above)
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
    """Propagate through dropout, which leaves a share 1/factor of the numbers and multiplies these by `factor`."""
    return _Signal(signal.q * factor, signal.mean), lambda above: above * factor


def _moments(f: Activation, z: Tensor, constants: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return f(z)², f'(z)² and f(z)."""
    a = f.forward(z, *constants)
    slope = f.derivative(z, a, *constants)
    return a.square(), slope.square(), a


def expected(
    model: Model, schemes: Sequence[Scheme], x: Tensor, output_delta: PerExample | None = None
) -> dict[str, Expected]:
    """Compute the expectations by layer for replicas with these initialization schemes, on a batch x [R, B, I].

    `output_delta` [R, B] is the output layer's mean of delta² by example, by default the same for all. Empty for
    normalized, highway and maxout layers, which the theory does not cover. NaN for replicas whose weights are constant,
    scaled on data, or not identically distributed.
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
    """Find the fixed point of each layer as wide as the one below it; None where the variance of z diverges.

    Empty unless the net consists of affine layers and activations alone, with random weights, as the theory assumes.
    """
    plain = all(isinstance(layer, Dense | Activate) for layer in model.layers)
    if not plain or not scheme.weights.is_random:
        return {}
    points: dict[str, FixedPoint | None] = {}
    for below, layer in pairwise(model.layers):
        if isinstance(below, Dense) and isinstance(layer, Activate) and below.fan_in == below.fan_out:
            f, fan_in = layer.activation, below.fan_in
            activation = replace(f, constants={key: {**f.constants, **scheme.constants}[key] for key in f.constants})
            weight = fan_in * scheme.weights.std(fan_in, fan_in) ** 2
            spread = scheme.bias.spread**2 / (3 * fan_in)
            points[layer.name] = fixed_point(activation, weight, scheme.bias.value, spread)
    return points


def fixed_point(
    activation: Activation, weight: float, bias_mean: float = 0.0, bias_variance: float = 0.0
) -> FixedPoint | None:
    """Find the fixed point of Var z, from 1 on, for layers of equal width with σ_w² = `weight`; None if it diverges.

    Steffensen's iteration where steps shrink, as plain iteration converges only like 1/depth at criticality.
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
