"""Activations against autograd, their torch twins and their own declared properties, at z from -1e4 to 1e4."""

import math

import pytest
import torch
from torch import Tensor

from tests.reference import ACTIVATION_TWINS, build, stems
from workbench.nn.activations import Activation
from workbench.nn.check.central_differences import TWO_POINTS, around, slopes

NAMES = stems("activation")


def _grid(dtype: torch.dtype = torch.float64) -> Tensor:
    """z as [R, B, U]: dense around 0, sparse out to ±1e4, never 0 itself."""
    tails = torch.logspace(-6, 4, 60, dtype=dtype)
    middle = torch.linspace(0.013, 39.9, 60, dtype=dtype)
    positive = torch.cat([tails, middle])
    return torch.cat([-positive, positive]).reshape(2, 10, 12)


def _value(activation: Activation, z: Tensor) -> Tensor:
    return activation.forward(z, *_constants(activation, z))


def _slope(activation: Activation, z: Tensor) -> Tensor:
    return activation.derivative(z, _value(activation, z), *_constants(activation, z))


def _constants(activation: Activation, z: Tensor) -> list[Tensor]:
    return [torch.full((1, 1, 1), value, dtype=z.dtype) for value in activation.constants.values()]


def _autograd(activation: Activation, z: Tensor) -> Tensor:
    leaf = z.clone().requires_grad_()
    a = _value(activation, leaf)
    return torch.autograd.grad(a.sum(), leaf)[0] if a.requires_grad else torch.zeros_like(z)  # none through a step


@pytest.mark.parametrize("name", NAMES)
def test_derivative_equals_autograd_of_forward(name: str) -> None:
    """f'(z, a) is the derivative of f, in the middle (where softplus turns linear too) and far out in both tails."""
    activation, z = build("activation", name), _grid()
    torch.testing.assert_close(_slope(activation, z), _autograd(activation, z), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_equals_central_differences(name: str) -> None:
    """A reference that shares no code with autograd: (f(z+h) - f(z-h)) / 2h with the error h² allows."""
    activation, h = build("activation", name), 1e-5
    z = _grid().clamp(-30, 30)
    z = z[(z.abs() > 2 * h)].reshape(1, 1, -1)
    moved = around(z.view(-1, 1), torch.zeros(1, dtype=torch.int64), h, TWO_POINTS).squeeze()  # [N, 2]
    numeric = slopes(_value(activation, moved[None])[0], h, TWO_POINTS).view_as(z)
    torch.testing.assert_close(_slope(activation, z), numeric, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", sorted(ACTIVATION_TWINS))
def test_forward_equals_torch_twin(name: str) -> None:
    """f is what torch computes under the same name."""
    z = _grid()
    torch.testing.assert_close(_value(build("activation", name), z), ACTIVATION_TWINS[name](z), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_finite_and_keep_dtype(name: str, dtype: torch.dtype) -> None:
    """No overflow and no NaN at ±1e4 in either precision, for f and for f'."""
    activation, z = build("activation", name), _grid(dtype)
    for values in (_value(activation, z), _slope(activation, z)):
        assert values.dtype == dtype
        assert values.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_float32_rounds_float64(name: str) -> None:
    """Single precision is as good as it can be: within a few roundings of the double values at the same z."""
    activation, z = build("activation", name), _grid(torch.float32)
    for single, double in (
        (_value(activation, z), _value(activation, z.double())),
        (_slope(activation, z), _slope(activation, z.double())),
    ):
        torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("name", NAMES)
def test_kinks_take_the_declared_side(name: str) -> None:
    """The slope at a kink is the limit from its declared side, and f or f' jumps at each declared kink."""
    activation = build("activation", name)
    for kink, side in activation.kinks.items():
        z = torch.tensor([kink - 1e-9, kink, kink + 1e-9], dtype=torch.float64).reshape(1, 1, 3)
        left, at, right = _slope(activation, z).flatten().tolist()
        below, _, above = _value(activation, z).flatten().tolist()
        assert at == pytest.approx({"left": left, "right": right, "mean": (left + right) / 2}[side], abs=1e-8)
        assert abs(left - right) > 1e-3 or abs(above - below) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_undeclared_kinks_do_not_exist(name: str) -> None:
    """Away from the declared kinks, f' changes by no more over 1e-6 than a smooth function can."""
    activation = build("activation", name)
    z = torch.arange(-8, 8, 1e-3, dtype=torch.float64)
    step = 1e-6
    near = torch.zeros_like(z, dtype=torch.bool)
    for kink in activation.kinks:
        near |= (z - kink).abs() <= 2 * step
    z = z[~near].reshape(1, 1, -1)
    assert float((_slope(activation, z + step) - _slope(activation, z - step)).abs().max()) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_the_closure_of_the_range(name: str) -> None:
    """No value lies outside the bounds, and values near 0 or at ±1e12 reach each bound or grow without one."""
    activation = build("activation", name)
    middle = torch.linspace(-3, 3, 600001, dtype=torch.float64)
    ends = torch.tensor([-1e12, 0, 1e12], dtype=torch.float64)
    a = _value(activation, torch.cat([middle, ends]).reshape(1, 1, -1))
    low, high = activation.bounds
    assert float(a.min()) >= low
    assert float(a.max()) <= high
    for bound, reached in ((low, float(a.min())), (high, float(a.max()))):
        assert abs(reached) > 1e3 if math.isinf(bound) else reached == pytest.approx(bound, abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_max_slope_is_the_supremum(name: str) -> None:
    """abs(f') never exceeds max_slope and comes within 1e-6 of it; saturation is measured by it."""
    activation = build("activation", name)
    z = torch.cat([_grid().flatten(), torch.linspace(-5, 5, 20001, dtype=torch.float64)]).reshape(1, 1, -1)
    reached = float(_slope(activation, z).abs().max())
    assert reached <= activation.max_slope
    if math.isinf(activation.max_slope):
        assert reached > 1e3
    else:
        assert reached == pytest.approx(activation.max_slope, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_all_or_none_slopes_are_zero_or_the_supremum(name: str) -> None:
    """`all_or_none` is true exactly where each slope is 0 or `max_slope` and `max_slope` is above 0."""
    activation, z = build("activation", name), _grid()
    found = set(_slope(activation, z).unique().tolist())
    assert activation.all_or_none == (found <= {0.0, activation.max_slope} and activation.max_slope > 0)


@pytest.mark.parametrize("name", NAMES)
def test_functions_leave_their_arguments_alone(name: str) -> None:
    """f and f' are pure and f' returns a fresh tensor: the backward pass overwrites it."""
    activation, z = build("activation", name), _grid()
    before = z.clone()
    a = _value(activation, z)
    kept = a.clone()
    assert a.data_ptr() != z.data_ptr()
    activation.derivative(z, a, *_constants(activation, z)).fill_(7)
    assert torch.equal(z, before)
    assert torch.equal(a, kept)


def test_values_worked_by_hand() -> None:
    """The lecture's formulas at z = ln 3: logistic 3/4 with slope 3/16, tanh 4/5 with slope 9/25, softplus ln 4."""
    z = torch.full((1, 1, 1), math.log(3), dtype=torch.float64)
    expected = {
        "identity": (math.log(3), 1),
        "sigmoid": (3 / 4, 3 / 16),
        "tanh": (4 / 5, 9 / 25),
        "relu": (math.log(3), 1),
        "softplus": (math.log(4), 3 / 4),
    }
    for name, (value, slope) in expected.items():
        activation = build("activation", name)
        assert float(_value(activation, z)) == pytest.approx(value, rel=1e-14)
        assert float(_slope(activation, z)) == pytest.approx(slope, rel=1e-14)
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    assert float(_slope(build("activation", "relu"), zero)) == 0


@pytest.mark.parametrize(("beta", "shift", "drop"), [(1, 0, math.log(2)), (5, 0, 0), (10, 0.3, 0.1)])
def test_softplus_is_sharpened_shifted_and_dropped(beta: float, shift: float, drop: float) -> None:
    """Softplus with beta, shift and drop equals its formula, has autograd's slope, and stays above -drop."""
    activation, z = build("activation", "softplus", beta=beta, shift=shift, drop=drop), _grid().clamp(-30, 30)
    expected = torch.log1p(torch.exp(beta * (z - shift))) / beta - drop
    torch.testing.assert_close(_value(activation, z), expected, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(_slope(activation, z), _autograd(activation, z), rtol=1e-10, atol=1e-15)
    assert float(_value(activation, z).min()) >= activation.bounds[0] == -drop
