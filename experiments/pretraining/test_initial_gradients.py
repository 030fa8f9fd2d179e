"""Gradient factors and Jacobians at initial weights, where theory or autograd gives them."""

import numpy as np
import pytest
import torch
from workbench.experiments.pretraining import initial_gradients

SEEDS = range(20)


@pytest.mark.parametrize(("init", "factor"), [("uniform_fan_in", 1 / 3), ("glorot", 1), ("he", 2), ("orthogonal", 1)])
def test_n_var_w_is_that_of_the_scheme(init: str, factor: float) -> None:
    """n Var W is that of each scheme: U(±1/√n) has variance 1/3n, and so on."""
    assert initial_gradients.weight_factor(init, 64) == pytest.approx(factor)


@pytest.mark.parametrize("init", ["uniform_fan_in", "glorot", "he"])
def test_linear_layers_have_the_factor_of_theory(init: str) -> None:
    """Linear layers have the factor n Var W, to the noise of 20 nets; orthogonal layers have it exactly."""
    found = initial_gradients.gradient_factors("identity", init, SEEDS, 64, 4)
    assert found.mean() == pytest.approx(np.log(initial_gradients.weight_factor(init, 64)), abs=0.05)
    assert np.abs(initial_gradients.gradient_factors("identity", "orthogonal", SEEDS, 64, 4)).max() < 1e-12


def test_gradient_factors_equal_autograd() -> None:
    """A tanh net's gradient factor equals autograd's: squares of dC/dz in each hidden layer, C = δ·z of the last."""
    width, depth, seed = 5, 3, 7
    model, params, x = initial_gradients._nets("tanh", "he", [seed], width, depth)
    delta, a, kept = initial_gradients._normal([seed], width, 1)[0], x[0], []
    for number in range(1, depth + 1):
        z = (a @ params[f"l{number}.W"][0].T).requires_grad_()
        kept.append(z)
        a = torch.tanh(z)
    gradients = torch.autograd.grad((kept[-1] * delta).sum(), kept)
    squares = np.log([float(one.square().sum()) for one in gradients])
    expected = (squares[0] - squares[-1]) / (depth - 1)
    assert initial_gradients.gradient_factors("tanh", "he", [seed], width, depth)[0] == pytest.approx(
        expected, rel=1e-12
    )
    assert len(model.layers) == 2 * depth + 1


def test_singular_values_of_orthogonal_linear_layers_are_one() -> None:
    """Singular values are 1 in orthogonal linear layers, smaller in tanh layers, smallest by the standard scheme."""
    assert np.abs(initial_gradients.mean_singular_values("identity", "orthogonal", [0, 1], 16, 3) - 1).max() < 1e-12
    normalized, standard = (
        initial_gradients.mean_singular_values("tanh", init, SEEDS, 64, 4).mean()
        for init in ("glorot", "uniform_fan_in")
    )
    assert standard < normalized < 8 / (3 * np.pi)  # mean of the quarter circle law, for linear layers
