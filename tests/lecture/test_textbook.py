"""The lecture's slow forms of backpropagation against the engine's batched one, autograd and each other."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import build, targets
from workbench.lecture import textbook
from workbench.lecture.textbook import ManyExamples, Net, OneExample, Scalar
from workbench.nn.activations import Activation
from workbench.nn.check.central_differences import TWO_POINTS, gradient
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params

FORMS = [Scalar(), OneExample(), ManyExamples()]
SMOOTH = ["sigmoid", "tanh", "softplus"]
ACTIVATIONS = {name: build("activation", name) for name in ("identity", "relu", *SMOOTH)}
RTOL = 1e-12


def _tensor(*entries: Any) -> Tensor:
    return torch.tensor(entries, dtype=torch.float64)


# the engine's loss for each output of the lecture
OUTPUTS = {
    "softmax": (build("loss", "softmax_nll"), textbook.softmax),
    "logistic": (build("loss", "binary_nll"), textbook.logistic),
    "regression": (build("loss", "squared_error"), None),
}


@dataclass(frozen=True)
class Problem:
    """A pack of nets in the engine's terms, with its data [R, B, ...]."""

    output: str
    hidden: Activation
    last: Activation
    objective: Objective
    params: Params
    x: Tensor
    y: Tensor

    def net(self, replica: int) -> Net:
        """Return the net of one replica in the lecture's terms."""
        depth = len(self.params) // 2
        make = OUTPUTS[self.output][1]
        return Net(
            {layer: self.params[f"l{layer}.W"][replica] for layer in range(1, depth + 1)},
            {layer: self.params[f"l{layer}.b"][replica] for layer in range(1, depth + 1)},
            self.hidden,
            make() if make else textbook.regression(self.last),
        )

    def lam(self, replica: int) -> float:
        """Return λ, the weight decay of one replica."""
        decay = self.objective.weight_decay
        return 0.0 if decay is None else float(decay[replica])


def settings_of_problems(most: int = 5) -> st.SearchStrategy[dict[str, Any]]:
    """Nets of 1 to 4 layers of weights, 1 to 5 units each; one replica or a pack, with or without weight decay."""
    return st.fixed_dictionaries(
        {
            "sizes": st.lists(st.integers(1, 5), min_size=2, max_size=5),
            "output": st.sampled_from(sorted(OUTPUTS)),
            "hidden": st.sampled_from(sorted(ACTIVATIONS)),
            "last": st.sampled_from(sorted(ACTIVATIONS)),
            "replicas": st.sampled_from([1, 3]),
            "examples": st.integers(1, most),
            "decay": st.sampled_from([None, 0.1]),
            "seed": st.integers(0, 2**31),
        }
    )


def make_problem(
    *,
    sizes: list[int],
    output: str,
    hidden: str,
    last: str,
    replicas: int,
    examples: int,
    decay: float | None,
    seed: int,
) -> Problem:
    """The problem of some settings; softmax has two outputs or more, `last` is the output's f in regression."""
    sizes = [*sizes[:-1], max(2, sizes[-1])] if output == "softmax" else sizes
    stream = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=stream, dtype=torch.float64)

    layers: list[Any] = []
    arrays: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        layers += [Dense(f"l{layer}", fan_in, fan_out), Activate(f"l{layer}", ACTIVATIONS[hidden])]
        arrays[f"l{layer}.W"] = normal(replicas, fan_out, fan_in) / math.sqrt(fan_in)
        arrays[f"l{layer}.b"] = normal(replicas, fan_out) / 4
    layers[-1:] = [Activate(f"l{len(sizes) - 1}", ACTIVATIONS[last])] if output == "regression" else []
    rows = [{name: array[replica] for name, array in arrays.items()} for replica in range(replicas)]
    loss = OUTPUTS[output][0]
    lam = None if decay is None else decay * torch.arange(replicas, dtype=torch.float64)
    return Problem(
        output,
        ACTIVATIONS[hidden],
        ACTIVATIONS[last],
        Objective(Model(tuple(layers)), loss, lam),
        Params.stack(rows, torch.float64, torch.device("cpu")),
        normal(replicas, examples, sizes[0]),
        targets(loss.accepts, (replicas, examples, sizes[-1]), stream),
    )


def _assert_same(got: Tensor, expected: Tensor, rtol: float = RTOL) -> None:
    """‖got - expected‖ ≤ rtol·‖expected‖, or both vanish to rounding."""
    assert got.shape == expected.shape
    assert float((got - expected).norm()) <= rtol * float(expected.norm()) + 1e-15


@pytest.mark.slow
@given(drawn=settings_of_problems())
@settings(max_examples=200)
def test_every_form_equals_the_engine(drawn: dict[str, Any]) -> None:
    """J(W, b), dW and db of the three forms are the batched hand-written ones, alone and in a pack."""
    problem = make_problem(**drawn)
    grads = Params.zeros(problem.params.layout.trained, len(problem.x), problem.params.flat)
    problem.objective.gradients(problem.params, grads, problem.x, problem.y)
    J = problem.objective.value(problem.params, problem.x, problem.y)
    for replica in range(len(problem.x)):
        net, x, y = problem.net(replica), problem.x[replica].T, problem.y[replica].T
        for form in FORMS:
            got = textbook.objective(form, net, x, y, problem.lam(replica))
            _assert_same(got.J, J[replica])
            assert got.dW.keys() == got.db.keys() == net.W.keys()
            for layer in net.W:
                _assert_same(got.dW[layer], grads[f"l{layer}.W"][replica])
                _assert_same(got.db[layer], grads[f"l{layer}.b"][replica])


@pytest.mark.slow
@given(drawn=settings_of_problems())
@settings(max_examples=100)
def test_every_form_equals_autograd(drawn: dict[str, Any]) -> None:
    """The gradients are torch's own derivatives of `cost`, which computes J by the same form's forward pass."""
    problem = make_problem(**drawn)
    net, x, y, lam = problem.net(0), problem.x[0].T, problem.y[0].T, problem.lam(0)
    for form in FORMS:
        got = textbook.objective(form, net, x, y, lam)
        leaves = {key: value.clone().requires_grad_() for key, value in _flat(net.W, net.b).items()}
        own = Net(
            {layer: leaves["W", layer] for layer in net.W},
            {layer: leaves["b", layer] for layer in net.b},
            net.f,
            net.output,
        )
        J = textbook.cost(form, own, x, y, lam)
        _assert_same(got.J, J.detach())
        auto = torch.autograd.grad(J, list(leaves.values()))
        for key, reference in zip(leaves, auto, strict=True):
            _assert_same(_flat(got.dW, got.db)[key], reference, rtol=1e-11)


def _flat(W: textbook.ByLayer, b: textbook.ByLayer) -> dict[tuple[str, int], Tensor]:
    return {("W", layer): one for layer, one in W.items()} | {("b", layer): one for layer, one in b.items()}


@pytest.mark.slow
@given(drawn=settings_of_problems(most=1))
@settings(max_examples=60)
def test_one_example_needs_no_columns(drawn: dict[str, Any]) -> None:
    """J(W, b, x, y) of vectors: scalar and vectorized form agree, delta too, and are the m-example form at m = 1."""
    problem = make_problem(**drawn)
    net, x, y = problem.net(0), problem.x[0, 0], problem.y[0, 0]
    whole = textbook.gradients(ManyExamples(), net, x[:, None], y[:, None])
    for form in FORMS[:2]:
        z, a = textbook.forward(form, net, x)
        delta = textbook.deltas(form, net, z, a, y)
        got = textbook.gradients(form, net, x, y)
        _assert_same(got.J, whole.J)
        for layer in net.W:
            _assert_same(got.dW[layer], whole.dW[layer])
            _assert_same(got.db[layer], delta[layer + 1])
            _assert_same(delta[layer + 1], whole.db[layer])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_worked_by_hand(form: OneExample) -> None:
    """2-2-1 with identity units: z⁽²⁾ = (1, 4), h = 6, J = ½·4² + ½·0.1·35, delta⁽³⁾ = 4, delta⁽²⁾ = (8, 4)."""
    W = {1: _tensor([1, 2], [3, 4]), 2: _tensor([2, 1])}
    b = {1: _tensor(-1, 0), 2: _tensor(0)}
    identity = ACTIVATIONS["identity"]
    net = Net(W, b, identity, textbook.regression(identity))
    got = textbook.objective(form, net, _tensor([0], [1]), _tensor([2]), 0.1)
    # forward: (0·1 + 1·2 - 1, 0·3 + 1·4) = (1, 4); 2·1 + 1·4 = 6; Σ W² = 1 + 4 + 9 + 16 + 4 + 1 = 35
    assert float(got.J) == pytest.approx(8 + 0.05 * 35, rel=1e-14)
    torch.testing.assert_close(got.dW[2], _tensor([4.2, 16.1]), rtol=1e-14, atol=0)
    torch.testing.assert_close(got.db[2], _tensor(4), rtol=1e-14, atol=0)
    torch.testing.assert_close(got.dW[1], _tensor([0.1, 8.2], [0.3, 4.4]), rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(got.db[1], _tensor(8, 4), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", SMOOTH)
def test_regression_output_slope_is_part_of_delta(name: str) -> None:
    """The delta of an output f is (h - y) f'(z), as central differences of the cost confirm."""
    output = textbook.regression(ACTIVATIONS[name])
    z = _tensor(-1.3, 0.4, 2.0)
    y = _tensor(0.2, -0.7, 1.0)
    numeric = gradient(lambda moved: output.cost(output.h(moved), y), z, 1e-5, TWO_POINTS)
    torch.testing.assert_close(output.delta(output.h(z), y, z), numeric, rtol=1e-8, atol=0)
