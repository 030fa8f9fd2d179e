"""Forward propagation on random nets: as the slides write it, beside what the engine computes.

Slides "Neural Network Model", "Inference: Forward Propagation", "Forward Propagation", "NN Learning: Softmax
Regression".
"""
# ruff: noqa: E741 - l is the lecture's index of layers

from itertools import product

import torch
from torch import Tensor

from workbench.lecture import textbook
from workbench.lecture.textbook import ManyExamples, Net, OneExample, Scalar
from workbench.nn.params import Params

from .random_problems import Problem

PAIRS = {  # None stands for the engine
    "sums and vectors": (Scalar(), OneExample()),
    "vectors and matrices": (OneExample(), ManyExamples()),
    "matrices and the engine": (ManyExamples(), None),
}


def outputs(given: Problem, form: OneExample | None) -> Tensor:
    """Compute h [R, m, K] of every net and example by a form of the lecture, or by the engine."""
    if form is None:
        z, _ = given.objective.model.forward(given.params, given.x)
        return given.objective.loss.predict(z)

    def one_net(W: dict[int, Tensor], b: dict[int, Tensor], x: Tensor) -> Tensor:
        net = Net(W, b, given.f, given.output)
        if isinstance(form, ManyExamples):
            return textbook.forward(form, net, x.T)[1][net.last].T
        h: Tensor = torch.vmap(lambda one: textbook.forward(form, net, one)[1][net.last])(x)
        return h

    layers = range(1, len(given.shape.sizes))
    W, b = ({l: given.params[f"l{l}.{kind}"] for l in layers} for kind in "Wb")
    h: Tensor = torch.vmap(one_net)(W, b, given.x)
    return h


def apart(given: Problem, one: OneExample | None, other: OneExample | None) -> Tensor:
    """Compute the largest difference of two forms' outputs, [R], relative to the largest output or to 1."""
    first, second = outputs(given, one), outputs(given, other)
    return _largest(first - second) / _largest(second).clamp(min=1)


def layers(given: Problem, params: Params) -> tuple[list[Tensor], list[Tensor]]:
    """Compute z⁽²⁾, z⁽³⁾, ... and a⁽¹⁾ = x, a⁽²⁾, ... up to the last hidden layer by the engine, each [R, m, s_l]."""
    z, tape = given.objective.model.forward(params, given.x)
    units = list(given.objective.model.units(tape))
    return [*(one.z for one in units), z], [given.x, *(one.a for one in units)]


def misplaced(given: Problem) -> Tensor:
    """Add 1 to each weight and bias; how far z of the layers up to the next one are from where they belong, [P, R].

    W_ij⁽ˡ⁾ moves z_i⁽ˡ⁺¹⁾ by a_j⁽ˡ⁾, b_i⁽ˡ⁾ by 1, and neither moves another z of layer l + 1 or before.
    """
    z, a = layers(given, given.params)
    found = []
    for l, own in enumerate(z, start=1):
        fan_out, fan_in = own.shape[2], a[l - 1].shape[2]
        ends = [("W", i, j) for i, j in product(range(fan_out), range(fan_in))] + [("b", i, -1) for i in range(fan_out)]
        for kind, i, j in ends:
            params = given.params.with_flat(given.params.flat.clone())
            params[f"l{l}.{kind}"][(slice(None), i, j) if kind == "W" else (slice(None), i)] += 1
            moved, _ = layers(given, params)
            expected = own.clone()
            expected[:, :, i] += a[l - 1][:, :, j] if kind == "W" else 1
            pairs = zip(moved, [*z[: l - 1], expected], strict=False)
            found.append(torch.stack([_largest(one - other) for one, other in pairs]).amax(0))
    return torch.stack(found)


def softmax_apart(given: Problem) -> Tensor:
    """Compare the engine's softmax layer with exp(w_kᵀa + b_k)/Σ of the rows w_k of its W, [R].

    The largest difference of the outputs, of their sum from 1, and of J from the mean of -ln p(y).
    """
    z, a = layers(given, given.params)
    W, b = (given.params[f"l{len(z)}.{kind}"] for kind in "Wb")
    classes = range(W.shape[1])
    powers = torch.stack([((W[:, None, k] * a[-1]).sum(2) + b[:, None, k]).exp() for k in classes], 2)
    p, h = powers / powers.sum(2, keepdim=True), outputs(given, None)
    J = -(given.y * p).sum(2).log().mean(1) - given.objective.loss.value(z[-1], given.y)
    return torch.stack([_largest(h - p), _largest(h.sum(2) - 1), J.abs()]).amax(0)


def _largest(difference: Tensor) -> Tensor:
    """Largest absolute value of every net, [R]."""
    return difference.abs().flatten(1).amax(1)
