"""Nets of whole numbers: one worked by hand, and equations that must fail where a step of the derivation is wrong."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from workbench.experiments.backpropagation import exact_nets
from workbench.experiments.backpropagation.exact_nets import ExactNet

from workbench.lecture import textbook
from workbench.lecture.textbook import OneExample

SIDES = [
    exact_nets.through_z,
    exact_nets.through_next_layer,
    exact_nets.by_weight,
    exact_nets.by_bias,
    exact_nets.delta,
    exact_nets.hidden,
    exact_nets.output,
    *(partial(exact_nets.recursion, form=form) for form in exact_nets.FORMS.values()),
]
# f(z) = z²: z⁽²⁾ = 1·1 + 1 = 2, a⁽²⁾ = 4, z⁽³⁾ = 1·4 + 0 = 4, a⁽³⁾ = 16, J = ½ (16 - 0)² = 128
CHAIN = ExactNet(2, {1: [[1]], 2: [[1]]}, {1: [1], 2: [0]}, [1], [0])


def test_chain_of_three_units_worked_by_hand() -> None:
    """Chain of three units by hand: δ⁽³⁾ = 16 · 2·4 = 128, δ⁽²⁾ = 1 · 128 · 2·2 = 512."""
    values = CHAIN.run()
    assert (values.z, values.a, values.J) == ({2: [2], 3: [4]}, {1: [1], 2: [4], 3: [16]}, 128)
    slopes = {place: int(CHAIN.slope(place)) for place in (("z", 3, 0), ("z", 2, 0), ("a", 3, 0), ("a", 2, 0))}
    assert slopes == {("z", 3, 0): 128, ("z", 2, 0): 512, ("a", 3, 0): 16, ("a", 2, 0): 128}
    assert [int(CHAIN.slope(("W", l, 0, 0))) for l in (1, 2)] == [512, 4 * 128]  # noqa: E741
    assert [int(CHAIN.slope(("b", l, 0))) for l in (1, 2)] == [512, 128]  # noqa: E741


@pytest.mark.parametrize("sides", SIDES, ids=range(len(SIDES)))
def test_each_equation_holds_and_is_not_empty(sides: object) -> None:
    """Each equation holds exactly on nets of every shape, and some of its sides differ from 0."""
    nets = list(exact_nets.draw(np.random.default_rng(1), 5))
    checked, wrong, example = exact_nets.unequal(nets, sides)  # type: ignore[arg-type]
    assert (wrong, example) == (0, "")
    assert checked >= len(nets)
    assert any(left != 0 for net in nets for left, _ in sides(net))  # type: ignore[operator]


def test_weights_do_move_j_where_z_is_not_held() -> None:
    """Most weights change J where z is not held, so that the check of J's dependence is not empty."""
    nets = list(exact_nets.draw(np.random.default_rng(1), 5))
    moved = [net.run({("W", *at): 3}).J != net.run().J for net in nets for at in net.weights()]
    assert sum(moved) > len(moved) / 2


def test_numbers_of_the_lectures_forms_are_exact_in_float64() -> None:
    """Gradients of the widest and deepest nets with all signs equal stay below 2⁵³ in all forms of the lecture."""
    for degree, depths in exact_nets.DEPTHS.items():
        layers = range(1, max(depths))
        W, b = {one: [[1] * 3] * 3 for one in layers}, {one: [1] * 3 for one in layers}
        given, x, y = ExactNet(degree, W, b, [1] * 3, [-1] * 3).in_float64()
        _, dW, db = textbook.gradients(OneExample(), given, x, y)
        assert max(float(one.abs().max()) for one in (*dW.values(), *db.values())) < 2**53


def test_a_wrong_slope_is_noticed() -> None:
    """A wrong slope f′ = 3z for f = z² is noticed."""

    class Wrong(ExactNet):
        def in_float64(self) -> tuple[textbook.Net, torch.Tensor, torch.Tensor]:
            given, x, y = super().in_float64()
            f = replace(given.f, derivative=lambda z, a: 3 * z)
            return replace(given, f=f, output=textbook.regression(f)), x, y

    nets: list[ExactNet] = [Wrong(**vars(CHAIN))]
    wrong = exact_nets.unequal(nets, partial(exact_nets.recursion, form=OneExample()))
    assert wrong[:2] == (4, 4)
    assert wrong[2].startswith("1152.0 is not 512.0 in ")  # 3/2 for each of two layers


def test_an_index_that_is_swapped_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swapped indices are noticed where widths are equal: a_i in place of a_j, and W_ij in place of W_ji."""
    square = ExactNet(2, {1: [[1, 0], [1, 1]], 2: [[1, -1], [0, 1]]}, {1: [0, 1], 2: [1, 0]}, [1, 0], [0, 1])
    turned = replace(square, W={layer: [list(row) for row in zip(*W, strict=True)] for layer, W in square.W.items()})
    a, slope = turned.run().a, ExactNet.slope
    monkeypatch.setattr(ExactNet, "slope", lambda self, *by: slope(square, *by))
    assert a != square.run().a
    for sides in (exact_nets.by_weight, exact_nets.hidden):
        assert exact_nets.unequal([turned], sides)[1] > 0
