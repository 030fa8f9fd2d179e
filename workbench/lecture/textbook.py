"""Forward and backward propagation in the lecture's own, slow forms, to be read beside its slides.

Layers are numbered from 1 (the input) to `last` (the output). W⁽ˡ⁾ [s_{l+1}, s_l] and b⁽ˡ⁾ [s_{l+1}] lead from layer l
to layer l+1, so l runs from 1 to last - 1. Layer l has z⁽ˡ⁾, a⁽ˡ⁾ and delta⁽ˡ⁾ = ∂J/∂z⁽ˡ⁾. For regression `last` is the
lecture's n_l; its softmax slides call the layer before the output n_l, so there `last` is n_l + 1.

| form | x, z, a, delta | slides |
|---|---|---|
| Scalar | [s_l], sums over i and j written out | "Inference: Forward Propagation", "Backpropagation Algorithm" |
| OneExample | [s_l] | "Forward Propagation", "... Vectorization for 1 Example", "... Softmax for 1 Example" |
| ManyExamples | [s_l, m], examples in columns | "... for Dataset of m Examples", with and without softmax |

The forms differ in four formulas, which are their methods; `forward`, `deltas`, `gradients` and `objective` are shared.
The printed formulas that had to be corrected are in `workbench.lecture.errata`.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.nn.activations import Activation

ByLayer = dict[int, Tensor]


def value(f: Activation, z: Tensor) -> Tensor:
    """Compute f(z), element by element, for any shape."""
    return f.forward(z.reshape(1, 1, -1)).reshape(z.shape)


def slope(f: Activation, z: Tensor) -> Tensor:
    """Compute f'(z), element by element, for any shape."""
    row = z.reshape(1, 1, -1)
    return f.derivative(row, f.forward(row)).reshape(z.shape)


@dataclass(frozen=True)
class OutputLayer:
    """The last layer: h = h(z), its cost(h, y) summed over the output units, and delta(h, y, z) = ∂cost/∂z.

    Each takes one example [s] or one example per column [s, m]; the cost is then a number or [m].
    """

    h: Callable[[Tensor], Tensor]
    cost: Callable[[Tensor, Tensor], Tensor]
    delta: Callable[[Tensor, Tensor, Tensor], Tensor]


def regression(f: Activation) -> OutputLayer:
    """h = f(z), ½‖h - y‖², delta = (h - y) f'(z); slide "Backpropagation: δ_i", which starts at the output layer.

    Targets of any size need f(z) = z, where f' = 1.
    """
    return OutputLayer(
        partial(value, f),
        lambda h, y: (h - y).square().sum(0) / 2,
        lambda h, y, z: (h - y) * slope(f, z),
    )


def softmax() -> OutputLayer:
    """h = softmax(z), -ln p(y) with y one-hot, delta = h - y; slides "Backpropagation Algorithm: Softmax ..."."""
    return OutputLayer(
        lambda z: z.exp() / z.exp().sum(0),
        lambda h, y: -torch.xlogy(y, h).sum(0),
        lambda h, y, z: h - y,
    )


def logistic() -> OutputLayer:
    """h = 1/(1 + exp(-z)), -ln p(y) with y in {0, 1}, delta = h - y; "Backpropagation: Logistic Regression"."""
    return OutputLayer(
        lambda z: 1 / (1 + (-z).exp()),
        lambda h, y: -(torch.xlogy(y, h) + torch.xlogy(1 - y, 1 - h)).sum(0),
        lambda h, y, z: h - y,
    )


@dataclass(frozen=True)
class Net:
    """Parameters W⁽ˡ⁾ and b⁽ˡ⁾ by l, the activation f of the hidden layers, and the output layer."""

    W: ByLayer
    b: ByLayer
    f: Activation
    output: OutputLayer

    @property
    def last(self) -> int:
        """Number of the output layer."""
        return len(self.W) + 1


class Gradients(NamedTuple):
    """J and its partial derivatives by l."""

    J: Tensor
    dW: ByLayer
    db: ByLayer


class OneExample:
    """Vectors: slides "Forward Propagation" and "Backpropagation Algorithm: Vectorization for 1 Example"."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:
        """z⁽ˡ⁺¹⁾ = W⁽ˡ⁾ a⁽ˡ⁾ + b⁽ˡ⁾."""
        return net.W[l] @ a[l] + net.b[l]

    def layers_backward(self, net: Net) -> Iterable[int]:
        """Return the hidden layers l = last - 1, last - 2, ..., 2."""
        return range(net.last - 1, 1, -1)

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """∂J/∂a⁽ˡ⁾ = (W⁽ˡ⁾)ᵀ delta⁽ˡ⁺¹⁾."""
        return net.W[l].T @ delta[l + 1]

    def dW(self, delta: ByLayer, a: ByLayer, l: int) -> Tensor:
        """∇J by W⁽ˡ⁾ = delta⁽ˡ⁺¹⁾ (a⁽ˡ⁾)ᵀ."""
        return torch.outer(delta[l + 1], a[l])

    def db(self, delta: ByLayer, l: int) -> Tensor:
        """∇J by b⁽ˡ⁾ = delta⁽ˡ⁺¹⁾."""
        return delta[l + 1]

    def parts(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the examples (x⁽ᵏ⁾, y⁽ᵏ⁾) of a data set in columns, one by one."""
        yield from zip(x.T, y.T, strict=True)


class Scalar(OneExample):
    """Numbers: slides "Inference: Forward Propagation" and "Backpropagation Algorithm"."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:
        """z_i⁽ˡ⁺¹⁾ = Σ_j W_ij⁽ˡ⁾ a_j⁽ˡ⁾ + b_i⁽ˡ⁾."""
        W, b = net.W[l], net.b[l]
        return _each(len(W), lambda i: _sum(W[i, j] * a[l][j] for j in range(W.shape[1])) + b[i])

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """∂J/∂a_i⁽ˡ⁾ = Σ_j W_ji⁽ˡ⁾ delta_j⁽ˡ⁺¹⁾."""
        W = net.W[l]
        return _each(W.shape[1], lambda i: _sum(W[j, i] * delta[l + 1][j] for j in range(len(W))))

    def dW(self, delta: ByLayer, a: ByLayer, l: int) -> Tensor:
        """∂J/∂W_ij⁽ˡ⁾ = a_j⁽ˡ⁾ delta_i⁽ˡ⁺¹⁾."""
        return _each(len(delta[l + 1]), lambda i: _each(len(a[l]), lambda j: a[l][j] * delta[l + 1][i]))


class ManyExamples(OneExample):
    """Matrices with examples in columns: the slides "... for Dataset of m Examples"."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:
        """z⁽ˡ⁺¹⁾ = W⁽ˡ⁾ a⁽ˡ⁾ + b⁽ˡ⁾, the bias added to every column."""
        return net.W[l] @ a[l] + net.b[l][:, None]

    def dW(self, delta: ByLayer, a: ByLayer, l: int) -> Tensor:
        """∇J by W⁽ˡ⁾ = delta⁽ˡ⁺¹⁾ (a⁽ˡ⁾)ᵀ / m."""
        return delta[l + 1] @ a[l].T / a[l].shape[1]

    def db(self, delta: ByLayer, l: int) -> Tensor:
        """∇J by b⁽ˡ⁾ = delta⁽ˡ⁺¹⁾.col_avg(): the mean of the columns."""
        return delta[l + 1].mean(1)

    def parts(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the whole data set at once."""
        yield x, y


def layers_forward(form: OneExample, net: Net, x: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield l, z⁽ˡ⁾ and a⁽ˡ⁾ of the layers after the input, in order; slide "Forward Propagation"."""
    a = {1: x}
    for l in range(1, net.last):
        z = form.z(net, a, l)
        a[l + 1] = net.output.h(z) if l + 1 == net.last else value(net.f, z)
        yield l + 1, z, a[l + 1]


def forward(form: OneExample, net: Net, x: Tensor) -> tuple[ByLayer, ByLayer]:
    """Compute z⁽ˡ⁾ and a⁽ˡ⁾ of all layers, with a⁽¹⁾ = x."""
    layers = list(layers_forward(form, net, x))
    return {l: z for l, z, _ in layers}, {1: x} | {l: a for l, _, a in layers}


def layers_backward(form: OneExample, net: Net, z: ByLayer, a: ByLayer, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield l and delta⁽ˡ⁾ from the output to layer 2; steps 2 and 3 of "Backpropagation Algorithm"."""
    delta = {net.last: net.output.delta(a[net.last], y, z[net.last])}
    yield net.last, delta[net.last]
    for l in form.layers_backward(net):
        delta[l] = form.dJ_da(net, delta, l) * slope(net.f, z[l])
        yield l, delta[l]


def deltas(form: OneExample, net: Net, z: ByLayer, a: ByLayer, y: Tensor) -> ByLayer:
    """Compute delta⁽ˡ⁾ of all layers but the input."""
    return dict(layers_backward(form, net, z, a, y))


def gradients(form: OneExample, net: Net, x: Tensor, y: Tensor) -> Gradients:
    """Compute J(W, b, x, y) and its gradient: the four steps of "Backpropagation Algorithm", l < last in step 4."""
    z, a = forward(form, net, x)
    delta = deltas(form, net, z, a, y)
    return Gradients(
        net.output.cost(a[net.last], y).mean(),
        {l: form.dW(delta, a, l) for l in net.W},
        {l: form.db(delta, l) for l in net.b},
    )


def cost(form: OneExample, net: Net, x: Tensor, y: Tensor, lam: float = 0.0) -> Tensor:
    """J(W, b) = (1/m) Σ_k J(W, b, x⁽ᵏ⁾, y⁽ᵏ⁾) + (λ/2) Σ_l Σ_ij (W_ij⁽ˡ⁾)²; "Learning: Backpropagation for Regression".

    Here and in `objective`, x [s_1, m] and y [s_last, m] hold an example in each column for every form.
    """
    each = [net.output.cost(forward(form, net, one)[1][net.last], target).mean() for one, target in form.parts(x, y)]
    return _mean(each) + penalty(net, lam)


def penalty(net: Net, lam: float) -> Tensor:
    """(λ/2) Σ_l Σ_ij (W_ij⁽ˡ⁾)²: all weights, no biases."""
    return lam / 2 * _sum(W.square().sum() for W in net.W.values())


def objective(form: OneExample, net: Net, x: Tensor, y: Tensor, lam: float = 0.0) -> Gradients:
    """Compute J(W, b) and its gradient, with λW⁽ˡ⁾ for weights and nothing for biases; same slide as `cost`."""
    each = [gradients(form, net, one, target) for one, target in form.parts(x, y)]
    return Gradients(
        _mean([one.J for one in each]) + penalty(net, lam),
        {l: _mean([one.dW[l] for one in each]) + lam * W for l, W in net.W.items()},
        {l: _mean([one.db[l] for one in each]) for l in net.b},
    )


def _each(size: int, entry: Callable[[int], Tensor]) -> Tensor:
    return torch.stack([entry(i) for i in range(size)])


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum(0)


def _mean(terms: list[Tensor]) -> Tensor:
    return _sum(terms) / len(terms)
