"""Two rings in Cartesian and polar coordinates: their separation, and the radius as learned by a net.

The circles of radius 1 and 2 represent the rings of the slides "The Importance of Representation" and "From Cartesian
to Polar Coordinates". Proofs are in rational numbers; functions that draw samples take a seed or a generator.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import acos, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from workbench.data.batches import PackData
from workbench.data.datasets import annuli
from workbench.nn.model import Model
from workbench.nn.params import Params

Array = NDArray[Any]
Point = tuple[Fraction, Fraction]
RADII = (1, 2)
BOUNDARY = Fraction(3, 2)


def rational_circle(count: int) -> Iterator[Point]:
    """Yield points of the unit circle's open first quadrant, exact: ((a² - b²)/(a² + b²), 2ab/(a² + b²)) for b < a."""
    found = 0
    a = 2
    while found < count:
        for b in range(1, a):
            square = a * a + b * b
            yield Fraction(a * a - b * b, square), Fraction(2 * a * b, square)
            found += 1
            if found == count:
                return
        a += 1


def reflections(point: Point) -> list[Point]:
    """Return (±x, ±y), one point in each quadrant."""
    x, y = point
    return [(sign * x, side * y) for sign in (1, -1) for side in (1, -1)]


def circles(count: int) -> tuple[list[Point], list[int]]:
    """Return 4 · `count` exact points of each circle, with labels 0 on radius 1 and 1 on radius 2."""
    unit = [point for one in rational_circle(count) for point in reflections(one)]
    points = [(radius * x, radius * y) for radius in RADII for x, y in unit]
    return points, [label for label in (0, 1) for _ in unit]


def sample(coordinates: str, seed: int, points: int) -> tuple[list[list[float]], list[int]]:
    """Draw points and labels of the data set `annuli` for a seed."""
    data = annuli(coordinates, points=points, seed=seed)  # type: ignore[arg-type]
    return data.x.tolist(), data.y.tolist()


def wrong_by_radius(points: Sequence[Sequence[float]], labels: Sequence[int]) -> tuple[int, float]:
    """Count points (r, θ) on the wrong side of the line r = 3/2, and find the least distance to it; exact."""
    sides = [Fraction(r) - BOUNDARY for r, _ in points]
    wrong = sum((side > 0) != (label == 1) for side, label in zip(sides, labels, strict=True))
    return wrong, float(min(map(abs, sides)))


def radius_errors(several: Sequence[tuple[Sequence[Sequence[float]], Sequence[int]]]) -> tuple[int, int, float]:
    """Count points (r, θ) over samples, those on the wrong side of r = 3/2, and find the least distance to it."""
    found = [wrong_by_radius(*one) for one in several]
    return sum(len(labels) for _, labels in several), sum(wrong for wrong, _ in found), min(least for _, least in found)


def line_accuracy(distance: float) -> float:
    """Accuracy on both circles of a line at this distance from the center that takes its far side for the outer circle.

    The far side contains acos(d/2)/π of the outer circle and acos(d)/π of the inner one, for d < 1. Up to there the
    accuracy rises, as its derivative has the sign of 1/√(1 - d²) - 1/√(4 - d²) > 0; beyond, all of the inner circle is
    right and the outer arc shrinks. The best d = 1 has 1/2 + acos(1/2)/2π = 2/3; the opposite decision at most 1/2.
    """
    outer, inner = (acos(min(1.0, distance / radius)) / pi for radius in (2, 1))
    return (outer + 1 - inner) / 2


def groups(count: int, angle: Callable[[Fraction, Fraction], object]) -> dict[object, list[bool]]:
    """Group exact points of both circles, all four quadrants, by (r, angle); values are whether y > 0, by point."""
    found: dict[object, list[bool]] = {}
    points, rings = circles(count)
    for (x, y), ring in zip(points, rings, strict=True):
        found.setdefault((ring, angle(x, y)), []).append(y > 0)
    return found


def told_apart(groups: Mapping[object, Sequence[bool]]) -> list[Sequence[bool]]:
    """Return the groups for which some rule is right on more than half of their points."""
    return [group for group in groups.values() if 2 * sum(group) != len(group)]


def tree_gain(seed: int, points: int) -> float:
    """Gain in the tree's test accuracy by θ = atan2(y, x) over the printed angle."""
    return tree_accuracy(seed, points, False) - tree_accuracy(seed, points, True)


def tree_accuracy(seed: int, points: int, printed: bool) -> float:
    """Test accuracy of a tree of depth 4 that tells y > 0 from (r, θ), fitted on half of the points.

    θ is atan|y/x| as printed, or atan2(y, x).
    """
    x, y = annuli(points=points, seed=seed).x.T
    theta = np.arctan(np.abs(y / x)) if printed else np.arctan2(y, x)
    features, labels, half = np.stack([np.hypot(x, y), theta], 1), y > 0, points // 2
    tree = DecisionTreeClassifier(max_depth=4, random_state=seed).fit(features[:half], labels[:half])
    return float(tree.score(features[half:], labels[half:]))


@dataclass(frozen=True)
class Affine:
    """Affine map z = W x + b of every net: W [R, K, I], b [R, K]."""

    W: Tensor
    b: Tensor


def collapsed(params: Params, layers: int) -> Affine:
    """Compose the affine layers l1, l2, ..., without activations, to one affine map: W = ... W⁽²⁾ W⁽¹⁾."""
    W, b = params["l1.W"], params["l1.b"]
    for layer in range(2, layers + 1):
        own = params[f"l{layer}.W"]
        b = (own @ b.unsqueeze(2)).squeeze(2) + params[f"l{layer}.b"]
        W = own @ W
    return Affine(W, b)


def affine_error(model: Model, params: Params, x: Tensor, layers: int) -> Tensor:
    """Compute the largest |net(x) - (W x + b)| / max(1, |net(x)|) over x [R, N, I], with the collapsed map: [R]."""
    z, _ = model.forward(params, x)
    one = collapsed(params, layers)
    error = (z - (x @ one.W.transpose(1, 2) + one.b.unsqueeze(1))).abs() / z.abs().clamp(min=1)
    return error.amax((1, 2))


def radius_r2(model: Model, params: Params, data: PackData) -> list[float]:
    """Compute test R² of a linear probe for r on every net's first hidden layer, fitted on the training part.

    The inputs are standardized (x, y); r is the length of that vector, the radius up to the units of its axes.
    """
    (train_h, train_r), (test_h, test_r) = (
        _hidden_and_radius(model, params, data.chunk(part, 0, part.size)[0]) for part in (data.train, data.test)
    )
    return [
        float(LinearRegression().fit(h, r).score(other_h, other_r))
        for h, r, other_h, other_r in zip(train_h, train_r, test_h, test_r, strict=True)
    ]


def radius_gain(model: Model, params: Params, before: Params, data: PackData) -> list[float]:
    """Compute the gain in `radius_r2` of every net by training, from parameters `before` to `params`."""
    return [after - was for after, was in zip(*(radius_r2(model, one, data) for one in (params, before)), strict=True)]


def _hidden_and_radius(model: Model, params: Params, x: Tensor) -> tuple[Array, Array]:
    """Compute activations [R, N, U] of the first hidden layer, and r [R, N], of inputs [R, N, 2]."""
    h = x
    for layer in model.layers[:2]:
        h, _ = layer.forward(params, h)
    return h.double().numpy(), x.double().norm(dim=2).numpy()


def random_relu_accuracy(rng: np.random.Generator, units: int, train: int, test: int, seed: int) -> float:
    """Compute test accuracy of a logistic neuron on untrained relu units max(0, w·x + b), w and b ~ N(0, 1)."""
    data = annuli(points=train + test, seed=seed)
    h = np.maximum(0, data.x @ rng.standard_normal((2, units)) + rng.standard_normal(units))
    readout = LogisticRegression(C=100.0, max_iter=5000).fit(h[:train], data.y[:train])
    return float(readout.score(h[train:], data.y[train:]))
