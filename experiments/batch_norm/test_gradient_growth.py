"""The factor of a normalized layer's gradient: against closed forms, an inequality, and nets."""

from math import pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench.experiments.batch_norm.gradient_growth import growth, measured_growth

from tests.reference import stems
from workbench.config.compose import configure_each
from workbench.config.prepare import build_pack
from workbench.nn import activations

SMOOTH = [name for name in stems("activation") if name not in ("unit_step", "monomial", "hard_tanh")]


@pytest.mark.parametrize(
    ("name", "factor"), [("identity", 1.0), ("relu", pi / (pi - 1)), ("absolute", pi / (pi - 2)), ("tanh", 1.178)]
)
def test_closed_forms(name: str, factor: float) -> None:
    """Growth has closed forms by Var max(0, n) = 1/2 − 1/2π and Var |n| = 1 − 2/π; tanh's is from Monte Carlo below."""
    assert growth(getattr(activations, name)()) == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize("name", SMOOTH)
def test_against_samples_and_never_below_one(name: str) -> None:
    """Growth equals that of a million samples and is never below 1, by the Gaussian Poincaré inequality."""
    activation = getattr(activations, name)()
    n = torch.randn(1, 1, 1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    constants = [torch.tensor(value, dtype=n.dtype) for value in activation.constants.values()]
    a = activation.forward(n, *constants)
    sampled = activation.derivative(n, a.clone(), *constants).square().mean() / a.var()
    assert growth(activation) == pytest.approx(float(sampled), rel=0.02)
    assert growth(activation) >= 1 - 1e-9


@pytest.mark.slow
@settings(max_examples=20)  # two integrals each
@given(st.floats(0.1, 5))
def test_a_scaled_rectifier_grows_as_much(slope: float) -> None:
    """The factor does not know the scale of f: f = slope · z is linear, and 4σ − 2 grows as σ."""
    sigmoid = activations.scaled_sigmoid(slope, 0.3)
    assert growth(sigmoid) == pytest.approx(growth(activations.sigmoid()), rel=1e-9)


@pytest.mark.slow
def test_a_wide_relu_net_grows_as_predicted() -> None:
    """Within 5 % per layer at width 256, and not at all where nothing is normalized (He's weights)."""
    found = []
    for norm in ("batch", "none"):
        width = f"architecture.hidden=[{','.join(['256'] * 14)}]"
        pack = build_pack(configure_each(["data=digits", "activation=relu", f"norm={norm}", width], [{"seed": 7}]))
        x, y = pack.data.chunk(pack.data.train, 0, 256)
        found.append(float(measured_growth(pack.objective, pack.initial_params(), x, y, 6)[0]))
    assert found == pytest.approx([torch.tensor(pi / (pi - 1)).log().item(), 0.0], abs=0.06)
