"""Losses against torch's own, their deltas against autograd, and the penalty against plain sums."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tests.reference import LOSS_TWINS, build, stems, targets
from workbench.core.errors import ConfigError
from workbench.nn.activations import identity, relu, sigmoid, tanh, unit_step
from workbench.nn.builders import perceptron as perceptron_model
from workbench.nn.losses import (
    BINARY_NLL,
    CATEGORICAL_NLL,
    HALF_SQUARED,
    SOFTMAX,
    Cost,
    Loss,
    OutputActivation,
    add_l2_gradient,
    compose,
    elementwise,
    l2_penalty,
    squared_error,
)
from workbench.nn.objective import Objective
from workbench.nn.params import Layout, Params

NAMES = stems("loss")
MATCHED = [
    name for name in NAMES if name not in ("softmax_mse", "weighted_nll")
]  # cost and output activation belong together
EXACT = {"rtol": 1e-10, "atol": 1e-14}


def _case(loss: Loss, replicas: int = 3, batch: int = 5, scale: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random logits and fitting targets."""
    stream = torch.Generator().manual_seed(seed)
    outputs = 1 if loss.accepts[0] == "binary" else 4
    z = scale * torch.randn(replicas, batch, outputs, generator=stream, dtype=torch.float64)
    return z, targets(loss.accepts, (replicas, batch, outputs), stream)


@pytest.mark.parametrize("name", sorted(LOSS_TWINS))
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_value_equals_torch_twin(name: str, scale: float) -> None:
    """C of each replica is what torch's function gives for that replica alone."""
    loss = build("loss", name)
    z, y = _case(loss, scale=scale)
    expected = torch.stack([LOSS_TWINS[name](one_z, one_y) for one_z, one_y in zip(z, y, strict=True)])
    torch.testing.assert_close(loss.value(z, y), expected, **EXACT)


def test_twins_are_of_losses() -> None:
    """The table of torch twins names existing losses only."""
    assert set(LOSS_TWINS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_delta_equals_autograd_of_value(name: str, batch: int) -> None:
    """delta is dC/dz, with the 1/B inside."""
    loss = build("loss", name)
    z, y = _case(loss, batch=batch)
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss.value(leaf, y).sum(), leaf)
    torch.testing.assert_close(loss.delta(z, y), expected, **EXACT)


@pytest.mark.parametrize("name", MATCHED)
def test_delta_is_output_minus_target_over_batch(name: str) -> None:
    """The theorem of matched pairs: delta = (a - y)/B with a = predict(z)."""
    loss = build("loss", name)
    z, y = _case(loss, batch=5)
    torch.testing.assert_close(loss.delta(z, y), (loss.predict(z) - y) / 5, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_value_is_a_mean_over_examples_never_over_replicas(name: str) -> None:
    """Doubling the batch leaves C as it was; doubling the replicas leaves each replica's C and delta as they were."""
    loss = build("loss", name)
    z, y = _case(loss)
    value, delta = loss.value_and_delta(z, y)
    torch.testing.assert_close(loss.value(z.repeat(1, 2, 1), y.repeat(1, 2, 1)), value, **EXACT)
    twice_value, twice_delta = loss.value_and_delta(z.repeat(2, 1, 1), y.repeat(2, 1, 1))
    torch.testing.assert_close(twice_value, value.repeat(2), **EXACT)
    torch.testing.assert_close(twice_delta, delta.repeat(2, 1, 1), **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_replicas_do_not_mix(name: str) -> None:
    """Another replica's logits change nothing."""
    loss = build("loss", name)
    z, y = _case(loss)
    changed = z.clone()
    changed[1] *= -3
    for before, after in zip(loss.value_and_delta(z, y), loss.value_and_delta(changed, y), strict=True):
        assert torch.equal(before[[0, 2]], after[[0, 2]])
        assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    """Logits of ±1e4 overflow neither value nor delta, on the right and on the wrong side, in either precision."""
    loss = build("loss", name)
    _, y = _case(loss, batch=8)
    for sign in (1, -1):
        far = (1e4 * sign * torch.where(y > y.mean(), 1.0, -1.0)).to(dtype)
        value, delta = loss.value_and_delta(far, y.to(dtype))
        assert value.isfinite().all()
        assert delta.isfinite().all()
        assert value.dtype == delta.dtype == dtype


def test_values_worked_by_hand() -> None:
    """Losses equal values worked by hand: ½(2² + 1²), -ln ¼ at a logit of -ln 3, and -ln ½ for a = (½, ¼, ¼)."""
    z = torch.tensor([[[3.0, 1.0]]], dtype=torch.float64)
    y = torch.tensor([[[1.0, 2.0]]], dtype=torch.float64)
    assert float(build("loss", "squared_error").value(z, y)) == pytest.approx(2.5, rel=1e-14)

    binary, one = build("loss", "binary_nll"), torch.ones(1, 1, 1, dtype=torch.float64)
    assert float(binary.value(-math.log(3) * one, one)) == pytest.approx(math.log(4), rel=1e-14)
    assert float(binary.delta(-math.log(3) * one, one)) == pytest.approx(1 / 4 - 1, rel=1e-14)

    softmax = build("loss", "softmax_nll")
    z = torch.tensor([[[math.log(2), 0.0, 0.0]]], dtype=torch.float64)
    y = torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64)
    assert float(softmax.value(z, y)) == pytest.approx(math.log(2), rel=1e-14)
    torch.testing.assert_close(
        softmax.delta(z, y), torch.tensor([[[-0.5, 0.25, 0.25]]], dtype=torch.float64), rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_left_alone(name: str) -> None:
    """Value and delta overwrite neither logits nor targets."""
    loss = build("loss", name)
    z, y = _case(loss)
    before = z.clone(), y.clone()
    loss.value_and_delta(z, y)
    assert torch.equal(z, before[0])
    assert torch.equal(y, before[1])


def _params() -> Params:
    """Two replicas of a 2-3 layer with odd-sized storage, every number distinct."""
    params = Params.zeros(Layout({"l1.W": (3, 2), "l1.b": (3,)}), 2, torch.empty(0, dtype=torch.float64))
    params["l1.W"].copy_(torch.arange(1, 13).view(2, 3, 2))
    params["l1.b"].copy_(torch.arange(20, 26).view(2, 3))
    return params


def test_penalty_counts_weights_and_spares_biases() -> None:
    """(λ/2) Σ W² by hand: 1² + … + 6² = 91 and 7² + … + 12² = 559, with λ = 2 and 0.5; biases change nothing."""
    params, decay = _params(), torch.tensor([2.0, 0.5], dtype=torch.float64)
    expected = torch.tensor([91.0, 559 / 4], dtype=torch.float64)
    torch.testing.assert_close(l2_penalty(params, decay), expected, **EXACT)
    params["l1.b"].mul_(1000)
    torch.testing.assert_close(l2_penalty(params, decay), expected, **EXACT)


def test_penalty_gradient_equals_autograd() -> None:
    """λW is added to the gradients of weights on top of what is there; those of biases stay."""
    params, decay = _params(), torch.tensor([2.0, 0.5], dtype=torch.float64)
    leaf = params.flat.clone().requires_grad_()
    (expected,) = torch.autograd.grad(l2_penalty(params.with_flat(leaf), decay).sum(), leaf)
    grads = params.with_flat(torch.full_like(params.flat, 3.0))
    add_l2_gradient(grads, params, decay)
    torch.testing.assert_close(grads.flat, 3 + expected, **EXACT)
    assert torch.equal(grads["l1.b"], torch.full((2, 3), 3.0, dtype=torch.float64))
    torch.testing.assert_close(grads["l1.W"][1], 3 + 0.5 * params["l1.W"][1], **EXACT)


PAIRS = {
    "squared_error": compose(HALF_SQUARED, elementwise(identity()), ("real",)),
    "binary_nll": compose(BINARY_NLL, elementwise(sigmoid()), ("binary",)),
    "softmax_nll": compose(CATEGORICAL_NLL, SOFTMAX, ("one_hot",)),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_closed_forms_equal_the_chain_rule(name: str) -> None:
    """Cost after output activation, composed, gives the value and the delta of the closed form."""
    closed, composed = build("loss", name), PAIRS[name]
    z, y = _case(closed)
    torch.testing.assert_close(composed.value(z, y), closed.value(z, y), **EXACT)
    torch.testing.assert_close(composed.delta(z, y), closed.delta(z, y), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(composed.predict(z), closed.predict(z), **EXACT)


@pytest.mark.parametrize("name", sorted(PAIRS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4, 1e30])
def test_composed_pairs_are_finite_wherever_closed_forms_are(name: str, dtype: torch.dtype, size: float) -> None:
    """Composed losses have the finite value and delta of their closed forms, also where a rounds to 0 or 1."""
    closed, composed = build("loss", name), PAIRS[name]
    z, y = (one.to(dtype) for one in _case(closed, batch=8))
    z = z.sign() * size if name != "squared_error" else z
    for one in (z, -z):
        value, delta = composed.value_and_delta(one, y)
        torch.testing.assert_close(value, closed.value(one, y), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(delta, closed.delta(one, y), rtol=1e-5, atol=1e-6)
        assert delta.isfinite().all()
        assert delta.dtype == value.dtype == dtype


@pytest.mark.parametrize(
    ("cost", "output"),
    [
        (CATEGORICAL_NLL, elementwise(tanh())),
        (BINARY_NLL, elementwise(relu())),
        (BINARY_NLL, elementwise(identity())),
        (BINARY_NLL, SOFTMAX),
    ],
)
def test_a_likelihood_of_what_has_no_logarithm_is_refused(cost: Cost, output: OutputActivation) -> None:
    """A likelihood is refused for an output that is no probability or whose ln would not be finite."""
    with pytest.raises(ConfigError, match=r"a likelihood needs an output whose ln a .* write SOFTMAX with"):
        compose(cost, output, ("one_hot",))
    compose(CATEGORICAL_NLL, SOFTMAX, ("one_hot",))  # as the message says
    compose(BINARY_NLL, elementwise(sigmoid()), ("binary",))


def test_a_categorical_likelihood_of_logistic_outputs() -> None:
    """The value is -Σ y ln σ(z) for logistic outputs, with a delta equal to autograd's."""
    loss = compose(CATEGORICAL_NLL, elementwise(sigmoid()), ("one_hot",))
    z, y = _case(loss)
    expected = -(y * torch.nn.functional.logsigmoid(z)).sum((1, 2)) / 5
    torch.testing.assert_close(loss.value(z, y), expected, **EXACT)
    _delta_is_the_derivative(loss, z, y)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_smoothing_equals_torch(smoothing: float) -> None:
    """Softmax: torch's label_smoothing. Logistic: torch's cost of y moved toward ½. Deltas are autograd's."""
    softmax, logistic = (build("loss", name, smoothing=smoothing) for name in ("softmax_nll", "binary_nll"))
    z, y = _case(softmax)
    expected = [cross_entropy(z[r], y[r].argmax(1), label_smoothing=smoothing) for r in range(3)]
    torch.testing.assert_close(softmax.value(z, y), torch.stack(expected), **EXACT)
    _delta_is_the_derivative(softmax, z, y)
    z, y = _case(logistic)
    moved = (1 - smoothing) * y + smoothing / 2
    expected = [binary_cross_entropy_with_logits(z[r], moved[r]) for r in range(3)]
    torch.testing.assert_close(logistic.value(z, y), torch.stack(expected), **EXACT)
    _delta_is_the_derivative(logistic, z, y)


def _delta_is_the_derivative(loss: Loss, z: Tensor, y: Tensor) -> None:
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss.value(leaf, y).sum(), leaf)
    torch.testing.assert_close(loss.delta(z, y), expected, **EXACT)


@pytest.mark.parametrize("name", [name for name in stems("activation") if name != "unit_step"])
def test_squared_error_of_any_output(name: str) -> None:
    """½‖f(z) - y‖² and its derivative by autograd, for every output activation with its own constants."""
    unit = build("activation", name)
    loss = squared_error(unit)
    z, y = _case(loss)
    constants = tuple(unit.constants.values())
    expected = (unit.forward(z, *constants) - y).square().sum((1, 2)) / 2 / 5
    torch.testing.assert_close(loss.value(z, y), expected, **EXACT)
    torch.testing.assert_close(loss.predict(z), unit.forward(z, *constants), **EXACT)
    _delta_is_the_derivative(loss, z, y)


def test_an_output_without_slope_is_refused() -> None:
    """A unit step as output activation is refused, since no gradient passes it."""
    with pytest.raises(ConfigError, match=r"loss.output: must have a slope, but f' of this one is 0 everywhere"):
        squared_error(unit_step())


def test_perceptron_rule_worked_by_hand() -> None:
    """(a - y)/B for z = (2, -1, 3, -4), y = (0, 1, 1, 0): only the first two are wrong, C = (2 + 1)/4."""
    loss = build("loss", "perceptron")
    z = torch.tensor([[[2.0], [-1.0], [3.0], [-4.0]]], dtype=torch.float64)
    y = torch.tensor([[[0.0], [1.0], [1.0], [0.0]]], dtype=torch.float64)
    assert loss.delta(z, y).flatten().tolist() == [0.25, -0.25, 0, 0]
    assert float(loss.value(z, y)) == 0.75
    assert loss.predict(z).flatten().tolist() == [1, 0, 1, 0]


def test_perceptron_of_a_tie_says_1() -> None:
    """The perceptron predicts 1 at z = 0: an example of class 0 moves W, one of class 1 does not, and neither costs."""
    loss, z = build("loss", "perceptron"), torch.zeros(1, 2, 1, dtype=torch.float64)
    y = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    value, delta = loss.value_and_delta(z, y)
    assert (float(value), delta.flatten().tolist()) == (0, [0.5, 0])
    assert loss.predict(z).flatten().tolist() == [1, 1]
    assert loss.winner(z).flatten().tolist() == [1, 1]


def test_winner_is_the_largest_output_and_of_one_output_what_is_above_a_half() -> None:
    """The first of equal outputs wins; exactly ½ is class 0, for logistic and affine outputs."""
    z = torch.tensor([[[-0.1], [0.0], [0.1]]], dtype=torch.float64)
    assert build("loss", "binary_nll").winner(z).tolist() == [[0, 0, 1]]
    assert build("loss", "squared_error").winner(z + 0.5).tolist() == [[0, 0, 1]]
    z = torch.tensor([[[1.0, 3.0, 2.0], [2.0, 1.0, 2.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
    for name in ("softmax_nll", "softmax_mse", "squared_error"):
        assert build("loss", name).winner(z).tolist() == [[1, 0, 0]]


@pytest.mark.slow
@pytest.mark.parametrize("lr", [1.0, 0.1])
def test_perceptron_converges_within_its_bound(lr: float) -> None:
    """The online perceptron makes at most (R/margin)² mistakes from W = 0 on separable points (Novikoff 1962)."""
    stream = torch.Generator().manual_seed(0)
    right = torch.tensor([0.6, -0.8, 0.0], dtype=torch.float64)  # unit length, with the bias as a third weight
    x = torch.randn(200, 2, generator=stream, dtype=torch.float64)
    longer = torch.cat([x, torch.ones(200, 1, dtype=torch.float64)], 1)
    distance = longer @ right
    x, longer, distance = (one[distance.abs() > 0.2] for one in (x, longer, distance))
    y = (distance > 0).double()
    bound = float(longer.square().sum(1).max() / distance.abs().min() ** 2)
    objective = Objective(perceptron_model(2, 1), build("loss", "perceptron"))
    params = Params.zeros(Layout({"l1.W": (1, 2), "l1.b": (1,)}), 1, x)
    grads = Params.zeros(params.layout, 1, x)
    mistakes = quiet = place = 0
    while quiet < len(x):
        one = slice(place % len(x), place % len(x) + 1)
        objective.gradients(params, grads, x[one].unsqueeze(0), y[one].view(1, 1, 1))
        wrong = bool(grads.flat.any())
        mistakes, quiet, place = mistakes + wrong, 0 if wrong else quiet + 1, place + 1
        params.flat.sub_(lr * grads.flat)
        assert mistakes <= bound
    z, _ = objective.model.forward(params, x.unsqueeze(0))
    assert torch.equal(objective.loss.predict(z).flatten(), y)
    assert mistakes > 1
