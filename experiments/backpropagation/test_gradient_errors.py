"""Formulas on batches of random nets: what is compared, and the numbers read off the V of central differences."""

from math import inf

import numpy as np
import pytest
import torch
from workbench.experiments.backpropagation import gradient_errors, random_problems
from workbench.experiments.backpropagation.random_problems import MATRICES, SUMS, VECTORS, Problem, lecture

from workbench.nn.params import Params


def some(count: int = 2, **where: object) -> list[Problem]:
    """Batches of nets of one unit."""
    shapes = {"activations": ["tanh"], "losses": ["softmax"], "layers": [3, 4], "examples": [2], "penalties": [0.1]}
    return list(gradient_errors.problems(np.random.default_rng(0), count, **{**shapes, **where}))


def doubled(given: Problem) -> Params:
    """Twice the gradient."""
    right = lecture(given)
    return right.with_flat(2 * right.flat)


def test_a_batch_for_each_shape() -> None:
    """Each shape has a batch: two depths, two nets each, by one stream."""
    found = some()
    assert [len(one.shape.sizes) for one in found] == [3, 4]
    assert all(len(one.x) == 2 for one in found)
    assert not torch.equal(found[0].x, some(2, layers=[4])[0].x)


@pytest.mark.parametrize("against", [gradient_errors.from_autograd, gradient_errors.from_differences])
def test_the_lecture_is_right_and_twice_the_gradient_is_not(against: object) -> None:
    """The lecture's gradient has no error, and twice the gradient has error 1/2: half of the larger is missing."""
    for one in some():
        assert float(against(one, lecture).max()) < 1e-7  # type: ignore[operator]
        assert against(one, doubled).tolist() == pytest.approx([0.5, 0.5], abs=1e-6)  # type: ignore[operator]


def test_differences_at_a_kink_are_set_aside() -> None:
    """Differences at the kink of relu, with z at 0 throughout, are set aside and count as equal."""
    (one,) = some(1, activations=["relu"], layers=[3])
    one.params["l1.W"].zero_()
    one.params["l1.b"].zero_()
    assert float(gradient_errors.from_differences(one, lecture).max()) < 1e-7


def test_forms_are_apart_by_rounding_only() -> None:
    """Forms are apart by rounding only, relative to 1 where the gradient is smaller; another λ is noticed."""
    (one, _) = some()
    assert float(gradient_errors.apart(one, SUMS, VECTORS).max()) < 1e-13
    wrong = gradient_errors.apart(one, MATRICES, lambda net, x, y, lam: MATRICES(net, x, y, lam + 1e-3))
    assert 1e-6 < float(wrong.max()) < 1e-2


def test_errors_name_the_worst_shape() -> None:
    """Errors come for all nets of all batches, in order, with the shape of the largest."""
    batches = some()
    values = {id(batches[0]): torch.tensor([0.1, 0.4]), id(batches[1]): torch.tensor([0.3, 0.2])}
    found, example = gradient_errors.errors(batches, lambda one, factor: factor * values[id(one)], 10)
    assert found == pytest.approx([1, 4, 3, 2])
    assert example == f"{batches[0].shape}: 4"
    assert gradient_errors.errors(batches, lambda one: torch.zeros(2))[1] == ""


def test_numbers_of_a_v_that_is_known() -> None:
    """log e = max(2 e, -12 - e) for two shapes and two nets, one of which lies higher and has its minimum elsewhere."""
    exponents = np.array(gradient_errors.EXPONENTS)
    one, other = np.maximum(2 * exponents, -12 - exponents), np.maximum(2 * exponents + 3, -9 - exponents / 2)
    curves = gradient_errors.Curves(np.array([[one, other], [one, other]]))
    assert curves.slope(-2, -4) == pytest.approx([2, 2])
    assert curves.slope(-7, -10) == pytest.approx([-1, -0.5])
    assert curves.best() == pytest.approx([-4, -5])
    assert np.log10(curves.quantiles([0, 0.5, 1])) == pytest.approx(
        np.stack([np.minimum(one, other), (one + other) / 2, np.maximum(one, other)])
    )


def test_curves_are_those_of_each_batch() -> None:
    """Curves are the logarithms of each batch's `difference_curve`."""
    batches = some(layers=[3])
    (expected,) = [random_problems.difference_curve(one, lecture(one), gradient_errors.STEPS) for one in batches]
    assert gradient_errors.curves(batches, lecture).logs[0] == pytest.approx(np.log10(expected.numpy()))


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 15.9, 17.4), ("float64", 35, 37.5)])
def test_saturated_outputs_lose_the_error(dtype: str, least: float, most: float) -> None:
    """The output's error is lost near z = ln(2/eps), 16.6 and 36.7; a tenth before, a - y is still there."""
    z, error = gradient_errors.first_lost_output(dtype)
    before = torch.tensor(z - 0.1, dtype=getattr(torch, dtype))
    assert least < z < most
    assert error == pytest.approx(1 / (1 + np.exp(z)))
    assert torch.sigmoid(before) < 1


def test_where_no_error_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that never reaches 1 loses no error."""
    halved = random_problems.activation("sigmoid")
    monkeypatch.setattr(
        gradient_errors, "sigmoid", lambda: type(halved)(lambda z: halved.forward(z) / 2, lambda z, a: a, (0.0, 1.0))
    )
    assert gradient_errors.first_lost_output("float32") == (inf, 0.0)
