"""Maxout units as maxima of affine maps: the units they contain, and best fits of convex functions by k pieces.

A maximum of k affine functions of one x is convex, with at most k pieces on intervals. Over [a, b] the affine function
closest to a convex f is halfway between its chord and the tangent parallel to it. Its error is E, half their distance,
with f - l = E, -E, E at a, at the tangent's point and at b: no other affine function has a smaller error (Chebyshev).
Pieces of equal E are best, as one of any other k intervals contains one of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Generator, Tensor

from workbench.nn import activations
from workbench.nn.initializers import Scheme, he, uniform_bias
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Arrays, Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.maxout import Maxout
from workbench.nn.model import Model
from workbench.proofs.regions import PiecewiseLinearNet, regions_of_the_input

Piece = tuple[Fraction, Fraction]  # slope and value at 0
INPUTS, OUTPUTS, EXAMPLES = 5, 4, 500


def unit(name: str, z: Tensor, **constants: float) -> tuple[Tensor, Tensor]:
    """Compute f(z) and the hand-written f'(z) of an activation, in float64."""
    activation = getattr(activations, name)(**constants)
    own = [torch.tensor(value, dtype=torch.float64) for value in activation.constants.values()]
    a = activation.forward(z, *own)
    return a, activation.derivative(z, a, *own)


def inputs_away_from_ties(count: int, seed: int) -> Tensor:
    """Draw positive and negative z with magnitudes from 1e-8 to 1e8."""
    stream = Generator().manual_seed(seed)
    size = 10 ** (16 * torch.rand(count, generator=stream, dtype=torch.float64) - 8)
    return torch.where(torch.rand(count, generator=stream) < 0.5, -size, size)


def containment(name: str, scales: Sequence[float], seed: int, **constants: float) -> dict[str, float]:
    """Compare f(Wx + b) with max over p of s_p (Wx + b), a maxout unit with weights s_p W and biases s_p b.

    Returns the largest differences of outputs and of the hand-written gradients for x, W and b. The maxout layer's are
    carried back to W and b by the chain rule, dW = Σ s_p dW_p. No example has a tie.
    """
    dense, activate = Dense("l1", INPUTS, OUTPUTS), Activate("l1", getattr(activations, name)(**constants))
    scheme = Scheme(he(), uniform_bias())
    drawn = dense.init(seed, scheme) | activate.buffers(scheme)
    params = {key: value.unsqueeze(0) for key, value in drawn.items()}
    stream = Generator().manual_seed(seed)
    x = torch.randn(1, EXAMPLES, INPUTS, generator=stream, dtype=torch.float64)
    grad_out = torch.randn(1, EXAMPLES, OUTPUTS, generator=stream, dtype=torch.float64)
    plain = _passes(Model((dense, activate)), params, x, grad_out)
    of_pieces = {key: torch.cat([s * params[key] for s in scales], 1) for key in ("l1.W", "l1.b")}
    contained = _passes(Maxout("l1", INPUTS, OUTPUTS, len(scales)), of_pieces, x, grad_out)
    factors = torch.tensor(scales, dtype=torch.float64)
    for key in ("l1.W", "l1.b"):
        by_piece = contained[key].view(1, len(scales), OUTPUTS, -1)
        contained[key] = torch.einsum("p,rpoi->roi", factors, by_piece).view_as(plain[key])
    return {key: float((plain[key] - contained[key]).abs().max()) for key in plain}


def _passes(layer: Layer, params: Arrays, x: Tensor, grad_out: Tensor) -> dict[str, Tensor]:
    """Compute output and gradients by the package's forward and backward pass."""
    out, tape = layer.forward(params, x)
    grads = {key: torch.zeros_like(params[key]) for key in ("l1.W", "l1.b")}
    grad_in = layer.backward(params, tape, grad_out, grads)
    assert grad_in is not None
    return {"output": out, "grad_in": grad_in, **grads}


def weight_vectors(pieces: int) -> Fraction:
    """Ratio of the numbers of weights of a maxout layer and of a layer with one weight vector per unit."""
    scheme = Scheme(he(), uniform_bias())
    layers = Maxout("l1", INPUTS, OUTPUTS, pieces), Dense("l1", INPUTS, OUTPUTS)
    sizes = [layer.init(0, scheme)["l1.W"].numel() for layer in layers]
    return Fraction(*sizes)


def maxout_unit(slopes: Sequence[Any], offsets: Sequence[Any]) -> PiecewiseLinearNet:
    """Make one unit of the package's maxout layer, of one input: max over p of slopes[p] x + offsets[p]."""
    W, b = (torch.tensor([float(value) for value in values], dtype=torch.float64) for values in (slopes, offsets))
    return PiecewiseLinearNet(
        Model((Maxout("l1", 1, 1, len(slopes)),)), {"l1.W": W.view(1, -1, 1), "l1.b": b.view(1, -1)}
    )


def regions_of_units(pieces: int, count: int, seed: int) -> list[int]:
    """Count linear regions on the real line of random maxout units with normal weights and biases."""
    draws = torch.randn(count, 2, pieces, generator=Generator().manual_seed(seed), dtype=torch.float64)
    return [regions_of_the_input(maxout_unit(W.tolist(), b.tolist())) for W, b in draws]


def pieces_made(k: int, units: int, seed: int) -> tuple[int, list[int]]:
    """Count linear regions of the unit with the pieces of `square_fit`, and of `units` random ones with k pieces."""
    return regions_of_the_input(maxout_unit(*zip(*square_fit(k), strict=True))), regions_of_units(k, units, seed)


def values(name: str, z: Sequence[float]) -> list[float]:
    """Evaluate a unit at each z: an activation, or ``maxout``, which is max(z, -z)."""
    at = torch.tensor(z, dtype=torch.float64)
    if name != "maxout":
        return unit(name, at)[0].tolist()
    curve = maxout_unit((1, -1), (0, 0)).curve(torch.zeros(1).double(), torch.ones(1).double())
    return curve(at)[:, 0].tolist()


def square_fit(k: int) -> list[Piece]:
    """Return the best fit of x² on [-1, 1] by k pieces: tangents at the middles of k equal intervals, plus 1/(2k²)."""
    middles = [Fraction(2 * number + 1, k) - 1 for number in range(k)]
    return [(2 * m, -m * m + Fraction(1, 2 * k * k)) for m in middles]


def square_error(pieces: Sequence[Piece]) -> Fraction:
    """Compute max |x² - max over pieces| on [-1, 1], exactly.

    Raises ValueError unless each piece is the largest on an interval, with intervals in the pieces' order.
    """
    meets = [(b - d) / (c - a) for (a, b), (c, d) in pairwise(pieces)]
    ends = [Fraction(-1), *meets, Fraction(1)]
    if ends != sorted(ends):
        raise ValueError(f"pieces: each must be the largest on an interval, in this order, got meeting points {meets}")
    errors = []
    for (slope, offset), (low, high) in zip(pieces, pairwise(ends), strict=True):
        extreme = min(max(slope / 2, low), high)
        errors += [abs(x * x - slope * x - offset) for x in (low, extreme, high)]
    return max(errors)


def square_bound(k: int) -> Fraction:
    """Compute a lower bound of the error of any k pieces for x² on [-1, 1].

    One of k intervals has length 2/k or more. There an affine l has second difference l(c - r) - 2 l(c) + l(c + r) = 0,
    with r = 1/k, and x² has 2r², for any c. A quarter of their difference is a weighted mean of the three errors, up to
    signs, so one of these is r²/2 or more.
    """
    r = Fraction(1, k)
    weights = {-r: Fraction(1, 4), Fraction(0): Fraction(-1, 2), r: Fraction(1, 4)}
    assert sum(weights.values()) == sum(x * w for x, w in weights.items()) == 0  # annihilates affine functions
    assert sum(map(abs, weights.values())) == 1
    return sum((w * x * x for x, w in weights.items()), Fraction(0))


@dataclass(frozen=True)
class Convex:
    """A convex f on [low, high]; touch(s) is where a line of slope s touches it, the minimum of f(x) - s x.

    `curvature` is ∫ √f'' over the interval, 0 where f'' is 0 almost everywhere.
    """

    f: Callable[[Any], Any]
    touch: Callable[[float], float]
    low: float
    high: float
    curvature: float

    def error(self, a: float, b: float) -> float:
        """Error of the best affine function on [a, b]."""
        slope = (self.f(b) - self.f(a)) / (b - a)
        x = min(max(self.touch(slope), a), b)
        return float(self.f(a) + slope * (x - a) - self.f(x)) / 2


def _softplus_touch(slope: float) -> float:
    return float(np.log(slope) - np.log1p(-slope)) if 0 < slope < 1 else np.inf * (slope - 0.5)


CONVEX = {
    "x²": Convex(np.square, lambda s: s / 2, -1.0, 1.0, 2 * np.sqrt(2)),
    "|x|": Convex(np.abs, lambda s: 0.0, -1.0, 1.0, 0.0),
    "exp x": Convex(np.exp, lambda s: float(np.log(s)), -1.0, 1.0, 4 * np.sinh(0.5)),
    "x⁴": Convex(lambda x: np.square(x) ** 2, lambda s: float(np.cbrt(s / 4)), -1.0, 1.0, np.sqrt(12)),
    "softplus x": Convex(lambda x: np.logaddexp(0, x), _softplus_touch, -4.0, 4.0, 2 * np.arctan(np.sinh(2))),
}


@dataclass(frozen=True)
class Fit:
    """The best fit of a convex function: its largest error, its knots, and each piece's slope and value at 0."""

    error: float
    knots: list[float]
    slopes: list[float]
    offsets: list[float]


def best_fit(convex: Convex, k: int) -> Fit:
    """Find the best maximum of k affine functions: the least error for which k intervals of that error cover f."""

    def knots(error: float) -> list[float]:
        found = [convex.low]
        for _ in range(k - 1):
            found.append(_reach(convex, found[-1], error))
        return [*found, convex.high]

    def lacking(error: float) -> float:
        last = knots(error)[-2]
        return (convex.error(last, convex.high) if last < convex.high else 0.0) - error

    alone = convex.error(convex.low, convex.high)
    error = alone if k == 1 else float(brentq(lacking, 0.0, alone, xtol=1e-16, rtol=1e-14))
    ends = [(a, b) for a, b in pairwise(knots(error)) if a < b]
    slopes = [float((convex.f(b) - convex.f(a)) / (b - a)) for a, b in ends]
    offsets = [float(convex.f(a)) - error - s * a for (a, _), s in zip(ends, slopes, strict=True)]
    return Fit(error, [ends[0][0], *(b for _, b in ends)], slopes, offsets)


def _reach(convex: Convex, a: float, error: float) -> float:
    """Find the largest b for which an affine function fits f on [a, b] within the error."""
    if error == 0 or a == convex.high:
        return a
    if convex.error(a, convex.high) <= error:
        return convex.high
    nearest = a + 1e-9 * (convex.high - a)
    if convex.error(a, nearest) >= error:
        return nearest
    return float(brentq(lambda b: convex.error(a, b) - error, nearest, convex.high, xtol=1e-15, rtol=1e-14))


def attained(convex: Convex, fit: Fit, points: int = 20_001) -> float:
    """Compute max |f - maxout| for the package's maxout unit with the fit's pieces, on a grid with all knots."""
    touching = [convex.touch(slope) for slope in fit.slopes]
    grid = np.concatenate([np.linspace(convex.low, convex.high, points), fit.knots, touching])
    x = torch.from_numpy(np.clip(grid, convex.low, convex.high))
    curve = maxout_unit(fit.slopes, fit.offsets).curve(torch.zeros(1).double(), torch.ones(1).double())
    return float(np.abs(convex.f(x.numpy()) - curve(x)[:, 0].numpy()).max())


@dataclass(frozen=True)
class Law:
    """Errors of best fits of a convex function: `scaled` = 16 k² E for the largest k, and its limit (∫ √f'')².

    `off` is, for each fit, the difference of the error of the package's maxout layer and the fit's E.
    """

    off: list[float]
    scaled: float
    limit: float


def law(convex: Convex, ks: Sequence[int]) -> Law:
    """Fit a convex function with k pieces, for rising k, and compare with the asymptotic error."""
    fits = [best_fit(convex, k) for k in ks]
    off = [abs(attained(convex, fit) - fit.error) for fit in fits]
    return Law(off, 16 * ks[-1] ** 2 * fits[-1].error, convex.curvature**2)
