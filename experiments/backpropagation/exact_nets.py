"""Nets of whole numbers, on which every step of the lecture's derivation is exact.

Slides "Backpropagation: W_ij" to "Backpropagation: δ_i". Weights, biases, inputs and targets are -1, 0 or 1, f(z) = z²
or z³, also at the output. So J is a polynomial in every number that it is computed from, and the derivative by one of
them the coefficient of t where t is added to it. With the layers of `DEPTHS`, of three units at most, all numbers of
the lecture's forms are below 2⁵³, so that float64 does not round them either.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from sympy import QQ
from sympy.polys.rings import ring
from torch import Tensor

from workbench.lecture import textbook
from workbench.lecture.textbook import Net, OneExample, Scalar
from workbench.nn.activations import monomial

DEPTHS = {2: (2, 3, 4), 3: (2, 3)}  # layers by degree of f
WIDTHS = (1, 2, 3)
FORMS = {"sums": Scalar(), "vectors": OneExample()}
POLYNOMIALS, T = ring("t", QQ)

Number = Any  # a whole number, or a polynomial in t
Place = tuple[str, int, int] | tuple[str, int, int, int]  # ("z", layer, unit), ("W", layer, to, from), ...
Same = tuple[Number, Number]  # both sides of an equation, left and right


class Values(NamedTuple):
    """Values by layer and unit, and J = ½‖a - y‖²."""

    z: dict[int, list[Number]]
    a: dict[int, list[Number]]
    J: Number


@dataclass(frozen=True)
class ExactNet:
    """A net with f(z) = z^degree in all layers, W⁽ˡ⁾ and b⁽ˡ⁾ by l, an example x and its target y."""

    degree: int
    W: Mapping[int, list[list[int]]]
    b: Mapping[int, list[int]]
    x: list[int]
    y: list[int]

    @property
    def last(self) -> int:
        """Number of the output layer."""
        return len(self.W) + 1

    def run(self, added: Mapping[Place, Number] | None = None) -> Values:
        """Compute all values by the slides' sums, with numbers added to weights, biases, z or a."""
        more = added or {}
        z: dict[int, list[Number]] = {}
        a: dict[int, list[Number]] = {1: self.x}
        for l, W in self.W.items():
            z[l + 1] = [
                sum((w + more.get(("W", l, i, j), 0)) * a[l][j] for j, w in enumerate(row))
                + (self.b[l][i] + more.get(("b", l, i), 0))
                + more.get(("z", l + 1, i), 0)
                for i, row in enumerate(W)
            ]
            a[l + 1] = [one**self.degree + more.get(("a", l + 1, i), 0) for i, one in enumerate(z[l + 1])]
        return Values(z, a, sum((h - y) ** 2 for h, y in zip(a[self.last], self.y, strict=True)) * QQ(1, 2))

    def slope(self, by: Place, of: Callable[[Values], Number] = lambda values: values.J) -> Number:
        """Derivative of J, or of another value, by the number at a place."""
        return POLYNOMIALS(of(self.run({by: T}))).coeff(T)

    def units(self, first: int = 2) -> Iterator[tuple[int, int]]:
        """Yield (l, i) of every unit from layer `first` on."""
        yield from ((l + 1, i) for l, W in self.W.items() for i in range(len(W)) if l + 1 >= first)

    def weights(self) -> Iterator[tuple[int, int, int]]:
        """Yield (l, i, j) of every weight."""
        yield from ((l, i, j) for l, W in self.W.items() for i, j in product(range(len(W)), range(len(W[0]))))

    def in_float64(self) -> tuple[Net, Tensor, Tensor]:
        """Convert to the lecture's forms: net, x and y."""
        f = monomial(self.degree)
        W = {l: torch.tensor(W, dtype=torch.float64) for l, W in self.W.items()}
        b = {l: torch.tensor(b, dtype=torch.float64) for l, b in self.b.items()}
        x, y = (torch.tensor(one, dtype=torch.float64) for one in (self.x, self.y))
        return Net(W, b, f, textbook.regression(f)), x, y


def draw(rng: np.random.Generator, count: int) -> Iterator[ExactNet]:
    """Draw `count` nets of each degree and number of layers, with one to three units a layer."""
    for degree, depths in DEPTHS.items():
        for depth, _ in product(depths, range(count)):
            sizes = rng.choice(WIDTHS, depth).tolist()

            def whole(*shape: int) -> Any:
                return rng.integers(-1, 2, shape).tolist()

            layers = range(1, depth)
            W = {l: whole(sizes[l], sizes[l - 1]) for l in layers}
            yield ExactNet(degree, W, {l: whole(sizes[l]) for l in layers}, whole(sizes[0]), whole(sizes[-1]))


def through_z(net: ExactNet, change: int = 3) -> Iterator[Same]:
    """Yield J with W_ij⁽ˡ⁾ and b_i⁽ˡ⁾ changed so that z_i⁽ˡ⁺¹⁾ stays, and J as it was."""
    values = net.run()
    for l, i, j in net.weights():
        changed = net.run({("W", l, i, j): change, ("b", l, i): -change * values.a[l][j]})
        yield changed.J, values.J


def through_next_layer(net: ExactNet, change: int = 3) -> Iterator[Same]:
    """Yield J with a_i⁽ˡ⁾ changed and b⁽ˡ⁾ so that no z⁽ˡ⁺¹⁾ changes, and J as it was."""
    values = net.run()
    for l, i in net.units():
        if l < net.last:
            changes: dict[Place, int] = {("b", l, k): -change * row[i] for k, row in enumerate(net.W[l])}
            yield net.run(changes | {("a", l, i): change}).J, values.J


def by_weight(net: ExactNet) -> Iterator[Same]:
    """Yield ∂J/∂W_ij⁽ˡ⁾ and a_j⁽ˡ⁾ δ_i⁽ˡ⁺¹⁾, where δ is ∂J/∂z."""
    a = net.run().a
    yield from ((net.slope(("W", l, i, j)), a[l][j] * net.slope(("z", l + 1, i))) for l, i, j in net.weights())


def by_bias(net: ExactNet) -> Iterator[Same]:
    """Yield ∂J/∂b_i⁽ˡ⁾ and δ_i⁽ˡ⁺¹⁾."""
    yield from ((net.slope(("b", l - 1, i)), net.slope(("z", l, i))) for l, i in net.units())


def delta(net: ExactNet) -> Iterator[Same]:
    """Yield δ_i⁽ˡ⁾ = ∂J/∂z_i⁽ˡ⁾ and ∂J/∂a_i⁽ˡ⁾ × f′(z_i⁽ˡ⁾)."""
    for l, i in net.units():
        f_slope = net.slope(("z", l, i), lambda values, l=l, i=i: values.a[l][i])  # type: ignore[misc]
        yield net.slope(("z", l, i)), net.slope(("a", l, i)) * f_slope


def hidden(net: ExactNet) -> Iterator[Same]:
    """Yield ∂J/∂a_i⁽ˡ⁾ of hidden layers and Σ_j W_ji⁽ˡ⁾ δ_j⁽ˡ⁺¹⁾."""
    for l, i in net.units():
        if l < net.last:
            yield net.slope(("a", l, i)), sum(row[i] * net.slope(("z", l + 1, j)) for j, row in enumerate(net.W[l]))


def output(net: ExactNet) -> Iterator[Same]:
    """Yield ∂J/∂a_i of the output layer and a_i - y_i."""
    a = net.run().a[net.last]
    yield from ((net.slope(("a", net.last, i)), a[i] - y) for i, y in enumerate(net.y))


def recursion(net: ExactNet, form: OneExample) -> Iterator[Same]:
    """Yield each derivative by a weight or bias as a form of the lecture computes it in float64, and the exact one."""
    given, x, y = net.in_float64()
    found = textbook.gradients(form, given, x, y)
    yield from ((float(found.dW[l][i, j]), float(net.slope(("W", l, i, j)))) for l, i, j in net.weights())
    yield from ((float(found.db[l - 1][i]), float(net.slope(("b", l - 1, i)))) for l, i in net.units())


Equations = Callable[[ExactNet], Iterator[Same]]


def unequal(nets: Sequence[ExactNet], sides: Equations) -> tuple[int, int, str]:
    """Count equations and those that do not hold exactly; describe the first of these."""
    found = [(net, *both) for net in nets for both in sides(net)]
    wrong = [(net, left, right) for net, left, right in found if left != right]
    example = f"{wrong[0][1]} is not {wrong[0][2]} in {wrong[0][0]}" if wrong else ""
    return len(found), len(wrong), example
