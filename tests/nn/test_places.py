"""Elementwise functions and products: exact, and the same bits at every place in a tensor."""

from collections.abc import Callable

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import build, stems
from workbench.nn.elementwise import log_one_plus_exp, logistic, logistic_chain, power, tanh_chain
from workbench.nn.products import product, product_into

DTYPES = [torch.float32, torch.float64]
SIZES = [1, 2, 3, 5, 7, 16, 17, 31, 33, 64, 65]
ACTIVATIONS = stems("activation")
POINTS = [sign * size for size in (1e-9, 0.3, 1.0, 3.7, 9.9, 15.2, 33.3, 36.9, 80.0, 300.0, 700.0) for sign in (1, -1)]


def _numbers(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype) * 4


def _both(name: str, dtype: torch.dtype) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    activation = build("activation", name, **({"degree": 7} if name == "monomial" else {}))
    constants = [torch.tensor(value, dtype=dtype) for value in activation.constants.values()]

    def both(z: Tensor) -> tuple[Tensor, Tensor]:
        a = activation.forward(z, *constants)
        return a, activation.derivative(z, a, *constants).to(dtype)

    return both


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 70), st.integers(0, 70), st.integers(0, 70), st.integers(0, 9))
def test_an_activation_has_one_value_at_all_places(
    name: str, dtype: torch.dtype, own: int, before: int, after: int, seed: int
) -> None:
    """f and f' of numbers alone, and of the same numbers with others before and after them."""
    f = _both(name, dtype)
    z = _numbers((1, 1, before + own + after), dtype, seed)
    alone, among = f(z[:, :, before : before + own].clone()), f(z)
    for one, other in zip(alone, among, strict=True):
        assert torch.equal(one, other[:, :, before : before + own])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("chain", "slope"), [(logistic_chain, lambda a: a * (1 - a)), (tanh_chain, lambda a: 1 - a.square())]
)
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 70), st.integers(0, 70), st.integers(0, 70), st.booleans(), st.integers(0, 9))
def test_a_chain_rule_has_one_value_at_all_places(
    chain: Callable[..., Tensor],
    slope: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    own: int,
    before: int,
    after: int,
    into: bool,
    seed: int,
) -> None:
    """grad · f' is the product within rounding; of numbers alone, and with others before and after them, it is one."""
    grad, a = _numbers((2, before + own + after), dtype, seed)
    a = (a / 4).clamp(-1, 1)
    among = chain(grad, a, torch.empty_like(a) if into else None)
    torch.testing.assert_close(among, grad * slope(a), rtol=1e-5, atol=1e-6)
    part = slice(before, before + own)
    assert torch.equal(chain(grad[part].clone(), a[part].clone()), among[part])


@pytest.mark.parametrize("loss", stems("loss"))
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10, deadline=None)
@given(st.sampled_from(SIZES), st.sampled_from([2, 3, 10]), st.integers(0, 9))
def test_a_loss_has_one_value_in_all_packs(loss: str, dtype: torch.dtype, batch: int, classes: int, seed: int) -> None:
    """C, delta and the output of one replica among three."""
    cost = build("loss", loss)
    classes = 1 if cost.accepts == ("binary",) else classes
    z = _numbers((3, batch, classes), dtype, seed)
    y = (z > z.mean(2, keepdim=True) if classes > 1 else z > 1).to(dtype)
    for place in range(3):
        own = slice(place, place + 1)
        value, delta = cost.value_and_delta(z[own].clone(), y[own].clone())
        values, deltas = cost.value_and_delta(z, y)
        assert torch.equal(value, values[own])
        assert torch.equal(delta, deltas[own])
        assert torch.equal(cost.predict(z[own].clone()), cost.predict(z)[own])


@pytest.mark.parametrize("dtype", DTYPES)
def test_logistic_and_softplus_are_exact_to_a_few_units(dtype: torch.dtype) -> None:
    """Logistic and softplus are within 4 units in the last place of 40-digit arithmetic, at both ends too."""
    eps, least = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    z = torch.tensor(POINTS, dtype=dtype)
    with mpmath.workdps(40):
        expected = [
            (1 / (1 + mpmath.exp(-mpmath.mpf(one))), mpmath.log1p(mpmath.exp(mpmath.mpf(one)))) for one in z.tolist()
        ]
    for got, right in zip(zip(logistic(z).tolist(), log_one_plus_exp(z).tolist(), strict=True), expected, strict=True):
        for one, exact in zip(got, right, strict=True):
            assert abs(one - float(exact)) <= 4 * eps * float(exact) + least


@pytest.mark.parametrize("exponent", range(9))
def test_power_is_repeated_multiplication(exponent: int) -> None:
    """z^n of small integers is exact."""
    z = torch.tensor([-3.0, -1.0, 0.0, 2.0, 5.0], dtype=torch.float64)
    assert power(z, exponent).tolist() == [one**exponent for one in z.tolist()]


def _turned(values: Tensor) -> Tensor:
    """The same numbers with columns in the place of rows in memory."""
    return values.transpose(1, 2).contiguous().transpose(1, 2)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*[st.sampled_from([1, *SIZES])] * 3),
    st.integers(2, 6),
    st.sampled_from(DTYPES),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(["none", "row", "column"]),
)
def test_a_product_is_the_same_alone_and_in_a_pack(
    sizes: tuple[int, int, int], replicas: int, dtype: torch.dtype, turned: tuple[bool, bool], plus: str
) -> None:
    """Products of any shape and memory order equal the exact ones, and have the same bits alone and in a pack."""
    rows, inner, columns = sizes
    left, right = _numbers((replicas, rows, inner), dtype, 0), _numbers((replicas, inner, columns), dtype, 1)
    shape = {"none": (1, 1), "row": (1, columns), "column": (rows, 1)}[plus]
    added = None if plus == "none" else _numbers((replicas, *shape), dtype, 2)
    lay = [_turned if one else torch.clone for one in turned]
    packed = product(lay[0](left), lay[1](right), added)
    exact = left.double() @ right.double() + (0 if added is None else added.double())
    torch.testing.assert_close(packed.double(), exact, rtol=1e-5, atol=1e-3 if dtype is torch.float32 else 1e-11)
    for r in range(replicas):
        own = slice(r, r + 1)
        alone = product(lay[0](left[own]), lay[1](right[own]), None if added is None else added[own].clone())
        assert torch.equal(alone, packed[own])
    if added is None:
        out = torch.zeros(replicas, rows * columns + 16, dtype=dtype)[:, 16:].view(replicas, rows, columns)
        product_into(out, lay[0](left), lay[1](right))
        assert torch.equal(out, packed)
