"""Figures of nets of positions against arrays worked by hand: maps of attention, gradients through time, filters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import workbench as wb
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.data.agreement import WORDS
from workbench.engine.replicas import Pack
from workbench.inspect.position_figures import EXAMPLES, decay, gradient_norms
from workbench.inspect.weight_figures import weight_figures
from workbench.nn.layers.cells import GRU, LSTM, Cell, Elman, Rows
from workbench.nn.params import Params

BITS = ("data=parity_stream", "data.length=6", "data.examples=40", "loss=softmax_nll", "dtype=float64")
ELMAN = ("architecture=elman", "architecture.width=2", "activation=identity")

SENTENCES = ("data=agreement", "data.clauses=1", "data.examples=40", "loss=softmax_nll", "dtype=float64")
ROWS = ("data=parity", "data.bits=4", "loss=binary_nll", "dtype=float64")  # read one by one


def _pack(*overrides: str) -> tuple[RunSpec, Pack, Params]:
    spec = wb.configure(*overrides)
    pack = build_pack([spec])
    return spec, pack, pack.initial_params()


def test_attention_is_drawn_with_names_and_without_padding() -> None:
    """With Q = 0 a causal row t has weights 1/(t + 1); the axes name the words of a sentence, not its padding."""
    spec, pack, params = _pack(*SENTENCES, "architecture=transformer", "architecture.blocks=1")
    params["l2.W"].zero_()
    params["l2.b"].zero_()
    figures = dict(weight_figures(spec, pack, params, "t"))
    assert list(figures) == ["attention_l2"]
    *panels, _colors = figures["attention_l2"].axes
    assert len(panels) == 4  # two examples, two heads
    sentences = pack.data.test.x[0].tolist()
    for axes, sentence in zip(panels, [sentences[0], sentences[0], sentences[1], sentences[1]], strict=True):
        words = [WORDS[token] for token in sentence if token]
        expected = np.tril(np.ones((len(words), len(words)))) / np.arange(1, len(words) + 1)[:, None]
        np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), expected, rtol=1e-6)
        assert [label.get_text() for label in axes.get_xticklabels()] == words
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [
        WORDS[token] for token in sentences[0] if token
    ]


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradients_of_a_linear_net_shrink_geometrically(gamma: float) -> None:
    """With f(z) = z and U = γ I each step back multiplies dC/dh by γ; at the target it is Wᵀ(h - y) of the output."""
    spec, pack, params = _pack(*BITS, *ELMAN)
    params["l2.state.W"][0].copy_(gamma * torch.eye(2))
    norms = gradient_norms(pack, params)["l2"]
    x, y = pack.data.chunk(pack.data.test, 0, 40)
    h = pack.objective.loss.predict(pack.objective.model.forward(params, x)[0])
    at_target = ((h - y)[0, :, -1] @ params["l3.W"][0]).norm(dim=1).mean().item()
    np.testing.assert_allclose(norms, at_target * gamma ** np.arange(6), rtol=1e-12)
    fitted = decay(norms)
    assert fitted is not None
    assert (fitted.gamma, fitted.c) == (pytest.approx(gamma), pytest.approx(at_target))
    (axes,) = dict(weight_figures(spec, pack, params, "t"))["gradient_through_time"].axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), norms)
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata(), float), norms)
    assert axes.lines[1].get_label() == f"l2: × {gamma:g} a step"


@pytest.mark.parametrize("data", [SENTENCES, ROWS], ids=["a target at a position, padded", "a target in all"])
@pytest.mark.parametrize("cell", [Elman, GRU, LSTM])
def test_gradients_through_time_are_autograd_s(
    cell: type[Cell], data: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The norm by steps from the target is that of autograd's dC/dh, without padding, in both directions."""
    name = cell.__name__.lower()
    spec, pack, params = _pack(*data, f"architecture={name}", "architecture.width=3", "architecture.bidirectional=true")
    padding = prepare(spec).dataset.padding
    of_layers = gradient_norms(pack, params, padding).values()
    x, y = pack.data.chunk(pack.data.test, 0, EXAMPLES)
    norms = _by_autograd(cell, pack, params, x, y, monkeypatch)
    last = norms.shape[2] - 1
    for sign, of_layer, by_example in zip((-1, 1), of_layers, norms.tolist(), strict=True):
        by_steps: dict[int, list[float]] = {}
        for example, row in enumerate(by_example):
            target = (last if sign < 0 else 0) if padding is None else int(y[0, example].any(1).int().argmax())
            for t, norm in enumerate(row):
                if sign * (t - target) >= 0 and (padding is None or x[0, example, t] != padding):
                    by_steps.setdefault(sign * (t - target), []).append(norm)
        expected = [np.mean(by_steps[steps]) for steps in sorted(by_steps)]
        np.testing.assert_allclose(of_layer, expected, rtol=1e-9, atol=1e-15)


def _by_autograd(
    cell: type[Cell], pack: Pack, params: Params, x: Tensor, y: Tensor, monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """Norms of dC/dh of both directions by example and position [2, B, T], with h moved by a tensor at each step."""
    added: list[Tensor] = []
    step = cell.step

    def moved_step(self: Cell, before: Rows, *rest: Any) -> Rows:
        h, *others = step(self, before, *rest)
        added.append(torch.zeros_like(h).requires_grad_())
        return h + added[-1], *others

    monkeypatch.setattr(cell, "step", moved_step)
    z, _ = pack.objective.model.forward(params.with_flat(params.flat.clone().requires_grad_()), x)
    costs = pack.objective.loss.value(z, y).sum() * y.shape[1]
    norms = torch.stack([gradient[0].norm(dim=1) for gradient in torch.autograd.grad(costs, added)], 1)
    ahead, back = norms.chunk(2, 1)
    return torch.stack([ahead, back.flip(1)])


def test_decay_leaves_zeros_out() -> None:
    """Truncated gradients are 0 from some step on, which has no logarithm; one number has no slope."""
    fitted = decay(np.array([8.0, 4.0, 2.0, 0.0]))
    assert fitted is not None
    assert fitted == pytest.approx((0.5, 8.0))
    assert decay(np.array([8.0, 0.0])) is None


def test_filters_of_a_convolution_are_pictures() -> None:
    """Picture o is W_o, row by row, of the kernel's size."""
    spec, pack, params = _pack("data=digits", "architecture=cnn", "architecture.channels=[4]", "loss=softmax_nll")
    ((name, figure),) = weight_figures(spec, pack, params, "t")
    assert name == "first_weights"
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(np.stack(shown[:4]), params["l1.W"][0].view(4, 3, 3).numpy())
