"""Random nets and their errors: the references agree with each other, and an error is what it is called."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from workbench.experiments.backpropagation.gradient_errors import from_double_precision
from workbench.experiments.backpropagation.random_problems import (
    ACTIVATIONS,
    LOSSES,
    MATRICES,
    SUMS,
    VECTORS,
    Problem,
    Shape,
    difference_curve,
    differences,
    errors,
    formula,
    gradient,
    lecture,
    problem,
    shapes,
)

from workbench.lecture import textbook
from workbench.lecture.textbook import ManyExamples, Net
from workbench.nn.params import Params


def made(sizes: tuple[int, ...] = (3, 4, 2), f: str = "tanh", loss: str = "softmax", lam: float = 0.1) -> Problem:
    """Three nets with four examples."""
    return problem(np.random.default_rng(1), Shape(sizes, f, loss, 4, lam), 3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("f", ACTIVATIONS)
def test_lecture_equals_autograd_and_the_engine(f: str, loss: str) -> None:
    """The lecture, autograd and the engine give one gradient, for every unit and loss."""
    given = made((3, 4, 5, 1 if loss == "logistic" else 2), f, loss)
    assert float(errors(lecture(given), given.reference()).max()) < 1e-12
    assert float(errors(lecture(given), given.engine()).max()) < 1e-12


@pytest.mark.parametrize("by", [SUMS, VECTORS, MATRICES])
def test_batched_formulas_equal_the_form_on_each_net(by: object) -> None:
    """`vmap` over nets and examples gives what a loop over the nets gives."""
    given = made()
    batch = gradient(given, by)  # type: ignore[arg-type]
    for net in range(3):
        W = {layer: given.params[f"l{layer}.W"][net] for layer in (1, 2)}
        b = {layer: given.params[f"l{layer}.b"][net] for layer in (1, 2)}
        own = textbook.objective(ManyExamples(), Net(W, b, given.f, given.output), given.x[net].T, given.y[net].T, 0.1)
        for layer in (1, 2):
            torch.testing.assert_close(batch[f"l{layer}.W"][net], own.dW[layer], rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(batch[f"l{layer}.b"][net], own.db[layer], rtol=1e-12, atol=1e-14)


def test_objective_is_the_lectures_cost() -> None:
    """The objective that autograd and differences differentiate is the lecture's J(W, b), penalty and all."""
    given = made(loss="squared error of f")
    J = given.objective.value(given.params, given.x, given.y)
    for net in range(3):
        W = {layer: given.params[f"l{layer}.W"][net] for layer in (1, 2)}
        b = {layer: given.params[f"l{layer}.b"][net] for layer in (1, 2)}
        own = Net(W, b, given.f, given.output)
        want = textbook.cost(ManyExamples(), own, given.x[net].T, given.y[net].T, 0.1)
        torch.testing.assert_close(J[net], want, rtol=1e-13, atol=0)


@pytest.mark.slow
@given(st.integers(0, 2**31), st.booleans())
def test_shapes_are_what_was_asked_for(seed: int, equal: bool) -> None:
    """Shapes have every combination once, and widths whose neighbors differ, or equal widths where asked."""
    found = list(shapes(np.random.default_rng(seed), examples=[2], penalties=[0.0], equal=equal))
    assert len({(one.activation, one.loss, len(one.sizes)) for one in found}) == len(found) == 5 * 4 * 6
    for one in found:
        assert one.sizes[-1] == 1 if one.loss == "logistic" else one.sizes[-1] >= 2
        pairs = list(zip(one.sizes, one.sizes[1:], strict=False))
        assert all((first == second) is equal for first, second in pairs)


def test_error_is_that_of_the_worst_parameter() -> None:
    """A gradient off by a factor 1.25 in one parameter has error 0.2 there, unless it is a small share of the whole."""
    want = lecture(made())
    got = want.with_flat(want.flat.clone())
    got["l2.W"].mul_(1.25)
    assert errors(got, want).tolist() == pytest.approx([0.2] * 3)
    got = want.with_flat(want.flat.clone())
    got["l1.b"].add_(1e-3 * want.flat.norm(dim=1)[:, None])
    assert float(errors(got, want, least=1e9).max()) < 1e-6


def test_error_of_what_is_no_number_is_infinite() -> None:
    """The error of NaN is infinite, and that of equal gradients 0."""
    want = lecture(made())
    got = want.with_flat(want.flat.clone())
    assert errors(got, want).tolist() == [0, 0, 0]
    got["l1.W"][1, 0, 0] = float("nan")
    assert errors(got, want).tolist() == [0, float("inf"), 0]


def test_differences_set_aside_what_crosses_a_kink() -> None:
    """Differences at the kink of relu set aside each entry that moves z, and none of the output's entries."""
    given = made((1, 2, 2), "relu", lam=0.0)
    given.params["l1.W"].zero_()
    given.params["l1.b"].zero_()
    numeric, smooth = differences(given)
    marks = Params(numeric.layout, smooth.double())
    assert not marks["l1.b"].any()
    assert marks["l2.W"].all()
    assert marks["l2.b"].all()


def test_curve_of_differences_is_a_v() -> None:
    """The error of differences goes as h² for large steps and as 1/h for small steps."""
    given = made((3, 4, 4, 2))
    curve = difference_curve(given, lecture(given), [1e-2, 1e-3, 1e-9, 1e-10]).log10()
    assert (curve[:, 0] - curve[:, 1]).tolist() == pytest.approx([2] * 3, abs=0.1)
    assert float((curve[:, 3] - curve[:, 2]).mean()) == pytest.approx(1, abs=0.4)


def test_single_precision_is_single() -> None:
    """Gradients of a float32 problem are float32; in float64 it has the same numbers, but another gradient."""
    given = made().single()
    assert lecture(given).flat.dtype == given.reference().flat.dtype == torch.float32
    assert 0 < float(errors(lecture(given), given.reference()).max()) < 1e-4
    wide = given.double()
    assert wide.reference().flat.dtype == torch.float64
    assert torch.equal(wide.params.flat.float(), given.params.flat)
    assert 0 < float(from_double_precision(given, lecture).max()) < 1e-4


class WrongSign(ManyExamples):
    """Step 3 with the wrong sign."""

    def dJ_da(self, net: Net, delta: textbook.ByLayer, layer: int) -> torch.Tensor:
        """-(W⁽ˡ⁾)ᵀ delta⁽ˡ⁺¹⁾."""
        return -super().dJ_da(net, delta, layer)


def test_a_planted_sign_is_found() -> None:
    """A wrong sign in the recursion is an error of order one."""
    given = made()
    assert float(errors(gradient(given, formula(WrongSign())), given.reference()).min()) > 0.1


def test_unknown_loss_is_named() -> None:
    """A shape with an unknown loss is refused by name."""
    with pytest.raises(ValueError, match="loss: must be one of"):
        problem(np.random.default_rng(0), replace(made().shape, loss="hinge"), 1)
