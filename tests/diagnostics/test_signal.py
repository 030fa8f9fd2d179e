"""Signal propagation against closed forms, published fixed points, and wide nets drawn at random."""

from math import asin, erf, exp, inf, log, pi, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import blobs, build, make_pack
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.diagnostics.quadrature import legendre, normal_mean
from workbench.diagnostics.signal import expected, fixed_point, fixed_points
from workbench.engine.diagnostic_tables import SIGNAL
from workbench.engine.train import Trainer
from workbench.nn.activations import Activation, identity, relu, tanh
from workbench.nn.builders import highway_mlp, maxout_mlp, mlp, residual_mlp
from workbench.nn.initializers import (
    Initializer,
    Scheme,
    constant,
    constant_weights,
    glorot,
    he,
    lsuv,
    normal_noise,
    rai,
    uniform_bias,
)
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Mode, Recorder
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model
from workbench.nn.params import Params


def _mean(f: Any, mean: float, variance: float, kinks: tuple[float, ...] = ()) -> float:
    center, spread = (torch.tensor([[value]], dtype=torch.float64) for value in (mean, variance))
    return float(normal_mean(lambda z: [f(z)], center, spread, kinks)[0])


def test_rule_of_gauss_and_legendre_is_numpys() -> None:
    """Nodes and weights by eigenvalues are those of numpy."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    np.testing.assert_allclose(legendre()[0], nodes, atol=1e-14)
    np.testing.assert_allclose(legendre()[1], weights, atol=1e-14)


@pytest.mark.parametrize("mean", [-1.5, 0.0, 0.3])
@pytest.mark.parametrize("variance", [1e-12, 0.04, 1.0, 9.0, 1e4])
def test_means_have_their_closed_forms(mean: float, variance: float) -> None:
    """Gaussian means of polynomials, cos, relu and the normal CDF equal their closed forms at every variance."""
    s = sqrt(variance)
    phi, Phi = exp(-((mean / s) ** 2) / 2) / sqrt(2 * pi), (1 + erf(mean / s / sqrt(2))) / 2
    expected_values = [
        (lambda z: z, mean),
        (lambda z: z**2, mean**2 + variance),
        (torch.relu, mean * Phi + s * phi),
        (lambda z: z.relu() ** 2, (mean**2 + variance) * Phi + mean * s * phi),
        (lambda z: (z > 0).double(), Phi),
        (torch.special.ndtr, (1 + erf(mean / sqrt(2 * (1 + variance)))) / 2),
    ]
    for f, value in expected_values:
        assert _mean(f, mean, variance, (0.0,)) == pytest.approx(value, rel=1e-9, abs=1e-9)
    if variance <= 9:
        assert _mean(torch.cos, mean, variance) == pytest.approx(np.cos(mean) * exp(-variance / 2), abs=1e-9)


def test_mean_of_a_squared_error_function_is_an_arcsine() -> None:
    """E erf(z)² = (2/π) asin(2v/(1 + 2v)) for z ~ N(0, v) (Williams 1997)."""
    for variance in (0.01, 1.0, 50.0):
        value = 2 / pi * asin(2 * variance / (1 + 2 * variance))
        assert _mean(lambda z: torch.special.erf(z) ** 2, 0.0, variance) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "weight", "bias", "variance", "chi", "depth"),
    [
        (relu(), 2.0, 0.0, 1.0, 1.0, inf),  # he: every variance stays
        (relu(), 1.0, 0.0, 0.0, 0.5, 1 / log(2)),
        (relu(), 1.0, 1.0, 2.0, 0.5, 1 / log(2)),  # v = v/2 + 1
        (identity(), 0.5, 0.5, 1.0, 0.5, 1 / log(2)),
        (identity(), 1.0, 0.0, 1.0, 1.0, inf),
        (tanh(), 0.25, 0.0, 0.0, 0.25, 1 / log(4)),
        (tanh(), 1.0, 0.0, 0.0, 1.0, inf),  # criticality of tanh without bias (Poole et al. 2016)
    ],
)
def test_fixed_points_worked_by_hand(
    activation: Activation, weight: float, bias: float, variance: float, chi: float, depth: float
) -> None:
    """Variance, chi and the depth scale -1/log chi equal values worked by hand."""
    found = fixed_point(activation, weight, bias_variance=bias)
    assert found is not None
    assert found.variance == pytest.approx(variance, abs=1e-6)
    assert found.chi == pytest.approx(chi, abs=1e-6)
    assert found.depth == pytest.approx(depth, rel=1e-6)


def test_chaos_has_no_depth_scale_and_growth_no_fixed_point() -> None:
    """Tanh with σ_w = 1.5: chi above 1 at a variance that is its own image; relu with σ_w² = 3 grows for ever."""
    found = fixed_point(tanh(), 2.25)
    assert found is not None
    assert found.chi > 1
    assert found.depth is None
    assert 2.25 * _mean(lambda z: z.tanh() ** 2, 0.0, found.variance) == pytest.approx(found.variance, rel=1e-9)
    assert fixed_point(relu(), 3.0) is None


def test_fixed_point_beside_a_bias() -> None:
    """Identities with the bias b: v = w (v + b²), so w b²/(1 - w); relu's by its own map at the variance found."""
    found = fixed_point(identity(), 0.5, bias_mean=2.0)
    assert found is not None
    assert (found.variance, found.chi) == pytest.approx((4, 0.5))
    found = fixed_point(relu(), 0.8, bias_mean=0.5, bias_variance=0.1)
    assert found is not None
    image = 0.8 * _mean(lambda z: z.relu() ** 2, 0.5, found.variance, (0.0,)) + 0.1
    assert found.variance == pytest.approx(image, rel=1e-9)
    assert found.chi == pytest.approx(0.8 * (1 + erf(0.5 / sqrt(2 * found.variance))) / 2, rel=1e-9)


def test_square_layers_have_the_fixed_point_of_their_own_numbers() -> None:
    """Per layer, σ_w² = fan_in · Var W: 2 · 0.5² under he with gain 0.5, biases of variance 3/(3 · 4) at l2.

    Leaky relu with a replica's own slope of 0.5: E f'² = (1 + 0.25) / 2, so chi = 0.5 · 0.625.
    """
    leaky = build("activation", "leaky_relu")
    (slope,) = leaky.constants
    scheme = Scheme(he(0.5), uniform_bias(sqrt(3)), {slope: 0.5})
    found = fixed_points(mlp([4, 4, 8, 8], 3, 2, leaky), scheme)
    assert list(found) == ["l2", "l4"]
    for layer, fan_in in (("l2", 4), ("l4", 8)):
        point = found[layer]
        assert point is not None
        assert point.chi == pytest.approx(0.5 * 0.625)
        assert point.depth == pytest.approx(-1 / log(0.5 * 0.625))
        assert point.variance == pytest.approx(1 / fan_in / (1 - 0.5 * 0.625))
    assert fixed_points(mlp([4, 4], 3, 2, relu()), Scheme(he(2.0), constant())) == {"l2": None}


def test_no_depth_is_claimed_where_there_is_no_theory() -> None:
    """Nets with dropout, residuals, norms, no square layer or data-made weights have no fixed point."""
    plain = Scheme(he(), constant())
    for model in (
        mlp([4, 4], 3, 2, relu(), dropout=0.2),
        residual_mlp(4, 2, 3, 2, relu()),
        mlp([4, 4], 3, 2, relu(), build("norm", "layer")),
        mlp([5, 4], 3, 2, relu()),
    ):
        assert fixed_points(model, plain) == {}
    for weights in (lsuv(), rai(), constant_weights(0.1)):
        assert fixed_points(mlp([4, 4], 3, 2, relu()), Scheme(weights, constant())) == {}


def test_relu_under_he_keeps_the_second_moment() -> None:
    """He initialization under relu keeps q at the inputs' mean square in every layer, and chi at 1."""
    x = torch.randn(2, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = expected(mlp([50, 40, 30], 30, 3, relu()), [Scheme(he(), constant())] * 2, x)
    for layer in ("l1", "l2", "l3"):
        q, chi, _ = found[layer]
        assert q is not None
        assert chi is not None
        torch.testing.assert_close(q, x.square().mean((1, 2)))
        torch.testing.assert_close(chi, torch.ones(2, dtype=torch.float64))
    assert found["l4"].q is None
    # delta of l3: half of 3 outputs' weights of variance 2/30; then times 30/40 · 1, 40/50 · 1
    torch.testing.assert_close(found["l3"].delta, torch.full((2,), 0.5 * 3 * 2 / 30, dtype=torch.float64))
    torch.testing.assert_close(found["l1"].delta, found["l3"].delta * 30 / 40 * 40 / 50)


def test_linear_layers_multiply() -> None:
    """Linear layers with std = 0.1 and biases of variance 0.01/(3·fan_in) give q' = fan_in·0.01·q + that variance."""
    x = torch.ones(1, 4, 10, dtype=torch.float64)
    small = Initializer(normal_noise, lambda fan_in, fan_out: 0.1)
    found = expected(mlp([20, 20], 10, 2, identity()), [Scheme(small, uniform_bias(0.1))], x)
    first = 0.1 + 0.01 / 30
    second = 0.2 * first + 0.01 / 60
    assert [float(found[layer].q) for layer in ("l1", "l2")] == pytest.approx([first, second])  # type: ignore[arg-type]
    assert [float(found[layer].chi) for layer in ("l1", "l2")] == pytest.approx([0.1, 0.2])  # type: ignore[arg-type]


def test_a_residual_connection_adds_means_as_well_as_squares() -> None:
    """E (h + s f)² = E h² + s² E f² + 2 s E h E f: under std = 0.1 and the bias 0.5, identities, s = 0.7."""
    n, s, b, w = 20, 0.7, 0.5, 20 * 0.01
    inner = Model((Dense("l2", n, n), Activate("l2", identity())))
    top = (Dense("l3", n, n), Activate("l3", identity()), Dense("l4", n, 2))
    x = torch.ones(1, 4, n, dtype=torch.float64)
    small = Initializer(normal_noise, lambda fan_in, fan_out: 0.1)
    found = expected(Model((Dense("l1", n, n), Residual(inner, s), *top)), [Scheme(small, constant(b))], x)
    below = w + b**2
    within = w * below + b**2
    above = w * (below + s**2 * within + 2 * s * b * b) + b**2
    assert [float(found[layer].q) for layer in ("l2", "l3")] == pytest.approx([within, above])  # type: ignore[arg-type]
    assert float(found["l1"].delta / found["l3"].delta) == pytest.approx(w * (1 + s**2 * w))


WIDE = 800
NETS = {
    "mlp": lambda f: mlp([WIDE] * 3, 40, 30, f),
    "dropout": lambda f: mlp([WIDE] * 2, 40, 30, f, dropout=0.3),
    "residual": lambda f: residual_mlp(WIDE, 2, 40, 30, f, scale="sqrt_depth"),
    "residual, two layers": lambda f: residual_mlp(WIDE, 2, 40, 30, f, layers_per_block=2, order="activation_first"),
}


def _measured(model: Model, scheme: Scheme, x: Tensor) -> dict[str, tuple[float | None, float]]:
    """q and E delta² of one draw of the net, with gaussian deltas at the output that know nothing of it."""
    buffers = model.buffers(scheme)
    params = Params.stack([model.init(7, scheme)], torch.float64, torch.device("cpu"), [buffers])
    grads = Params.zeros(params.layout.trained, 1, params.flat)
    recorder = Recorder()
    z, tape = model.forward(params, x, Mode(training=True, keys=torch.tensor([3])))
    grad_out = torch.randn(z.shape, generator=torch.Generator().manual_seed(1)).double()
    model.backward(params, tape, grad_out, grads, recorder=recorder)
    q = {name: float(a.square().mean()) for name, _, a in model.activity(tape)}
    return {name: (q.get(name), float(delta.square().mean())) for name, delta in recorder.deltas.items()}


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("net", NETS)
def test_wide_nets_do_as_expected(net: str, activation: str) -> None:
    """800 units, one draw of all weights: second moments of a and delta within 12 % of the theory's."""
    model = NETS[net](build("activation", activation))
    scheme = Scheme(glorot(1.3), constant(0.1))
    x = torch.randn(1, 64, 40, generator=torch.Generator().manual_seed(2)).double() * 1.5
    theory, found = expected(model, [scheme], x), _measured(model, scheme, x)
    assert theory.keys() == found.keys()
    for name, (q, delta) in found.items():
        if q is not None:
            assert float(theory[name].q) == pytest.approx(q, rel=0.12), name  # type: ignore[arg-type]
        assert float(theory[name].delta) == pytest.approx(delta, rel=0.12), name


def test_nothing_is_claimed_where_there_is_no_theory() -> None:
    """Normalized, highway and maxout nets have no expected signal; replicas with other weights have NaN."""
    x = torch.ones(1, 3, 5, dtype=torch.float64)
    plain, net = Scheme(he(), constant()), mlp([4], 5, 2, relu())
    for model in (
        highway_mlp(4, 1, 5, 2, tanh()),
        maxout_mlp([4], 2, 5, 2),
        mlp([4], 5, 2, relu(), build("norm", "batch")),
    ):
        assert expected(model, [plain], x) == {}
    silent = [Scheme(weights, constant()) for weights in (lsuv(), rai(), constant_weights(0.1))]
    mixed = expected(net, [silent[0], plain, *silent[1:]], x.expand(4, -1, -1))
    alone = expected(net, [plain], x)
    assert list(mixed) == ["l1", "l2"]
    for layer, found in mixed.items():
        for own, among in zip(alone[layer], found, strict=True):
            if own is not None and among is not None:
                assert among.isnan().tolist() == [True, False, True, True]
                assert float(among[1]) == float(own)
            assert (own is None) == (among is None)


def test_the_table_of_a_run_puts_both_side_by_side() -> None:
    """Each replica's own scheme: he under relu keeps q = 1 on standardized inputs, half the gain a quarter of it."""
    full = call("diagnostics", option("diagnostics", "full"))
    schemes = [Scheme(he(), constant()), Scheme(he(0.5), constant())]
    pack = make_pack(blobs(200, 16, 4), [0, 1], activation="relu", hidden=[400, 400], schemes=schemes, lr=0.0)
    trainer = Trainer(pack, 160, full)
    list(trainer.run(1))
    for r, gain in enumerate((1.0, 0.25)):
        table = trainer.observer.tables(r)["signal"]
        assert list(table) == ["layer", *SIGNAL]
        assert table["layer"] == ["l1", "l2", "l3"]
        assert table["q_expected"][:2] == pytest.approx([gain, gain**2], rel=1e-6)
        assert table["q_measured"][:2] == pytest.approx(table["q_expected"][:2], rel=0.2)
        assert table["delta_measured"] == pytest.approx(table["delta_expected"], rel=0.2)
        assert table["chi"] == [pytest.approx(gain), pytest.approx(gain), None]
        assert table["q_expected"][2] is table["q_measured"][2] is None
