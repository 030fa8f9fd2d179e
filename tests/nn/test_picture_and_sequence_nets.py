"""Nets of convolutions: their sizes, torch's nets with the same weights, what they see, and what they refuse."""

from typing import Any

import pytest
import torch

from tests.nn.test_layers import _compare, _randn
from tests.nn.test_wide_layers import _backward, _params, _twins
from tests.reference import build
from workbench.core.errors import ConfigError
from workbench.nn.activations import relu, tanh
from workbench.nn.check.gradcheck import relative_error
from workbench.nn.check.torch_twin import in_torch_order
from workbench.nn.inputs import Inputs
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.model import Model
from workbench.nn.params import Params
from workbench.nn.picture_builders import cnn
from workbench.nn.sequence_builders import tcn

PICTURES = [(8, 8, 1), (16, 16, 1), (28, 28, 1), (9, 7, 3)]
TOKENS = Inputs((9,), vocabulary=5)


def _cnn(shape: tuple[int, ...], kernel: int = 3, norm: str = "none") -> Model:
    return cnn([2, 3], kernel, 2, [5], Inputs(shape), 4, tanh(), build("norm", norm))


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("shape", PICTURES)
def test_a_cnn_equals_its_torch_twin(shape: tuple[int, ...], norm: str) -> None:
    """Output and all gradients are those of torch's Conv2d, MaxPool2d and Linear, replica by replica."""
    model, mode = _cnn(shape, norm=norm), Mode(training=True)
    params, x = _params(model, 2), _randn(2, 3, Inputs(shape).size, seed=50)
    out, _ = model.forward(params, x, mode)
    assert out.shape == (2, 3, 4)
    grad_out = _randn(*out.shape, seed=51)
    grads, grad_in = _backward(model, params, x, grad_out, mode)
    for r, module in enumerate(_twins(model, params, True)):
        leaf = x[r].clone().requires_grad_()
        expected = module(leaf)
        expected.backward(grad_out[r])
        assert leaf.grad is not None
        assert relative_error(out[r], expected.detach()) < 1e-12
        assert relative_error(grad_in[r], leaf.grad) < 1e-10
        total = float(grads.flat.norm())
        for name, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            assert parameter.grad is not None
            ours = in_torch_order(grads[name][r], parameter.shape)
            assert relative_error(ours, parameter.grad, total * 1e-5) < 1e-10, name


@pytest.mark.parametrize("kernel", [1, 2, 5])
def test_kernels_keep_height_and_width(kernel: int) -> None:
    """A kernel of any size leaves 8 x 8 pixels, and two pools 2 x 2, with autograd's gradients."""
    model = _cnn((8, 8, 1), kernel)
    assert list(model.products()) == [(2, kernel**2), (3, 2 * kernel**2), (5, 12), (4, 5)]
    _compare(model, _randn(2, 3, 64))


def test_the_first_convolution_needs_no_gradient_of_pictures() -> None:
    """Without need of an input gradient none is computed below the first convolution, and the others are the same."""
    model = _cnn((8, 8, 1))
    params, x = _params(model, 2), _randn(2, 3, 64)
    out, tape = model.forward(params, x)
    with_input, without = (Params.zeros(params.layout.trained, 2, params.flat) for _ in range(2))
    assert model.backward(params, tape, out, with_input) is not None
    assert model.backward(params, tape, out, without, need_grad_in=False) is None
    assert torch.equal(with_input.flat, without.flat)


def _tcn(inputs: Inputs = TOKENS, per_position: bool = True, **sizes: Any) -> Model:
    given = {"width": 3, "blocks": None, "kernel": 2} | sizes
    return tcn(**given, inputs=inputs, n_out=4, per_position=per_position, activation=relu())


@pytest.mark.parametrize(("length", "kernel"), [(1, 1), (2, 2), (9, 2), (10, 2), (13, 3), (14, 3), (64, 3)])
def test_a_tcn_sees_a_whole_sequence(length: int, kernel: int) -> None:
    """The last output depends on the first token, with one block less it would not; no output depends on later ones."""
    model = _tcn(Inputs((length,), vocabulary=5), kernel=kernel, width=8)
    blocks = (len(model.layers) - 2) // 2
    for count, sees in ((blocks, True), (blocks - 1, False)):
        net = _tcn(Inputs((length,), vocabulary=5), kernel=kernel, width=8, blocks=count) if count else None
        if net is None or length == 1:
            continue
        params = _params(net)
        for view in params.values():
            view.abs_()  # all units are on, and pass on what they see
        tokens = torch.zeros(1, 1, length, dtype=torch.int64)
        changed = tokens.clone()
        changed[..., 0] = 1
        before, after = (net.forward(params, x)[0] for x in (tokens, changed))
        assert (not torch.equal(before[0, 0, -1], after[0, 0, -1])) == sees
        later = tokens.clone()
        later[..., -1] = 1
        assert torch.equal(net.forward(params, later)[0][:, :, :-1], before[:, :, :-1])


def test_a_tcn_equals_autograd_at_positions_and_at_the_last() -> None:
    """Gradients of all parameters, the embedding's among them, are autograd's."""
    for per_position in (True, False):
        model = _tcn(per_position=per_position)
        params = _params(model, 2)
        tokens = torch.randint(5, (2, 3, 9), generator=torch.Generator().manual_seed(0))
        leaf = params.flat.clone().requires_grad_()
        out, _ = model.forward(params.with_flat(leaf), tokens)
        assert out.shape == ((2, 3, 9, 4) if per_position else (2, 3, 4))
        grad_out = _randn(*out.shape, seed=1)
        (expected,) = torch.autograd.grad((out * grad_out).sum(), leaf)
        grads = Params.zeros(params.layout.trained, 2, params.flat)
        _, tape = model.forward(params, tokens)
        assert model.backward(params, tape, grad_out, grads, need_grad_in=False) is None
        torch.testing.assert_close(grads.flat, expected, rtol=1e-10, atol=1e-14)


def test_padding_changes_no_output() -> None:
    """The output of a padded sequence is that of the sequence alone, read at its last token."""
    long, short = (_tcn(Inputs((size,), vocabulary=5, padding=0), False, blocks=2) for size in (6, 4))
    params = _params(long)
    tokens = torch.tensor([[[1, 2, 3, 4]]])
    padded = torch.nn.functional.pad(tokens, (0, 2))
    out, alone = (net.forward(params, x, EVALUATION)[0] for net, x in ((long, padded), (short, tokens)))
    torch.testing.assert_close(out, alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("build_net", "message"),
    [
        (lambda: _cnn((64,)), r"a cnn reads pictures, but the data are features; write data=digits"),
        (lambda: _cnn((3, 8, 1)), r"2 pools of 2 x 2 pixels need pictures of 4 x 4 pixels or more, got 3 x 8; write"),
        (lambda: _tcn(Inputs((64,))), r"a tcn reads tokens, but the data are features; write data=recall"),
        (lambda: _tcn(kernel=1), r"must be 2 or more to see the 9 positions of a sequence, got 1; write"),
    ],
)
def test_what_does_not_fit_is_refused(build_net: Any, message: str) -> None:
    """Each error says what must hold, what came and what to write."""
    with pytest.raises(ConfigError, match=message):
        build_net()
