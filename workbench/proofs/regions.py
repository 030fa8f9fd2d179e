"""Linear regions of nets of piecewise linear units along a line: all breakpoints, and the affine functions between.

Along x(t) = start + t · direction every unit of such a net is affine between breakpoints in t. Layer by layer, an
affine map preserves the cells, a unit cuts a cell where its z crosses a kink, and maxout where its largest piece
changes. So a cell is described by a value and a slope, and breakpoints are roots of affine functions, without a search.

Axis C counts the cells. Rounding requires two rules: breakpoints closer than `MERGE` · max(1, |t|) are the same, and a
unit's breakpoint is one of the net only where an output's slope changes by more than `JUMP` of the largest slope.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from workbench.nn import activations
from workbench.nn.builders import maxout_mlp, mlp
from workbench.nn.initializers import Initializer, Scheme, constant, he, normal_noise, uniform_bias
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.maxout import Maxout
from workbench.nn.losses import binary_nll, softmax_nll
from workbench.nn.model import Model

MERGE, JUMP = 1e-12, 1e-12
ON_ENVELOPE = 1e-9  # tolerance, for rounding, of a crossing of two pieces below the largest piece
OUTPUTS = {"identity": torch.clone, "sigmoid": binary_nll().predict, "softmax": softmax_nll().predict}
Curve = Callable[[Tensor], Tensor]
Ts = Float[Tensor, " T"]


@dataclass(frozen=True)
class Pieces:
    """A piecewise affine curve: values[c] + slopes[c] (t - anchors[c]) for t from knots[c] to knots[c + 1].

    The first and the last knot may be infinite.
    """

    knots: Float[Tensor, " C+1"]
    values: Float[Tensor, "C U"]
    slopes: Float[Tensor, "C U"]

    @property
    def anchors(self) -> Float[Tensor, " C"]:
        """A point inside each cell: the midpoint of a bounded cell."""
        return _anchors(self.knots)

    def cell(self, t: Ts) -> Tensor:
        """Find the number of the cell that contains each t."""
        return torch.searchsorted(self.knots[1:-1].contiguous(), t)

    def at(self, t: Ts, cell: Tensor | None = None) -> Float[Tensor, "T U"]:
        """Evaluate the curve."""
        own = self.cell(t) if cell is None else cell
        return self.values[own] + self.slopes[own] * (t - self.anchors[own]).unsqueeze(1)

    def cut(self, steps: Float[Tensor, "... C U"]) -> "Pieces":
        """Refine the curve by knots at anchors + steps, where these are inside the anchor's cell."""
        roots = self.anchors.unsqueeze(1) + steps
        left, right = self.knots[:-1].unsqueeze(1), self.knots[1:].unsqueeze(1)
        inside = roots[(roots > left) & (roots < right - MERGE * roots.abs().clamp(min=1))]
        knots = torch.cat([self.knots[:-1], inside]).sort().values
        apart = knots.diff() > MERGE * knots[1:].abs().clamp(min=1)
        knots = torch.cat([knots[:1], knots[1:][apart], self.knots[-1:]])
        cell = self.cell(_anchors(knots))
        return Pieces(knots, self.at(_anchors(knots), cell), self.slopes[cell])


def _anchors(knots: Tensor) -> Tensor:
    left, right = knots[:-1], knots[1:]
    middle = torch.where(left.isinf(), right - right.abs().clamp(min=1), left + left.abs().clamp(min=1))
    middle = torch.where(left.isinf() | right.isinf(), middle, (left + right) / 2)
    return torch.where(left.isinf() & right.isinf(), torch.zeros_like(left), middle)


@dataclass(frozen=True)
class PiecewiseLinearNet:
    """A model of one replica, with parameters and buffers [1, ...] in float64."""

    model: Model
    params: Mapping[str, Tensor]

    @classmethod
    def drawn(cls, model: Model, seed: int, scheme: Scheme) -> "PiecewiseLinearNet":
        """Draw initial parameters by a scheme."""
        own = model.init(seed, scheme) | model.buffers(scheme)
        return cls(model, {name: value.double().unsqueeze(0) for name, value in own.items()})

    @classmethod
    def of(cls, model: Model, params: Mapping[str, Tensor], replica: int) -> "PiecewiseLinearNet":
        """Select one replica of a pack's parameters."""
        return cls(model, {name: value[replica : replica + 1].double().cpu() for name, value in params.items()})

    def curve(self, start: Tensor, direction: Tensor, output: str = "identity") -> Curve:
        """Return the function t [T] -> the net's outputs [T, K] on the line; `output` is their activation."""

        def values(t: Tensor) -> Tensor:
            x = (start + t.unsqueeze(1) * direction).unsqueeze(0)
            return OUTPUTS[output](self.model.forward(self.params, x)[0])[0]

        return values

    def pieces(self, start: Tensor, direction: Tensor, low: float = 0.0, high: float = 1.0) -> Pieces:
        """Compute the net on the line from t = low to t = high, with f' of every unit constant between its kinks.

        Raises TypeError for a layer other than affine ones, units, maxout and dropout.
        """
        knots = torch.tensor([low, high], dtype=torch.float64)
        pieces = Pieces(knots, (start + _anchors(knots) * direction).unsqueeze(0), direction.unsqueeze(0))
        for layer in self.model.layers:
            pieces = _through(layer, self.params, pieces)
        return pieces


def _through(layer: Layer, params: Mapping[str, Tensor], before: Pieces) -> Pieces:
    """Propagate through a layer; raises TypeError for one that is not affine, units, maxout or dropout."""
    match layer:
        case Dense():
            return _affine(layer, params, before)
        case Activate():
            kinks = torch.tensor([*layer.activation.kinks], dtype=torch.float64).view(-1, 1, 1)
            cut = before.cut((kinks - before.values) / before.slopes)
            a, tape = layer.forward(params, cut.values.unsqueeze(0))
            slope = layer.activation.derivative(tape.z, tape.a, *tape.constants)[0]
            return Pieces(cut.knots, a[0], slope * cut.slopes)
        case Maxout():
            z = _affine(layer.affine, params, before)
            cut = z.cut(_crossings(z, layer.pieces))
            values, winner = _by_piece(cut.values, layer.pieces).max(1, keepdim=True)
            slopes = _by_piece(cut.slopes, layer.pieces).gather(1, winner)
            return Pieces(cut.knots, values.squeeze(1), slopes.squeeze(1))
        case Dropout():
            return before
    raise TypeError(f"regions: layers must be affine, units, maxout or dropout, got {type(layer).__name__}")


def _affine(layer: Dense, params: Mapping[str, Tensor], before: Pieces) -> Pieces:
    z, _ = layer.forward(params, before.values.unsqueeze(0))
    return Pieces(before.knots, z[0], before.slopes @ params[f"{layer.name}.W"][0].T)


def _by_piece(z: Tensor, pieces: int) -> Float[Tensor, "C P O"]:
    return z.view(len(z), pieces, -1)


def _crossings(z: Pieces, pieces: int) -> Float[Tensor, "pairs C O"]:
    """Compute steps from anchors to where two pieces of a unit are equal and none is larger; else NaN or ±inf."""
    values, slopes = _by_piece(z.values, pieces), _by_piece(z.slopes, pieces)
    found = [torch.full_like(values[:, 0], inf)]
    for first, second in combinations(range(pieces), 2):
        step = (values[:, second] - values[:, first]) / (slopes[:, first] - slopes[:, second])
        there = values + slopes * step.unsqueeze(1)
        largest = there.max(1).values
        on_envelope = there[:, first] >= largest - ON_ENVELOPE * largest.abs().clamp(min=1)
        found.append(torch.where(on_envelope, step, inf))
    return torch.stack(found)


def breakpoints(pieces: Pieces) -> Float[Tensor, " K"]:
    """Return the knots where an output's slope changes by more than rounding."""
    jump = pieces.slopes.diff(dim=0).abs().amax(1)
    return pieces.knots[1:-1][jump > JUMP * pieces.slopes.abs().max()]


def count(pieces: Pieces) -> int:
    """Count the linear regions that the line meets."""
    return len(breakpoints(pieces)) + 1


def second_differences(curve: Curve, pieces: Pieces) -> Float[Tensor, " C"]:
    """Compute max over outputs of |y(m - h) - 2 y(m) + y(m + h)| / max |y| in each cell, m ± h being 0.8 of it apart.

    Zero for every function that is affine inside the cells.
    """
    middle, h = pieces.anchors, 0.4 * pieces.knots.diff()
    y = torch.stack([curve(middle - h), curve(middle), curve(middle + h)])
    return (y[0] - 2 * y[1] + y[2]).abs().amax(1) / y.abs().max()


def distances(curve: Curve, pieces: Pieces, points: int = 5) -> Float[Tensor, " C"]:
    """Compute max |y - pieces| / max |y| in each cell, over outputs and over `points` points, its ends included."""
    share = torch.linspace(0, 1, points, dtype=torch.float64)
    t = pieces.knots[:-1, None] + share * pieces.knots.diff().unsqueeze(1)
    cell = torch.arange(len(t)).repeat_interleave(points)
    y = curve(t.flatten())
    return (y - pieces.at(t.flatten(), cell)).abs().amax(1).view(len(t), points).amax(1) / y.abs().max()


def random_net(unit: str, seed: int) -> PiecewiseLinearNet:
    """Draw a net of 1 … 4 hidden layers of 2 … 16 units, 1 … 6 inputs and 3 outputs, with its parameters.

    `unit` is the name of an activation, or ``maxout``, with 2 … 4 pieces.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.integers(2, 17, rng.integers(1, 5)).tolist()
    n_in, pieces = int(rng.integers(1, 7)), int(rng.integers(2, 5))
    if unit == "maxout":
        model = maxout_mlp(hidden, pieces, n_in, 3)
    else:
        model = mlp(hidden, n_in, 3, getattr(activations, unit)())
    return PiecewiseLinearNet.drawn(model, seed, Scheme(he(), uniform_bias()))


def random_line(net: PiecewiseLinearNet, seed: int, length: float = 4.0) -> tuple[Tensor, Tensor]:
    """Draw start and direction of a segment, t from 0 to 1, with its middle near the origin."""
    size = next(net.model.products())[1]
    middle, direction = torch.randn(2, size, generator=Generator().manual_seed(seed), dtype=torch.float64)
    direction *= length / direction.norm()
    return middle - direction / 2, direction


def gaussian_relu_net(hidden: Sequence[int], seed: int) -> PiecewiseLinearNet:
    """Draw a relu net of one input and output with He's normal weights and standard normal biases (Kogan et al. 2025).

    Each unit of a wide net then crosses 0 once on average: z of layer l has variance q = 2t² + l and z' has variance
    2, so by Rice's formula the crossings are ∫ √(2q - (2t)²) / (π q) dt = ∫ √(2l) / (π (2t² + l)) dt = 1.
    """
    weights = Initializer(normal_noise, he().std, joint=_add_normal)
    return PiecewiseLinearNet.drawn(mlp([*hidden], 1, 1, activations.relu()), seed, Scheme(weights, constant()))


def _add_normal(stream: Generator, W: Tensor, b: Tensor) -> None:
    b += torch.randn(len(b), generator=stream, dtype=torch.float64)


def regions_of_the_input(net: PiecewiseLinearNet) -> int:
    """Count the linear regions of a net of one input on the whole real line."""
    return count(net.pieces(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), -inf, inf))


def sawtooth(depth: int) -> PiecewiseLinearNet:
    """Compose `depth` tents 2 relu(x) - 4 relu(x - ½), layers of two relu units each (Telgarsky 2015, lemma 2.4).

    All numbers on [0, 1] are dyadic, so that float64 is exact.
    """
    tent = torch.tensor([[2.0, -4.0]], dtype=torch.float64)
    params = {"l1.W": torch.ones(1, 2, 1, dtype=torch.float64), "l1.b": torch.tensor([[0, -0.5]], dtype=torch.float64)}
    for number in range(2, depth + 1):
        params |= {f"l{number}.W": tent.repeat(1, 2, 1), f"l{number}.b": params["l1.b"]}
    last = {f"l{depth + 1}.W": tent.unsqueeze(0), f"l{depth + 1}.b": torch.zeros(1, 1, dtype=torch.float64)}
    return PiecewiseLinearNet(mlp([2] * depth, 1, 1, activations.relu()), params | last)
