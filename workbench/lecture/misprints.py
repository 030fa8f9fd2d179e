"""The lecture's misprinted formulas, as printed, and the error that each causes in a gradient.

A printed formula replaces one method of a form in `lecture.textbook`; the rest of the algorithm stays correct. Its
gradient is compared with central differences of J, which do not use backpropagation. `lecture.errata` lists the slides
and cases.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from workbench.core.seeds import generator
from workbench.lecture import textbook
from workbench.lecture.textbook import ByLayer, Gradients, ManyExamples, Net, OneExample, OutputLayer
from workbench.nn.activations import Activation, identity, tanh
from workbench.nn.check import central_differences
from workbench.nn.check.central_differences import FOUR_POINTS
from workbench.nn.check.gradcheck import relative_error

Formula = Callable[[Net, Tensor, Tensor, float], Gradients]  # of x and y in columns, and λ
STEP = 1e-4
GAIN = 1.5


class WeightsOfTheNextLayer(ManyExamples):
    """Step 3 for m examples: (W⁽ˡ⁺¹⁾)ᵀ in place of (W⁽ˡ⁾)ᵀ."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """(W⁽ˡ⁺¹⁾)ᵀ delta⁽ˡ⁺¹⁾."""
        return net.W[l + 1].T @ delta[l + 1]


class WeightsOfTheNextLayerIfAny(ManyExamples):
    """Step 3 for m examples: (W⁽ˡ⁺¹⁾)ᵀ wherever it exists, and the correct (W⁽ˡ⁾)ᵀ at the last hidden layer."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """(W⁽ˡ⁺¹⁾)ᵀ delta⁽ˡ⁺¹⁾, but (W⁽ˡ⁾)ᵀ delta⁽ˡ⁺¹⁾ where l + 1 is the output layer."""
        return net.W[min(l + 1, net.last - 1)].T @ delta[l + 1]


class SkippedLayer(OneExample):
    """The loop of softmax for one example: l = n_l, n_l - 2, n_l - 3, ..., 2, where n_l = last - 1."""

    def layers_backward(self, net: Net) -> Iterable[int]:
        """Yield all hidden layers but n_l - 1."""
        yield net.last - 1
        yield from range(net.last - 3, 1, -1)


class SkippedLayerInZeros(OneExample):
    """The loop of SkippedLayer, writing into deltas initialized to zeros, so that delta⁽ⁿ ⁻ ¹⁾ stays 0."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """Return zeros at the skipped layer."""
        right = super().dJ_da(net, delta, l)
        return torch.zeros_like(right) if l == net.last - 2 else right


class InputEverywhere(ManyExamples):
    """The compressed line z_i = Σ_j W_ij x_j + b_i, with x in place of a⁽ˡ⁾."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:
        """W⁽ˡ⁾ x + b⁽ˡ⁾."""
        return super().z(net, {l: a[1]}, l)


class AverageOfEachColumn(ManyExamples):
    """`col_avg()` read as the average within each column, which has m numbers."""

    def db(self, delta: ByLayer, l: int) -> Tensor:
        """Average over units: [m]."""
        return delta[l + 1].mean(0)


@dataclass(frozen=True)
class MisprintProblem:
    """A small net with random parameters, examples in columns x [s_1, m] and y [s_last, m], and λ."""

    net: Net
    x: Tensor
    y: Tensor
    lam: float = 0.0

    def gradients(self, form: OneExample | None = None) -> Gradients:
        """Compute J and its gradients by a form, by default the correct one."""
        return textbook.objective(form or ManyExamples(), self.net, self.x, self.y, self.lam)

    def error(self, got: Gradients) -> float:
        """Compute the worst parameter's ‖got - differences‖ / max(‖got‖, ‖differences‖).

        A gradient of a smaller shape is broadcast to the parameter's, as an update would be.
        """
        return max(
            relative_error(torch.broadcast_to(kind[l], parameter.shape).flatten(), self._differences(parameter))
            for kind, parameters in ((got.dW, self.net.W), (got.db, self.net.b))
            for l, parameter in parameters.items()
        )

    def _differences(self, parameter: Tensor) -> Tensor:
        """Compute dJ by every entry of `parameter`, [size]."""
        entries = parameter.view(-1)
        start = entries.clone()

        def J(moved: Tensor) -> Tensor:
            entries.copy_(moved)
            return textbook.cost(ManyExamples(), self.net, self.x, self.y, self.lam)

        slopes = central_differences.gradient(J, start, STEP, FOUR_POINTS)
        entries.copy_(start)
        return slopes


def problem(
    *sizes: int, f: Callable[[], Activation] = tanh, output: OutputLayer | None = None, m: int = 6, lam: float = 0.0
) -> MisprintProblem:
    """Draw weights N(0, 2.25/fan_in), biases, inputs and targets N(0, 1); one-hot targets where `output` is given."""
    stream = generator(0, "noise", f"{sizes}")

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=stream, dtype=torch.float64)

    pairs: Iterator[tuple[int, tuple[int, int]]] = enumerate(pairwise(sizes), start=1)
    W = {l: normal(fan_out, fan_in) * GAIN / sqrt(fan_in) for l, (fan_in, fan_out) in pairs}
    b = {l: normal(len(one)) for l, one in W.items()}
    x, y = normal(sizes[0], m), normal(sizes[-1], m)
    if output is not None:
        y = torch.nn.functional.one_hot(y.argmax(0), sizes[-1]).double().T
    return MisprintProblem(Net(W, b, f(), output or textbook.regression(identity())), x, y, lam)


def error(by: OneExample | Formula, given: MisprintProblem) -> float:
    """Return the error of a printed formula's gradient."""
    if isinstance(by, OneExample):
        return given.error(given.gradients(by))
    return given.error(by(given.net, given.x, given.y, given.lam))


def without_penalty(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """Slides "... for Dataset of m Examples", with and without softmax: the average over examples, without λW."""
    return textbook.objective(ManyExamples(), net, x, y, 0.0)


def softmax_weights_unpenalized(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """The penalty's sum over l = 1, ..., n_l - 1 with the softmax slides' n_l, which omits their W⁽ⁿ⁾."""
    right, last = textbook.objective(ManyExamples(), net, x, y, lam), net.last - 1
    return right._replace(dW={**right.dW, last: right.dW[last] - lam * net.W[last]})


def softmax_bias_left_out(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """Slides "Softmax (1)" and "(2)": no gradient for the bias of the softmax layer, which then never changes."""
    right, last = textbook.objective(ManyExamples(), net, x, y, lam), net.last - 1
    return right._replace(db={**right.db, last: torch.zeros_like(right.db[last])})


def with_slope_kept(net: Net) -> Net:
    """Return the net with a step 2 that keeps the hidden units' f′(z) at the output."""
    return replace(net, output=replace(net.output, delta=lambda h, y, z: (h - y) * textbook.slope(net.f, z)))


def slope_kept_at_the_output(net: Net, x: Tensor, y: Tensor, lam: float) -> Gradients:
    """Step 2 with the hidden units' f′(z) where a regression has h = z."""
    return textbook.objective(ManyExamples(), with_slope_kept(net), x, y, lam)
