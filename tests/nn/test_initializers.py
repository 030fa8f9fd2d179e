"""Initial weights against the moments that theory gives them, and fan formulas against numbers worked by hand."""

import math

import pytest
import torch
from scipy import stats

from tests.reference import blobs, build, make_pack, stems
from workbench.core.seeds import generator
from workbench.engine.replicas import Pack
from workbench.nn.initializers import BiasInitializer, Initializer, Scheme, constant, normal_noise, uniform_noise
from workbench.nn.layers.dense import Dense
from workbench.nn.lsuv import TOLERANCE, to_unit_variance
from workbench.nn.model import Model
from workbench.nn.params import Params

NAMES = stems("init")
DRAWN = [name for name in NAMES if name != "constant"]
INDEPENDENT = [name for name in DRAWN if build("init", name).noise in (normal_noise, uniform_noise)]
FAN_OUT, FAN_IN = 250, 160  # 40,000 draws

# half-widths that a right scheme exceeds once in 1e9 draws, in standard errors
LIMIT = float(stats.norm.isf(0.5e-9))


def _sample(scheme: Initializer, seed: int = 0, fan_out: int = FAN_OUT, fan_in: int = FAN_IN) -> torch.Tensor:
    return scheme.sample(generator(seed, "weights", "l1.W"), fan_out, fan_in)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_moments_agree_with_theory(name: str) -> None:
    """Mean 0 and the variance that `std` states, each within what 40,000 draws allow; fourth moment of its noise."""
    scheme = build("init", name)
    W, n = _sample(scheme), FAN_OUT * FAN_IN
    std = scheme.std(FAN_IN, FAN_OUT)
    kurtosis = {normal_noise: 3.0, uniform_noise: 9 / 5}[scheme.noise]
    assert abs(float(W.mean())) < LIMIT * std / math.sqrt(n)
    assert abs(float(W.square().mean()) / std**2 - 1) < LIMIT * math.sqrt((kurtosis - 1) / n)
    assert float(W.pow(4).mean()) / std**4 == pytest.approx(kurtosis, rel=0.1)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_distribution_agrees_with_theory(name: str) -> None:
    """A Kolmogorov-Smirnov test against the stated distribution does not reject."""
    scheme = build("init", name)
    std = scheme.std(FAN_IN, FAN_OUT)
    edge = math.sqrt(3) * std
    law = {normal_noise: stats.norm(0, std), uniform_noise: stats.uniform(-edge, 2 * edge)}[scheme.noise]
    assert stats.kstest(_sample(scheme).flatten().numpy(), law.cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    ("name", "values", "fan_in", "fan_out", "expected"),
    [
        ("normal", {}, 7, 3, 0.01),  # whatever the layer's size
        ("normal", {"std": 0.5, "gain": 3.0}, 7, 3, 1.5),
        ("uniform_fan_in", {}, 12, 3, 1 / 6),  # U(±1/√12): half-width 0.2887, over √3
        ("uniform_fan_in", {"gain": 2.0}, 12, 3, 1 / 3),
        ("glorot", {}, 24, 8, 0.25),  # √(2/32)
        ("glorot", {"gain": 2.0}, 24, 8, 0.5),
        ("glorot_normal", {}, 24, 8, 0.25),
        ("glorot_normal", {"gain": 2.0}, 24, 8, 0.5),
        ("lecun", {}, 16, 3, 0.25),  # 1/√16, fan_in alone
        ("lecun", {"gain": 2.0}, 16, 3, 0.5),
        ("rai", {}, 4, 3, 0.30035),  # 0.6007/√4
        ("he", {}, 8, 3, 0.5),  # √(2/8), fan_in alone
        ("he", {"gain": 2.0}, 8, 3, 1.0),
    ],
)
def test_std_worked_by_hand(name: str, values: dict[str, float], fan_in: int, fan_out: int, expected: float) -> None:
    """The published formulas; fan_in and fan_out are not swapped, and the gain multiplies."""
    assert build("init", name, **values).std(fan_in, fan_out) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "half_width"), [("uniform_fan_in", 1 / math.sqrt(160)), ("glorot", math.sqrt(6 / 410))]
)
def test_uniform_schemes_fill_their_interval(name: str, half_width: float) -> None:
    """No weight lies outside ±half-width, and 40,000 draws come within a thousandth of it."""
    largest = float(_sample(build("init", name)).abs().max())
    assert 0.999 * half_width < largest <= half_width


@pytest.mark.parametrize("name", NAMES)
def test_shape_is_fan_out_by_fan_in(name: str) -> None:
    """Sampled weights are [fan_out, fan_in], in float64 on the CPU."""
    W = _sample(build("init", name), fan_out=3, fan_in=5)
    assert W.shape == (3, 5)
    assert W.dtype == torch.float64
    assert W.device.type == "cpu"


@pytest.mark.parametrize("name", DRAWN)
def test_schemes_of_one_noise_share_their_draws(name: str) -> None:
    """Common random numbers: W / std is the same unit noise for every scheme of its kind, and for every gain."""
    scheme = build("init", name)
    unit = _sample(scheme) / scheme.std(FAN_IN, FAN_OUT)
    noise = scheme.noise(generator(0, "weights", "l1.W"), (FAN_OUT, FAN_IN))
    torch.testing.assert_close(unit, noise, rtol=1e-13, atol=0)
    if name not in ("lsuv", "rai"):  # whose scales are part of them
        louder = build("init", name, gain=3.0)
        torch.testing.assert_close(_sample(louder), 3 * _sample(scheme), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", DRAWN)
def test_seeds_draw_apart_and_repeat_themselves(name: str) -> None:
    """Equal seeds give equal bits, other seeds give weights without correlation."""
    scheme = build("init", name)
    first, second = _sample(scheme, 0), _sample(scheme, 1)
    assert torch.equal(first, _sample(scheme, 0))
    correlation = float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])
    assert abs(correlation) < LIMIT / math.sqrt(first.numel())


@pytest.mark.parametrize("name", NAMES)
def test_float32_weights_are_rounded_float64_weights(name: str) -> None:
    """A pack in single precision starts from the same draws, rounded once."""
    row = Dense("l1", FAN_IN, FAN_OUT).init(0, Scheme(build("init", name), BiasInitializer(0.1)))
    for dtype in (torch.float32, torch.float64):
        params = Params.stack([row], dtype, torch.device("cpu"))
        assert torch.equal(params["l1.W"][0], row["l1.W"].to(dtype))
        assert torch.equal(params["l1.b"][0], row["l1.b"].to(dtype))


@pytest.mark.parametrize("name", [name for name in stems("bias") if name != "uniform"])
def test_biases_are_one_value(name: str) -> None:
    """b_i = value for every unit."""
    given = {"value": -1.5} if name == "constant" else {}
    expected = {"constant": -1.5, "zero": 0.0, "small_positive": 0.1}[name]
    b = build("bias", name, **given).sample(generator(0, "weights", "l1.b"), 4)
    assert b.tolist() == [expected] * 4
    assert b.dtype == torch.float64


def test_a_layer_does_not_depend_on_its_neighbors() -> None:
    """Each parameter has a stream of its own name: another layer before it leaves its draw as it was."""
    scheme = Scheme(build("init", "he"), BiasInitializer(0.0))
    alone = Model((Dense("l2", 4, 3),)).init(5, scheme)
    behind = Model((Dense("l1", 9, 4), Dense("l2", 4, 3))).init(5, scheme)
    assert torch.equal(alone["l2.W"], behind["l2.W"])
    assert not torch.equal(Dense("l1", 4, 3).init(5, scheme)["l1.W"], alone["l2.W"])


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize(("fan_out", "fan_in"), [(5, 8), (8, 5), (6, 6), (1, 4)])
def test_orthogonal_weights_have_one_singular_value(fan_out: int, fan_in: int, gain: float) -> None:
    """The whole spectrum is the gain, for wide, tall and square matrices."""
    W = _sample(build("init", "orthogonal", gain=gain), fan_out=fan_out, fan_in=fan_in)
    torch.testing.assert_close(torch.linalg.svdvals(W), torch.full((min(fan_out, fan_in),), gain).double())


@pytest.mark.slow
def test_orthogonal_weights_follow_haar() -> None:
    """Every entry of a Haar matrix in three dimensions is uniform on [-1, 1], and half of them are rotations."""
    draws = torch.stack([_sample(build("init", "orthogonal"), seed, 3, 3) for seed in range(600)])
    for i in range(3):
        for j in range(3):
            assert stats.kstest(draws[:, i, j].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-5
    assert stats.binomtest(int((torch.linalg.det(draws) > 0).sum()), 600).pvalue > 1e-5


def _lsuv_pack(seeds: list[int]) -> Pack:
    scheme = Scheme(build("init", "lsuv"), constant(0.3))
    return make_pack(blobs(300, 7, 5), seeds, activation="relu", hidden=[20, 30], schemes=[scheme] * len(seeds))


def test_lsuv_gives_every_layer_unit_variance() -> None:
    """LSUV gives each z variance 1 to within 0.01 on the first training examples, and the same weights in any pack."""
    pack = _lsuv_pack([3, 4])
    params = pack.initial_params()
    x = torch.cat([pack.data.first_examples(r) for r in range(2)])
    assert x.shape == (2, 239, 7)
    _, tape = pack.objective.model.forward(params, x)
    seen = list(pack.objective.model.preactivations(tape))
    assert [name for name, _ in seen] == ["l1.W", "l2.W", "l3.W"]
    for _, z in seen:
        variances = z.flatten(1).var(1, correction=0)
        assert float((variances - 1).abs().max()) < TOLERANCE == 0.01
    assert torch.equal(_lsuv_pack([4]).initial_params().flat[0], params.flat[1])


@pytest.mark.parametrize("size", [1.0, 1e160, 1e250])
def test_lsuv_scales_inputs_whose_squares_overflow(size: float) -> None:
    """LSUV gives unit variance for inputs whose squares overflow, instead of weights of 0."""
    model = Model((Dense("l1", 4, 6),))
    x = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * size
    weights = model.init(0, Scheme(build("init", "lsuv"), constant(0.0)))
    to_unit_variance(model, weights, {}, x)
    z = x[0] @ weights["l1.W"].T
    assert float(z.var(correction=0)) == pytest.approx(1, abs=TOLERANCE)


def test_lsuv_only_scales_and_leaves_a_layer_that_does_not_vary() -> None:
    """W keeps its directions; biases stay; where every z is the bias there is no variance to divide by."""
    model = Model((Dense("l1", 4, 3),))
    scheme = Scheme(build("init", "lsuv"), constant(0.3))
    before = model.init(0, scheme)
    noise = 3 * torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0)).double()
    for x, moves in ((noise, True), (torch.zeros_like(noise), False)):
        after = {name: value.clone() for name, value in before.items()}
        to_unit_variance(model, after, {}, x)
        ratio = after["l1.W"] / before["l1.W"]
        torch.testing.assert_close(ratio, ratio[0, 0].expand(3, 4))
        assert (abs(float(ratio[0, 0]) - 1) > 1e-3) == moves
        assert torch.equal(after["l1.b"], before["l1.b"])


def test_rai_puts_one_positive_number_into_each_row() -> None:
    """Each row of (W, b) has one Beta(2, 1) number at a uniform place, and N(0, 0.6007²/fan_in) elsewhere."""
    fan_out, fan_in, names = 4000, 9, ("l1.W", "l1.b")
    scheme = Scheme(build("init", "rai"), constant(0.0))
    W, b = scheme.sample(*(generator(0, "weights", name) for name in names), fan_out, fan_in)
    stream, std = generator(0, "weights", "l1.W"), 0.6007 / 3
    plain = torch.cat([std * normal_noise(stream, (fan_out, fan_in)), std * normal_noise(stream, (fan_out, 1))], 1)
    rows = torch.cat([W, b.unsqueeze(1)], 1)
    changed = (rows - plain).abs() > 1e-12
    assert (changed.sum(1) == 1).all()
    assert stats.kstest(rows[changed].numpy(), stats.beta(2, 1).cdf).pvalue > 1e-6
    assert float(rows[changed].mean()) == pytest.approx(2 / 3, abs=LIMIT * 0.236 / math.sqrt(fan_out))
    assert stats.chisquare(changed.sum(0).numpy()).pvalue > 1e-6
    for column in range(fan_in + 1):
        others = rows[:, column][~changed[:, column]]
        assert stats.kstest(others.numpy(), stats.norm(0, std).cdf).pvalue > 1e-6


def test_rai_adds_to_the_biases_chosen() -> None:
    """A bias of 5 stays the center of those that are not replaced."""
    streams = generator(0, "weights", "l1.W"), generator(0, "weights", "l1.b")
    _, b = Scheme(build("init", "rai"), constant(5.0)).sample(*streams, 4000, 9)
    kept = b[b > 2]
    assert 0.87 < len(kept) / 4000 < 0.93
    assert float(kept.mean()) == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_uniform_biases_fill_their_interval(gain: float) -> None:
    """U(±gain/√fan_in), by the layer's own fan_in."""
    b = Dense("l1", 16, 5000).init(0, Scheme(build("init", "he"), build("bias", "uniform", gain=gain)))["l1.b"]
    edge = gain / 4
    assert stats.kstest(b.numpy(), stats.uniform(-edge, 2 * edge).cdf).pvalue > 1e-6
    assert 0.99 * edge < float(b.abs().max()) <= edge


def test_constant_weights_are_one_value() -> None:
    """Every weight is `value`, from any seed."""
    assert _sample(build("init", "constant", value=0.25), seed=3).unique().tolist() == [0.25]
