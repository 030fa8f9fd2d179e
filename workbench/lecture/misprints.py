"""The lecture's formulas that need a correction, as they are printed, and what each does to a gradient.

A printed formula replaces one method of a form in `lecture.textbook`; the rest of the algorithm stays right. Its
gradient is then compared with central differences of J, which do not use backpropagation. `lecture.errata` lists the
slides and cases.
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from workbench.core.seeds import generator
from workbench.lecture import textbook
from workbench.lecture.textbook import ByLayer, Gradients, ManyExamples, Net, OneExample, OutputLayer
from workbench.nn.activations import Activation, identity, tanh
from workbench.nn.check.gradcheck import relative_error

STEP = 1e-4
GAIN = 1.5


class WeightsOfTheNextLayer(ManyExamples):
    """Step 3 for m examples: (W⁽ˡ⁺¹⁾)ᵀ in place of (W⁽ˡ⁾)ᵀ."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """(W⁽ˡ⁺¹⁾)ᵀ delta⁽ˡ⁺¹⁾."""
        return net.W[l + 1].T @ delta[l + 1]


class WeightsOfTheNextLayerIfAny(ManyExamples):
    """The same formula wherever there is a W⁽ˡ⁺¹⁾, and the right one at the last hidden layer."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """(W⁽ˡ⁺¹⁾)ᵀ delta⁽ˡ⁺¹⁾, W⁽ˡ⁾ where l + 1 is the output layer."""
        return net.W[min(l + 1, net.last - 1)].T @ delta[l + 1]


class SkippedLayer(OneExample):
    """The loop of softmax for one example: l = n_l, n_l - 2, n_l - 3, ..., 2, where n_l = last - 1."""

    def layers_backward(self, net: Net) -> Iterable[int]:
        """All hidden layers but n_l - 1."""
        yield net.last - 1
        yield from range(net.last - 3, 1, -1)


class SkippedLayerInZeros(OneExample):
    """The same loop, writing into deltas that start as zeros: delta⁽ⁿ ⁻ ¹⁾ keeps them."""

    def dJ_da(self, net: Net, delta: ByLayer, l: int) -> Tensor:
        """Zeros at the skipped layer."""
        right = super().dJ_da(net, delta, l)
        return torch.zeros_like(right) if l == net.last - 2 else right


class InputEverywhere(ManyExamples):
    """The compressed line z_i = Σ_j W_ij x_j + b_i, which has x where layer l has a⁽ˡ⁾."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:
        """W⁽ˡ⁾ x + b⁽ˡ⁾."""
        return super().z(net, {l: a[1]}, l)


class AverageOfEachColumn(ManyExamples):
    """`col_avg()` taken as the average within each column, which gives m numbers."""

    def db(self, delta: ByLayer, l: int) -> Tensor:
        """The mean over units."""
        return delta[l + 1].mean(0)


@dataclass(frozen=True)
class MisprintProblem:
    """A small net with random parameters, examples in columns x [s_1, m] and y [s_last, m], and λ."""

    net: Net
    x: Tensor
    y: Tensor
    lam: float = 0.0

    def gradients(self, form: OneExample | None = None, lam: float | None = None) -> Gradients:
        """By a form, by default the correct one."""
        lam = self.lam if lam is None else lam
        return textbook.objective(form or ManyExamples(), self.net, self.x, self.y, lam)

    def error(self, got: Gradients) -> float:
        """The worst parameter's ‖got - differences‖ / max(‖got‖, ‖differences‖).

        A gradient that a parameter could be updated with by broadcasting is broadcast.
        """
        return max(
            relative_error(torch.broadcast_to(kind[l], parameter.shape).flatten(), self._differences(parameter))
            for kind, parameters in ((got.dW, self.net.W), (got.db, self.net.b))
            for l, parameter in parameters.items()
        )

    def _differences(self, parameter: Tensor) -> Tensor:
        """dJ by every entry of `parameter`, by the five-point central difference of order h⁴."""
        entries = parameter.view(-1)
        slopes = []
        for index, start in enumerate(entries.tolist()):
            J = []
            for offset in (-2, -1, 1, 2):
                entries[index] = start + offset * STEP
                J.append(float(textbook.cost(ManyExamples(), self.net, self.x, self.y, self.lam)))
            entries[index] = start
            slopes.append((J[0] - 8 * J[1] + 8 * J[2] - J[3]) / (12 * STEP))
        return torch.tensor(slopes, dtype=torch.float64)


def problem(
    *sizes: int, f: Callable[[], Activation] = tanh, output: OutputLayer | None = None, m: int = 6, lam: float = 0.0
) -> MisprintProblem:
    """Weights N(0, 2.25/fan_in), biases and inputs N(0, 1), real targets; softmax targets where `output` is given."""
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


def run(form: OneExample, given: MisprintProblem) -> float:
    """The error of a printed formula's gradient."""
    return given.error(given.gradients(form))


def without_penalty(given: MisprintProblem) -> float:
    """λW left out of the gradient, while J has it."""
    return given.error(given.gradients(lam=0.0))


def softmax_weights_unpenalized(given: MisprintProblem) -> float:
    """The sum over l = 1, ..., n_l - 1 with the softmax slides' n_l: λW⁽ˡ⁾ is missing for the last l = n_l."""
    got, l = given.gradients(), given.net.last - 1
    return given.error(got._replace(dW={**got.dW, l: got.dW[l] - given.lam * given.net.W[l]}))


def softmax_bias_left_out(given: MisprintProblem) -> float:
    """No gradient for b⁽ⁿ⁾ of the softmax: it never moves."""
    got, l = given.gradients(), given.net.last - 1
    return given.error(got._replace(db={**got.db, l: torch.zeros_like(got.db[l])}))


def slope_of_the_hidden_units(given: MisprintProblem) -> float:
    """Step 2 with the hidden units' f' where the output is h = z."""
    h = given.net.output
    net = Net(
        given.net.W,
        given.net.b,
        given.net.f,
        OutputLayer(h.h, h.cost, lambda a, y, z: (a - y) * textbook.slope(given.net.f, z)),
    )
    return given.error(textbook.objective(ManyExamples(), net, given.x, given.y, given.lam))
