"""Maxout, normalizations, residual and highway layers, dropout: torch.nn twins, numbers by hand, what each keeps."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from tests.reference import build, stems
from workbench.core.errors import ConfigError, ShapeError
from workbench.nn.activations import relu, tanh
from workbench.nn.builders import autoencoder, highway_mlp, maxout_mlp, mlp, residual_mlp
from workbench.nn.check.gradcheck import relative_error
from workbench.nn.check.torch_twin import copy_into, twin
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import EVALUATION, Layer, Mode
from workbench.nn.layers.batch_norm import BatchNorm, batch_norm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import WORD, Dropout, step_keys, words
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm, layer_norm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.norms import Norm, none
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model
from workbench.nn.params import Params

CPU = torch.device("cpu")
SCHEME = Scheme(he(), constant(0.1))
TRAINING = Mode(training=True)
NORMS: dict[str, Norm] = {name: build("norm", name) for name in stems("norm")}
LAYERS: dict[str, Layer] = {
    "dense": Dense("l1", 4, 3),
    "maxout": Maxout("l1", 4, 3, 2),
    "batch norm": BatchNorm("l1", 4, momentum=0.3, eps=1e-3),
    "layer norm": LayerNorm("l1", 4, eps=1e-3),
    "residual": Residual(Model((Dense("l1", 4, 4), Activate("l1", tanh()), BatchNorm("l1n", 4))), 0.5),
    "highway": Highway("l1", 4, tanh(), 0.5),
    "leaky": Activate("l1", build("activation", "leaky_relu", slope=0.2)),
}
for _name, _norm in NORMS.items():
    LAYERS |= {
        f"mlp, {_name}": mlp([5, 3], 4, 2, relu(), _norm),
        f"maxout_mlp, {_name}": maxout_mlp([5, 3], 3, 4, 2, _norm),
        f"residual_mlp, {_name}": residual_mlp(5, 2, 4, 2, tanh(), _norm, "post", "sqrt_depth", 2),
        f"residual_mlp before, {_name}": residual_mlp(5, 2, 4, 2, tanh(), _norm),
        f"residual_mlp activation first, {_name}": residual_mlp(5, 2, 4, 2, tanh(), _norm, order="activation_first"),
        f"highway_mlp, {_name}": highway_mlp(5, 2, 4, 2, tanh(), _norm),
        f"autoencoder, {_name}": autoencoder([3, 2], 4, 4, tanh(), _norm),
    }


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _params(layer: Layer, replicas: int = 1) -> Params:
    """Initial parameters, each moved by noise of its own."""
    rows = [layer.init(seed, SCHEME) for seed in range(replicas)]
    params = Params.stack(rows, torch.float64, CPU, [layer.buffers(SCHEME)] * replicas)
    for number, name in enumerate(params.layout.shapes):
        params[name].add_(0.3 * _randn(*params[name].shape, seed=number))
    return params


def _twins(layer: Layer, params: Params, training: bool) -> list[nn.Module]:
    """Return one torch module per replica with its parameters, and running statistics as a new module has them."""
    modules = []
    for replica in range(len(params.flat)):
        module = twin(layer).double()
        copy_into(module, params, replica)
        modules.append(module.train(training))
    return modules


def _backward(layer: Layer, params: Params, x: Tensor, grad_out: Tensor, mode: Mode) -> tuple[Params, Tensor]:
    grads = Params.zeros(params.layout.trained, len(x), x)
    for view in grads.values():
        view.fill_(5.0)  # stale numbers must be overwritten
    _, tape = layer.forward(params, x, mode)
    grad_in = layer.backward(params, tape, grad_out, grads)
    assert grad_in is not None
    return grads, grad_in


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_equal_their_torch_twins(name: str, replicas: int, training: bool) -> None:
    """Output, every parameter's gradient and the input's are torch's own, replica by replica."""
    layer, params = LAYERS[name], _params(LAYERS[name], replicas)
    x, mode = _randn(replicas, 5, 4, seed=50), TRAINING if training else EVALUATION
    out, _ = layer.forward(params, x, mode)
    grad_out = _randn(*out.shape, seed=51)
    grads, grad_in = _backward(layer, params, x, grad_out, mode)
    for r, module in enumerate(_twins(layer, params, training)):
        leaf = x[r].clone().requires_grad_()
        expected = module(leaf)
        expected.backward(grad_out[r])
        assert relative_error(out[r], expected.detach()) < 1e-12
        assert leaf.grad is not None
        assert relative_error(grad_in[r], leaf.grad) < 1e-10
        total = float(grads.flat.norm())
        assert len(list(module.parameters())) == len(grads)
        for own, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            assert parameter.grad is not None
            assert relative_error(grads[own][r], parameter.grad, total * 1e-5) < 1e-10, own


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_input_gradient_is_left_out_where_nobody_needs_it(name: str) -> None:
    """need_grad_in=False returns None and the same parameter gradients; arguments and tape are left alone."""
    layer, params, x = LAYERS[name], _params(LAYERS[name], 2), _randn(2, 5, 4)
    out, tape = layer.forward(params, x, TRAINING)
    before = params.flat.clone(), x.clone(), out.clone()
    grads, grad_in = _backward(layer, params, x, out, TRAINING)
    without = Params.zeros(params.layout.trained, 2, x)
    result = layer.backward(params, tape, out, without, need_grad_in=False)
    assert result is None
    assert torch.equal(grads.flat, without.flat)
    again = layer.backward(params, tape, out, without)
    assert torch.equal(grad_in, again)  # type: ignore[arg-type]
    for now, then in zip((params.flat, x, out), before, strict=True):
        assert torch.equal(now, then)


def test_cases_are_of_architectures() -> None:
    """The table of cases names existing architectures only."""
    named = {name.partition(",")[0].partition(" ")[0] for name in LAYERS if "," in name}
    assert named <= set(stems("architecture"))


# Batch normalization


def test_running_statistics_equal_torch() -> None:
    """Running averages after 5 training batches, and the evaluation by them, equal BatchNorm1d's to 1e-12."""
    layer = BatchNorm("l1", 4, momentum=0.3, eps=1e-3)
    params = _params(layer, 3)
    modules = _twins(layer, params, True)
    for number in range(5):
        x = 2 * _randn(3, 6, 4, seed=number) + number
        _, tape = layer.forward(params, x, TRAINING)
        layer.absorb(params, tape)
        for r, module in enumerate(modules):
            module(x[r])
    x = _randn(3, 6, 4, seed=9)
    out, _ = layer.forward(params, x)
    for r, module in enumerate(modules):
        assert relative_error(params["l1.running_mean"][r], module.running_mean) < 1e-12  # type: ignore[arg-type]
        assert relative_error(params["l1.running_var"][r], module.running_var) < 1e-12  # type: ignore[arg-type]
        assert relative_error(out[r], module.eval()(x[r]).detach()) < 1e-12


@pytest.mark.parametrize("name", [name for name in sorted(LAYERS) if "batch" in name or name == "residual"])
def test_running_statistics_rest_in_evaluation(name: str) -> None:
    """An evaluation pass moves nothing even where it is absorbed; a training pass moves every running average."""
    layer, params = LAYERS[name], _params(LAYERS[name], 2)
    before = params.flat.clone()
    layer.absorb(params, layer.forward(params, _randn(2, 5, 4))[1])
    assert torch.equal(params.flat, before)
    layer.absorb(params, layer.forward(params, _randn(2, 5, 4), TRAINING)[1])
    moved = {key for key in params if not torch.equal(params[key], params.with_flat(before)[key])}
    assert moved == {key for key in params if "running" in key}
    assert moved


def test_batch_norm_worked_by_hand() -> None:
    """(1, 3) has mean 2 and variance 1: n = ∓1; with gamma 2 and beta 1 out = (-1, 3); unbiased variance 2."""
    layer = BatchNorm("l1", 1, momentum=0.5, eps=1e-30)
    row = {"l1.gamma": torch.tensor([2.0]), "l1.beta": torch.tensor([1.0])}
    params = Params.stack([row], torch.float64, CPU, [layer.buffers(SCHEME)])
    out, tape = layer.forward(params, torch.tensor([[[1.0], [3.0]]]).double(), TRAINING)
    layer.absorb(params, tape)
    assert out.flatten().tolist() == [-1, 3]
    assert float(params["l1.running_mean"]) == 0.5 * 0 + 0.5 * 2
    assert float(params["l1.running_var"]) == 0.5 * 1 + 0.5 * 2


def test_a_batch_of_one_example_is_refused() -> None:
    """A training batch of one example, which has no variance, is refused by batch norm."""
    layer = BatchNorm("l1", 4)
    with pytest.raises(ShapeError, match="BatchNorm 'l1': a training pass needs 2 examples or more"):
        layer.forward(_params(layer, 2), _randn(2, 1, 4), TRAINING)


# Layer normalization, maxout, residual, highway


def test_layer_norm_worked_by_hand() -> None:
    """(1, 3) has mean 2 and variance 1; gamma (2, 3) and beta (1, 0) make (-1, 3). With grad (1, 0), grad_in is 0."""
    layer = LayerNorm("l1", 2, eps=1e-30)
    row = {"l1.gamma": torch.tensor([2.0, 3.0]), "l1.beta": torch.tensor([1.0, 0.0])}
    params = Params.stack([row], torch.float64, CPU)
    x = torch.tensor([[[1.0, 3.0]]], dtype=torch.float64)
    out, _ = layer.forward(params, x)
    assert out.flatten().tolist() == [-1, 3]
    grads, grad_in = _backward(layer, params, x, torch.tensor([[[1.0, 0.0]]]).double(), EVALUATION)
    # g = (2, 0): g - mean g = (1, -1); mean(g n) = -1, so n mean(g n) = (1, -1): the difference is 0
    assert grad_in.flatten().tolist() == [0, 0]
    assert grads["l1.gamma"].flatten().tolist() == [-1, 0]
    assert grads["l1.beta"].flatten().tolist() == [1, 0]


def test_maxout_worked_by_hand() -> None:
    """A maxout unit of pieces 2x + 1 and -x gives 3 at x = 1 and 1 at x = -1, with gradients worked by hand."""
    layer = Maxout("l1", 1, 1, 2)
    row = {"l1.W": torch.tensor([[2.0], [-1.0]]), "l1.b": torch.tensor([1.0, 0.0])}
    params = Params.stack([row], torch.float64, CPU)
    x = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    assert layer.forward(params, x)[0].flatten().tolist() == [3, 1]
    grads, grad_in = _backward(layer, params, x, torch.tensor([[[10.0], [100.0]]]).double(), EVALUATION)
    assert grads["l1.W"].flatten().tolist() == [10, -100]
    assert grads["l1.b"].flatten().tolist() == [10, 100]
    assert grad_in.flatten().tolist() == [20, -100]


def test_maxout_of_two_units_takes_the_maximum_over_pieces() -> None:
    """W holds piece by piece: with b = (1, 2, 5, 0) and two units the maxima are max(1, 5) and max(2, 0)."""
    layer = Maxout("l1", 1, 2, 2)
    row = {"l1.W": torch.zeros(4, 1), "l1.b": torch.tensor([1.0, 2.0, 5.0, 0.0])}
    params = Params.stack([row], torch.float64, CPU)
    assert layer.forward(params, _randn(1, 1, 1))[0].flatten().tolist() == [5, 2]


def test_maxout_ties_go_to_the_first_piece() -> None:
    """Equal pieces: the first receives the whole gradient."""
    layer = Maxout("l1", 1, 1, 3)
    row = {"l1.W": torch.tensor([[0.0], [1.0], [1.0]]), "l1.b": torch.zeros(3)}
    params = Params.stack([row], torch.float64, CPU)
    grads, _ = _backward(layer, params, torch.ones(1, 1, 1).double(), torch.ones(1, 1, 1).double(), EVALUATION)
    assert grads["l1.b"].flatten().tolist() == [0, 1, 0]


def test_maxout_draws_each_piece_like_a_layer() -> None:
    """Every piece has its own draw with the layer's own fans, so that no piece is a copy."""
    W = Maxout("l1", 50, 40, 3).init(0, Scheme(build("init", "glorot"), constant(0.5)))["l1.W"].view(3, 40, 50)
    assert [float(piece.std()) for piece in W] == pytest.approx([(2 / 90) ** 0.5] * 3, rel=0.05)
    assert not torch.equal(W[0], W[1])


def test_residual_adds_what_it_surrounds() -> None:
    """out = x + scale F(x), and the gates and units of F are its own."""
    inner = Dense("l1", 3, 3)
    layer, x = Residual(inner, 0.5), _randn(2, 4, 3)
    params = _params(layer, 2)
    torch.testing.assert_close(layer.forward(params, x)[0], x + 0.5 * inner.forward(params, x)[0])


def test_residual_names_a_wrong_shape() -> None:
    """The error says what must hold, what came and what to do."""
    layer = Residual(Dense("l1", 3, 4))
    message = (
        r"Residual: inner layers must preserve the shape \[2, 5, 3\], got \[2, 5, 4\]; "
        "give its last layer as many units as its first has inputs"
    )
    with pytest.raises(ShapeError, match=message):
        layer.forward(_params(layer, 2), _randn(2, 5, 3))


@pytest.mark.parametrize(("bias", "expected"), [(-800.0, "input"), (800.0, "transform")])
def test_highway_gate_shut_and_open(bias: float, expected: str) -> None:
    """A shut gate passes the input and its gradient as they are; an open one is a layer of units."""
    layer = Highway("l1", 3, tanh(), bias)
    rows = [layer.init(seed, SCHEME) for seed in range(2)]
    assert float(rows[0]["l1.gate.b"][0]) == bias
    params, x = Params.stack(rows, torch.float64, CPU), _randn(2, 4, 3)
    out, _ = layer.forward(params, x)
    grad_out = _randn(2, 4, 3, seed=1)
    grads, grad_in = _backward(layer, params, x, grad_out, EVALUATION)
    if expected == "input":
        assert torch.equal(out, x)
        assert torch.equal(grad_in, grad_out)
        assert not grads.flat.any()
    else:
        H = torch.tanh(layer.transform.forward(params, x)[0])
        torch.testing.assert_close(out, H, rtol=1e-12, atol=1e-15)
        assert not grads["l1.gate.W"].any()


# Dropout


def _mask(keys: list[int], rate: float = 0.3, batch: int = 20, units: int = 30, name: str = "l1") -> Tensor:
    """Return which inputs survive dropout for each replica's key."""
    x = torch.ones(len(keys), batch, units, dtype=torch.float64)
    out, _ = Dropout(name, rate).forward({}, x, Mode(True, torch.tensor(keys)))
    survived = out != 0
    torch.testing.assert_close(out, survived.double() / (1 - rate))
    return survived


def test_masks_depend_on_the_replicas_key_alone() -> None:
    """The same key draws the same mask alone and in any pack; another key, layer or step draws another."""
    packed = _mask([7, 1, 7, 2**32 - 1])
    assert torch.equal(packed[0], packed[2])
    for position, key in enumerate([7, 1, 7, 2**32 - 1]):
        assert torch.equal(_mask([key])[0], packed[position])
    others = [packed[1], _mask([7], name="l2")[0]]
    others += [_mask(step_keys(torch.tensor([7]), step).tolist())[0] for step in (1, 2, 1000)]
    for other in others:
        agreement = float((packed[0] == other).double().mean())
        assert abs(agreement - (0.7**2 + 0.3**2)) < 0.1  # as independent masks agree


@pytest.mark.slow
def test_keys_of_steps_differ() -> None:
    """20,000 steps of two replicas have as many keys, up to the few that chance makes equal in 2³²."""
    keys = torch.cat([step_keys(torch.tensor([5, 6]), step) for step in range(20_000)])
    assert len(keys.unique()) > 40_000 - 10
    assert 0 <= int(keys.min()) < int(keys.max()) < WORD


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_rate_is_the_share_of_zeros(rate: float) -> None:
    """The share of zeros is the rate, by replica, example and unit, within a binomial interval of level 1 - 1e-9."""
    zeros = ~_mask(list(range(10)), rate, batch=100, units=300)
    low, high = stats.binom.interval(1 - 1e-9, zeros.numel(), rate)
    assert low <= int(zeros.sum()) <= high
    for axes, size in (((1, 2), 30_000), ((0, 2), 3_000), ((0, 1), 1_000)):
        low, high = stats.binom.interval(1 - 1e-9, size, rate)
        counts = zeros.sum(axes)
        assert low <= int(counts.min())
        assert int(counts.max()) <= high


def test_expectation_is_kept() -> None:
    """The mean over masks is the input, within five standard errors."""
    x, rate, draws = _randn(1, 2, 3).expand(4000, 2, 3), 0.4, 4000
    keys = step_keys(torch.arange(draws), 3)
    mean = Dropout("l1", rate).forward({}, x, Mode(True, keys))[0].mean(0)
    error = x[0].abs() * (rate / (1 - rate) / draws) ** 0.5
    assert ((mean - x[0]).abs() < 5 * error).all()


def test_dropout_does_nothing_in_evaluation() -> None:
    """Output and gradient pass as they are, as fresh tensors, without keys."""
    layer, x = Dropout("l1", 0.5), _randn(2, 3, 4)
    out, tape = layer.forward({}, x)
    assert torch.equal(out, x)
    grad_in = layer.backward({}, tape, x, {})
    assert grad_in is not None
    assert torch.equal(grad_in, x)
    assert grad_in.data_ptr() != x.data_ptr() != out.data_ptr()
    assert layer.backward({}, tape, x, {}, need_grad_in=False) is None


def test_training_without_keys_is_refused() -> None:
    """The error names the layer and what is missing."""
    message = r"Dropout 'l3': a training pass needs Mode.keys \[R\], got None; give one per replica"
    with pytest.raises(ShapeError, match=message):
        Dropout("l3", 0.5).forward({}, _randn(2, 3, 4), TRAINING)


@pytest.mark.parametrize("axis", ["positions", "keys", "steps"])
def test_words_are_uniform(axis: str) -> None:
    """100,000 words over 256 bins by each byte: chi-square does not reject, nor the lag-one correlation."""
    draws: dict[str, Callable[[], Tensor]] = {
        "positions": lambda: words(torch.tensor([3]), "l1", 1000, 100),
        "keys": lambda: words(torch.arange(100_000), "l1", 1, 1),
        "steps": lambda: torch.stack([words(step_keys(torch.tensor([3]), t), "l1", 10, 10) for t in range(1000)]),
    }
    drawn = draws[axis]().flatten()
    assert drawn.numel() == 100_000
    for shift in (0, 8, 16, 24):
        counts = torch.bincount((drawn >> shift) & 255, minlength=256)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-6
    unit = drawn.double() / WORD - 0.5
    assert abs(float((unit[1:] * unit[:-1]).mean()) * 12) < 5 / len(unit) ** 0.5


# What holds of all


def test_noise_is_known_from_outside() -> None:
    """A model is noisy where a layer of it is, inside a residual too."""
    noisy, quiet = Dropout("l1", 0.5), Dense("l1", 3, 3)
    assert Model((quiet, Residual(Model((noisy,))))).is_noisy
    assert not Model((quiet, Residual(quiet))).is_noisy


def test_builders_place_norm_and_dropout() -> None:
    """affine, norm, activation, dropout; pre-norm inside the residual, post-norm after the sum; no layer at rate 0."""

    def kinds(model: Model) -> list[str]:
        inner: dict[str, Any] = {}
        for layer in model.layers:
            if isinstance(layer, Residual):
                assert isinstance(layer.inner, Model)
                inner[str(id(layer))] = f"Residual({'-'.join(kinds(layer.inner))})"
        return [inner.get(str(id(layer)), type(layer).__name__) for layer in model.layers]

    assert kinds(mlp([3], 2, 2, relu(), batch_norm(), 0.5)) == ["Dense", "BatchNorm", "Activate", "Dropout", "Dense"]
    assert kinds(mlp([3], 2, 2, relu(), none())) == ["Dense", "Activate", "Dense"]
    assert kinds(maxout_mlp([3], 2, 2, 2, layer_norm(), 0.5)) == ["Maxout", "LayerNorm", "Dropout", "Dense"]
    pre = ["Dense", "Residual(LayerNorm-Dense-Activate)", "LayerNorm", "Dense"]
    post = ["Dense", "Residual(Dense-Activate-Dropout)", "BatchNorm", "Dense"]
    assert kinds(residual_mlp(3, 1, 2, 2, relu(), layer_norm())) == pre
    assert kinds(residual_mlp(3, 1, 2, 2, relu(), batch_norm(), "post", dropout=0.5)) == post
    identity = ["Dense", "Residual(LayerNorm-Activate-Dense)", "LayerNorm", "Activate", "Dense"]
    assert kinds(residual_mlp(3, 1, 2, 2, relu(), layer_norm(), order="activation_first")) == identity
    sizes = [(5, 8), (3, 5), (2, 3), (3, 2), (5, 3), (8, 5)]
    assert list(autoencoder([5, 3, 2], 8, 8, relu()).products()) == sizes
    scaled = residual_mlp(3, 4, 2, 2, relu(), scale="sqrt_depth")
    assert [layer.scale for layer in scaled.layers if isinstance(layer, Residual)] == [0.5] * 4


def test_autoencoder_refuses_other_targets() -> None:
    """An autoencoder refuses a number of outputs other than its number of inputs."""
    with pytest.raises(ConfigError, match="an autoencoder must give back its 8 inputs, got 3 outputs to learn"):
        autoencoder([2], 8, 3, relu())


def test_every_layer_tells_its_preactivations() -> None:
    """Initialization by data sees each weight once, with the product it makes."""
    model = Model((*maxout_mlp([5], 2, 4, 4).layers, Highway("h", 4, tanh()), Residual(Dense("r", 4, 4))))
    params = _params(model, 2)
    _, tape = model.forward(params, _randn(2, 3, 4))
    seen = {name: tuple(z.shape) for name, z in model.preactivations(tape)}
    assert sorted(seen) == sorted(name for name in params if name.endswith(".W"))
    assert seen["l1.W"] == (2, 3, 10)
    assert set(chain(model.products())) == {(10, 4), (4, 5), (4, 4)}
