"""Receptive field of a temporal convolutional net: the formula, Jacobians by autograd, exact zeros before it."""

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.inspect.receptive_field import EXAMPLES, field, jacobian_norms
from workbench.inspect.weight_figures import has_weight_figure, weight_figures
from workbench.nn.layers.embedding import Embedding
from workbench.nn.params import Params

STREAM = ("data=parity_stream", "data.length=24", "data.examples=40", "loss=softmax_nll", "dtype=float64")
SENTENCES = ("data=agreement", "data.clauses=2", "data.examples=40", "loss=softmax_nll", "dtype=float64")
TCN = ("architecture=tcn", "architecture.width=3", "activation=tanh")  # no unit is off, which would be 0 too


def _pack(*overrides: str) -> tuple[RunSpec, Pack, Params]:
    spec = wb.configure(*overrides, *TCN)
    pack = build_pack([spec])
    return spec, pack, pack.initial_params()


@pytest.mark.parametrize(("kernel", "blocks", "expected"), [(3, 1, 5), (3, 2, 13), (2, 3, 15), (5, 1, 9), (3, 4, 61)])
def test_the_output_sees_the_field_and_nothing_before_it(kernel: int, blocks: int, expected: int) -> None:
    """1 + 2 (k - 1)(2^blocks - 1): each step inside has a norm above 0, each before exactly 0."""
    sizes = f"architecture.kernel={kernel}", f"architecture.blocks={blocks}"
    _, pack, params = _pack(*STREAM, *sizes)
    norms = jacobian_norms(pack, params)
    assert field(pack.objective.model) == expected == 1 + 2 * (kernel - 1) * (2**blocks - 1)
    assert len(norms) == 24
    assert (norms[:expected] > 0).all()
    assert (norms[expected:] == 0).all()


@pytest.mark.parametrize("data", [STREAM, SENTENCES], ids=["a target at each position", "one target, padded"])
def test_norms_are_those_of_autograd_s_jacobian(data: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """At each step from an example's last target, the mean over examples of the norm of ∂o/∂x by autograd."""
    spec, pack, params = _pack(*data, "architecture.blocks=1", "norm=layer")
    padding = prepare(spec).dataset.padding
    norms = jacobian_norms(pack, params, padding)
    x, y = pack.data.chunk(pack.data.test, 0, EXAMPLES)
    embedded: list[torch.Tensor] = []
    model = pack.objective.model
    right = Embedding.forward

    def followed(self: Any, *args: Any) -> Any:
        out, tape = right(self, *args)
        embedded.append(out.detach().requires_grad_())
        return embedded[-1], tape

    monkeypatch.setattr(Embedding, "forward", followed)
    by_step: dict[int, list[float]] = {}
    for example in range(x.shape[1]):
        tokens = x[:, example : example + 1]
        o = model.forward(params, tokens)[0][0, 0]
        there = y[0, example].any(-1)
        target = int(there.nonzero().max())
        rows = [torch.autograd.grad(one, embedded[-1], retain_graph=True)[0][0, 0] for one in o[target]]
        of_positions = torch.stack(rows).square().sum((0, 2)).sqrt()
        for t in range(target + 1):
            by_step.setdefault(target - t, []).append(float(of_positions[t]))
    expected = [np.mean(by_step[step]) for step in sorted(by_step)]
    np.testing.assert_allclose(norms, expected, rtol=1e-9, atol=1e-15)


def test_the_figure_draws_the_field_and_marks_zeros() -> None:
    """The shaded steps are those of the formula, the line has the norms above 0, the crosses the others."""
    spec, pack, params = _pack(*STREAM, "architecture.blocks=2")
    assert has_weight_figure(spec)
    (axes,) = dict(weight_figures(spec, pack, params, "t"))["receptive_field"].axes
    norms = jacobian_norms(pack, params)
    measured, zeros = axes.lines
    np.testing.assert_allclose(np.asarray(measured.get_ydata(), float)[:13], norms[:13])
    assert [*zeros.get_xdata()] == [*range(13, 24)]
    assert axes.patches[0].get_label() == "seen: 1 + Σ (k − 1) d = 13"
