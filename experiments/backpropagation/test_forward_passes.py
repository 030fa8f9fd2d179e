"""Forward passes in all forms, and what must be found where one is wrong."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from torch import Tensor
from workbench.experiments.backpropagation import chain_rules, forward_passes, gradient_errors, printed_formulas
from workbench.experiments.backpropagation.random_problems import MATRICES, Problem

from workbench.lecture import textbook
from workbench.lecture.misprints import InputEverywhere
from workbench.lecture.textbook import ByLayer, ManyExamples, Net, OneExample
from workbench.nn.losses import squared_error
from workbench.nn.params import Params


def some(**where: object) -> list[Problem]:
    """Batches of two nets, of three and four layers."""
    shapes = {"activations": ["tanh"], "losses": ["softmax"], "layers": [3, 4], "examples": [2], "penalties": [0.0]}
    return list(gradient_errors.problems(np.random.default_rng(0), 2, **{**shapes, **where}))


@pytest.mark.parametrize("pair", forward_passes.PAIRS)
@pytest.mark.parametrize("loss", ["squared error of f", "softmax", "logistic"])
def test_forms_give_the_same_outputs(pair: str, loss: str) -> None:
    """Paired forms agree to 1e-14, in the shape of y; x in place of a agrees where there is no hidden layer."""
    for given in some(losses=[loss], layers=[3]):
        one, other = forward_passes.PAIRS[pair]
        assert forward_passes.outputs(given, one).shape == given.y.shape
        assert float(forward_passes.apart(given, one, other).max()) < 1e-14
    (square,) = some(losses=[loss], layers=[2])
    assert float(forward_passes.apart(square, InputEverywhere(), None).max()) < 1e-14  # no hidden layer: right


class Transposed(OneExample):
    """z = Wᵀ a + b."""

    def z(self, net: Net, a: ByLayer, l: int) -> Tensor:  # noqa: E741
        """(W⁽ˡ⁾)ᵀ a⁽ˡ⁾ + b⁽ˡ⁾."""
        return net.W[l].T @ a[l] + net.b[l]


def test_transposed_weights_are_noticed() -> None:
    """Transposed weights are noticed in a net of equal widths, where no shape clashes."""
    (given,) = some(layers=[3], equal=True)
    assert float(forward_passes.apart(given, Transposed(), None).max()) > 1e-3


def test_each_weight_leads_where_the_slide_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight and bias leads where the slide says; an engine with Wᵀ in place of W is noticed."""
    for given in some():
        found = forward_passes.misplaced(given)
        sizes = given.shape.sizes
        assert found.shape == (sum(n * (m + 1) for m, n in pairwise(sizes)), 2)
        assert float(found.max()) < 1e-14
    (given,) = some(layers=[3], equal=True)
    right = forward_passes.layers

    def transposed(given: Problem, params: Params) -> tuple[list[Tensor], list[Tensor]]:
        turned = params.with_flat(params.flat.clone())
        for name in ("l1.W", "l2.W"):
            turned[name].copy_(params[name].mT)
        return right(given, turned)

    monkeypatch.setattr(forward_passes, "layers", transposed)
    assert float(forward_passes.misplaced(given).max()) > 0.1


def test_softmax_layer_is_compared_with_its_rows() -> None:
    """The softmax layer equals that of its rows to 1e-14; outputs that are no softmax are noticed."""
    for given in some():
        assert float(forward_passes.softmax_apart(given).max()) < 1e-14
        other = replace(given, objective=replace(given.objective, loss=squared_error()))
        assert float(forward_passes.softmax_apart(other).min()) > 1e-3


def test_softmax_steps_lack_the_bias_alone() -> None:
    """Softmax steps lack the bias alone: all else is the gradient to rounding."""
    for given in some(examples=[1]):
        assert float(printed_formulas.but_softmax_bias(given).max()) < 1e-13
        assert float(printed_formulas.printed_error(given, printed_formulas.softmax_steps).min()) == 1


def test_two_classes_are_a_logistic_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """J and gradient of two classes are those of a logistic output; half of δ is noticed."""
    for given in some(outputs=2):
        assert given.shape.sizes[-1] == 2
        assert float(gradient_errors.apart(given, printed_formulas.as_logistic, MATRICES).max()) < 1e-14
        layers = range(1, len(given.shape.sizes))
        W, b = ({layer: given.params[f"l{layer}.{kind}"][0] for layer in layers} for kind in "Wb")
        net, x, y = Net(W, b, given.f, given.output), given.x[0].T, given.y[0].T
        J = textbook.objective(ManyExamples(), net, x, y).J
        assert float(printed_formulas.as_logistic(net, x, y, 0.0).J) == pytest.approx(float(J), rel=1e-12)
    halved = textbook.OutputLayer(textbook.logistic().h, textbook.logistic().cost, lambda h, y, z: (h - y) / 2)
    monkeypatch.setattr(textbook, "logistic", lambda: halved)
    assert float(gradient_errors.apart(some(outputs=2)[0], printed_formulas.as_logistic, MATRICES).min()) > 1e-3


@pytest.mark.parametrize("rule", ["univariate", "multivariate"])
def test_chain_rules_hold_for_random_polynomials(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chain rules hold exactly for random polynomials, and fail where a constant inner derivative is lost."""
    assert chain_rules.unequal(rule, np.random.default_rng(0), 5) == (0, "")
    made = getattr(chain_rules, rule)
    monkeypatch.setattr(chain_rules, rule, lambda rng: (made(rng)[0] + 1, made(rng)[1]))
    wrong, example = chain_rules.unequal(rule, np.random.default_rng(0), 5)
    assert wrong == 5
    assert " is not " in example
