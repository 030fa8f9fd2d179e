"""Hand-written gradients of nets drawn at random: any layers in any order, any units, any loss, alone and in packs."""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import build, stems, targets
from workbench.nn.check.gradcheck import (
    AUTOGRAD_TOLERANCE,
    ROUNDING_UNITS,
    SINGLE_TOLERANCE,
    against_autograd,
    autograd,
    relative_error,
)
from workbench.nn.initializers import Scheme, constant, he
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, forward_at
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.losses import Loss, squared_error
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params

ACTIVATIONS = {name: build("activation", name) for name in stems("activation")}
LOSSES: list[Loss] = [build("loss", name) for name in stems("loss")] + [
    build("loss", "binary_nll", smoothing=0.2),
    build("loss", "softmax_nll", smoothing=0.2),
    *(squared_error(unit) for unit in ACTIVATIONS.values() if unit.max_slope > 0),
]
TOLERANCES = {torch.float64: AUTOGRAD_TOLERANCE, torch.float32: SINGLE_TOLERANCE}
ILL_CONDITIONED = 0.01  # of the tolerance: a batch norm of what is nearly constant divides by its rounding
ROUNDINGS = 8
KEEPING = ("units", "dense", "maxout", "batch norm", "layer norm", "highway", "dropout")
KINDS = (*KEEPING, "residual")


def _layers(draw: Any, kind: str, name: str, fan_in: int, fan_out: int) -> list[Layer]:
    """Draw a layer of this kind; only Dense and Maxout can change the number of units."""
    unit = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
    match kind:
        case "units":
            return [Dense(name, fan_in, fan_out), Activate(name, unit)]
        case "dense":
            return [Dense(name, fan_in, fan_out)]
        case "maxout":
            return [Maxout(name, fan_in, fan_out, draw(st.integers(1, 3)))]
        case "batch norm":
            return [BatchNorm(name, fan_in)]
        case "layer norm":
            return [LayerNorm(name, fan_in)]
        case "highway":
            return [Highway(name, fan_in, unit)]
        case "dropout":
            return [Dropout(name, draw(st.sampled_from([0.1, 0.5, 0.8])))]
    inner = draw(st.lists(st.sampled_from(KEEPING), min_size=1, max_size=3))
    rows = (_layers(draw, one, f"{name}.{number}", fan_in, fan_in) for number, one in enumerate(inner))
    return [Residual(Model(tuple(chain.from_iterable(rows))), draw(st.sampled_from([1.0, 0.5])))]


def _model(draw: Any, n_out: int) -> tuple[Model, int]:
    """A model of up to 6 layers and an affine one, and its number of inputs."""
    width = n_in = draw(st.integers(1, 5))
    layers: list[Layer] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=6)), start=1):
        fan_out = draw(st.integers(1, 5)) if kind in ("units", "dense", "maxout") else width
        layers += _layers(draw, kind, f"l{number}", width, fan_out)
        width = fan_out
    return Model((*layers, Dense("last", width, n_out))), n_in


def _params(model: Model, replicas: int, stream: torch.Generator) -> Params:
    """Initial parameters moved by noise, so that no gain is 1 and no shift 0; buffers of each replica's own."""
    scheme = Scheme(he(), constant(0.1))
    rows = [model.init(seed, scheme) for seed in range(replicas)]
    params = Params.stack(rows, torch.float64, torch.device("cpu"), [model.buffers(scheme)] * replicas)
    for view in params.values():
        view.add_(torch.rand(view.shape, generator=stream, dtype=torch.float64).sub_(0.5).mul_(0.6))
    return params


def in_the_last_bit(values: Tensor, stream: torch.Generator) -> Tensor:
    """Change values at random by about one unit in the last place."""
    if not values.is_floating_point():
        return values
    noise = torch.randn(values.shape, generator=stream, dtype=values.dtype)
    return values * (1 + torch.finfo(values.dtype).eps * noise)


@dataclass(frozen=True)
class Rounding(Layer):
    """A layer whose output, and the gradient that autograd passes through it, is changed in the last bit."""

    takes_positions: ClassVar[bool] = True

    inner: Layer
    stream: torch.Generator

    @property
    def children(self) -> tuple[Layer, ...]:
        """The layer whose output is rounded."""
        return (self.inner,)

    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Any]:
        """The inner layer's output, changed in the last bit."""
        out, tape = forward_at(self.inner, params, x, mode)
        return in_the_last_bit(out, self.stream), tape

    def backward(self, *_: Any) -> None:
        """Autograd's alone is asked for."""
        raise NotImplementedError


def rounded(layer: Layer, stream: torch.Generator) -> Layer:
    """The same layers, each of which rounds its output in its own way."""
    match layer:
        case Model(layers):
            return Model(tuple(rounded(inner, stream) for inner in layers))
        case Residual(inner, scale):
            return Rounding(Residual(rounded(inner, stream), scale), stream)
    return Rounding(layer, stream)


def moved_by_rounding(objective: Objective, params: Params, x: Tensor, y: Tensor, mode: Mode) -> dict[str, float]:
    """How far autograd's own gradient moves, by parameter, when weights, inputs and layers' outputs do by a bit.

    The largest of several, relative to the parameter's gradient, with the floor that the check has.
    """
    stream, dtype = torch.Generator().manual_seed(0), params.flat.dtype
    before = autograd(objective, params, x, y, mode)
    floor = ROUNDING_UNITS * torch.finfo(dtype).eps * float(before.flat.norm()) / TOLERANCES[dtype]
    in_bits = replace(objective, model=rounded(objective.model, stream))
    farthest = dict.fromkeys(before, 0.0)
    for _ in range(ROUNDINGS):
        flat, inputs = in_the_last_bit(params.flat, stream), in_the_last_bit(x, stream)
        after = autograd(in_bits, params.with_flat(flat), inputs, y, mode)
        farthest = {name: max(far, relative_error(after[name], before[name], floor)) for name, far in farthest.items()}
    return farthest


@pytest.mark.slow
@settings(max_examples=1000)
@given(data=st.data())
def test_gradients_of_many_random_nets_equal_autograd(data: st.DataObject) -> None:
    """Gradients equal autograd's to 1e-10 for 1000 more random nets."""
    test_gradients_of_random_nets_equal_autograd.hypothesis.inner_test(data)


@settings(max_examples=150)
@given(data=st.data())
def test_gradients_of_random_nets_equal_autograd(data: st.DataObject) -> None:
    """Gradients equal autograd's to 1e-10 for every parameter of random nets, in training and evaluation."""
    loss = data.draw(st.sampled_from(LOSSES))
    n_out = 1 if loss.accepts[0] == "binary" else data.draw(st.integers(2, 4))
    model, n_in = _model(data.draw, n_out)
    replicas, training = data.draw(st.integers(1, 4)), data.draw(st.booleans())
    batch = data.draw(st.integers(2 if training else 1, 9))
    stream = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    x = torch.randn(replicas, batch, n_in, generator=stream, dtype=torch.float64)
    y = targets(loss.accepts, (replicas, batch, n_out), stream)
    mode = Mode(True, torch.randint(2**32, (replicas,), generator=stream)) if training else EVALUATION
    decay = data.draw(st.sampled_from([None, 0.01])) and torch.rand(replicas, generator=stream, dtype=torch.float64)
    params = _params(model, replicas, stream)
    assert_like_autograd(Objective(model, loss, decay), params, x, y, mode)


def assert_like_autograd(objective: Objective, params: Params, x: Tensor, y: Tensor, mode: Mode) -> None:
    """Assert that every parameter's gradient is autograd's, unless rounding alone moves autograd's own."""
    before, tolerance = params.flat.clone(), TOLERANCES[params.flat.dtype]
    hand, errors = against_autograd(objective, params, x, y, mode)
    assert torch.equal(params.flat, before)
    assert (AUTOGRAD_TOLERANCE, SINGLE_TOLERANCE) == (1e-10, 1e-3)
    assert list(errors) == list(hand) == list(params.layout.trained.slots)
    wrong = {name: error for name, error in errors.items() if not error < tolerance}
    if wrong:
        moved = moved_by_rounding(objective, params, x, y, mode)
        assume(any(moved[name] < ILL_CONDITIONED * tolerance for name in wrong))
        raise AssertionError((wrong, {name: moved[name] for name in wrong}))
