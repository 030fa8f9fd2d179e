"""Check what losses pass back, against autograd; the regularizer; and what bounded outputs cannot fit."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from workbench.experiments.losses import loss_factors

from workbench.core.axes import PerReplicaTensor
from workbench.data.datasets import diabetes
from workbench.nn import objective
from workbench.nn.params import Params

Z = np.concatenate([-np.logspace(-6, 1.4, 40), np.logspace(-6, 1.4, 40)])


def test_the_squared_error_behind_a_logistic_output_has_the_factor() -> None:
    """The squared error behind a logistic output has the factor f′ to 1e-15: at most 1/4, next to 0 where saturated."""
    found = loss_factors.logistic_factor(Z)
    assert found.off.max() < 1e-15
    assert found.share.max() <= 0.25 + 1e-12
    assert found.share[np.abs(np.tile(Z, 2)) > 20].max() < 1e-8


def test_the_squared_error_behind_a_softmax_has_its_jacobian() -> None:
    """The factor equals autograd for one example; it is at most 1/K, which two equal classes of ten come near."""
    z = np.random.default_rng(0).normal(0, 3, (20, 10))
    near = np.full((1, 10), -40.0)
    near[0, :2] = 0
    found = loss_factors.softmax_factor(np.concatenate([z, near]))
    assert found.off.max() < 1e-15
    assert 0.0999 < found.share.max() <= 0.1 + 1e-12
    leaf = torch.tensor(z[:1], requires_grad=True)
    torch.nn.functional.mse_loss(leaf.softmax(1), torch.eye(10, dtype=torch.float64)[:1]).backward()
    assert leaf.grad is not None
    expected = leaf.grad.norm() / (leaf.detach().softmax(1) - torch.eye(10, dtype=torch.float64)[:1]).norm()
    assert found.share[0] == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("weight_decay", [0.01, 1.0])
def test_the_penalty_reaches_weights_alone(weight_decay: float) -> None:
    """The penalty in J, and its gradients of weights and biases, are as the lecture prints them."""
    assert max(loss_factors.penalty(weight_decay, 3)) < 1e-13


def test_a_penalty_that_reaches_something_else_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number sees its own mistake: no penalty in J, its gradient twice, and one on biases, in this order."""
    right = objective.add_l2_gradient

    def twice(grads: Params, params: Params, weight_decay: PerReplicaTensor) -> None:
        right(grads, params, weight_decay)
        right(grads, params, weight_decay)

    def on_biases(grads: Params, params: Params, weight_decay: PerReplicaTensor) -> None:
        right(grads, params, weight_decay)
        grads["l2.b"].add_(0.25)

    def found(name: str, wrong: object) -> list[bool]:
        with monkeypatch.context() as patch:
            patch.setattr(objective, name, wrong)
            return [value > 0.01 for value in loss_factors.penalty(1.0, 3)]

    assert found("l2_penalty", lambda params, weight_decay: 0 * weight_decay) == [True, False, False]
    assert found("add_l2_gradient", twice) == [False, True, False]
    assert found("add_l2_gradient", on_biases) == [False, False, True]


def test_a_bounded_output_cannot_fit_raw_targets() -> None:
    """y is 25 to 346: the best of a logistic output is 1 everywhere; where it can reach every y, R² is 1."""
    y = diabetes().y[:, 0]
    assert (y.min(), y.max()) == (25, 346)
    assert float(loss_factors.best_r2(0, 1)) == pytest.approx(r2_score(y, np.ones_like(y)), rel=1e-12)
    assert loss_factors.best_r2(0, 1) < -3
    assert loss_factors.best_r2(0, 346) == Fraction(1)
    assert float(loss_factors.best_r2(0, 100)) == pytest.approx(r2_score(y, y.clip(0, 100)), rel=1e-12)
