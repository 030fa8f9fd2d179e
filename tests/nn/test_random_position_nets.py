"""Nets of tokens, sequences and pictures drawn at random: their gradients, and their bits alone and in packs."""

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.nn.test_random_nets import ACTIVATIONS, KEEPING, LOSSES, _layers, _params, assert_like_autograd
from tests.reference import targets
from workbench.nn.check.gradcheck import by_hand
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Layer, Mode, within
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.cells import GRU, LSTM, Elman
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import masked
from workbench.nn.layers.pool import MaxPool, MeanPool
from workbench.nn.layers.positions import Positions
from workbench.nn.layers.readout import Last, Mean
from workbench.nn.layers.recurrent import ORTHOGONAL, Bidirectional, Recurrent
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.tied_output import TiedOutput
from workbench.nn.layers.views import Flatten, Unflatten
from workbench.nn.model import Model
from workbench.nn.objective import Objective
from workbench.nn.params import Params
from workbench.nn.position_loss import at_positions

DTYPES = [torch.float64, torch.float32]
AT_POSITIONS = [loss for loss in LOSSES if "positions" in loss.accepts]
WIDTH, PADDING = st.integers(1, 5), 0
Draw = Callable[[st.SearchStrategy[Any]], Any]
Shape = tuple[int, ...]  # of an example: positions, then units


class Problem(NamedTuple):
    """An objective with parameters [R, P] and a batch."""

    objective: Objective
    params: Params
    x: Tensor
    y: Tensor
    mode: Mode

    def of(self, replica: int) -> "Problem":
        """The problem of one replica alone."""
        rows = slice(replica, replica + 1)
        mode = self.mode if self.mode.keys is None else self.mode._replace(keys=self.mode.keys[rows])
        params = self.params.with_flat(self.params.flat[rows].clone())
        return Problem(self.objective, params, self.x[rows].clone(), self.y[rows].clone(), mode)


def _cell_layer(draw: Draw, name: str, units: int, width: int) -> Layer:
    """Draw a recurrent layer of one direction or both, with whole or truncated backpropagation."""
    cell = draw(st.sampled_from([Elman(), GRU(), LSTM()]))
    if isinstance(cell, Elman):
        cell = Elman(ACTIVATIONS[draw(st.sampled_from(["tanh", "relu", "leaky_relu", "sigmoid"]))])
    truncate, initial = draw(st.sampled_from([None, 1, 2, 5])), draw(st.sampled_from([None, ORTHOGONAL]))

    def one(own: str, reverse: bool) -> Recurrent:
        return Recurrent(own, units, width, cell, reverse, truncate, initial)

    if draw(st.booleans()):
        return Bidirectional(one(name, False), one(f"{name}.reverse", True))
    return one(name, draw(st.booleans()))


def _of_sequence(draw: Draw, kind: str, name: str, shape: Shape, fixed: bool) -> Layer:
    """Draw a layer of sequences; where `fixed`, one that keeps the shape."""
    time, units = shape
    width = units if fixed else draw(WIDTH)
    match kind:
        case "conv1d":
            return Conv1d(name, units, width, draw(st.integers(1, 4)), draw(st.integers(1, 3)))
        case "attention":
            heads = draw(st.sampled_from([count for count in range(1, units + 1) if units % count == 0]))
            return Attention(name, units, heads, draw(st.booleans()))
        case "positions":
            return Positions(name, time + draw(st.integers(0, 2)), units, draw(st.booleans()))
        case "pool":
            return draw(st.sampled_from([MaxPool, MeanPool]))(draw(st.integers(1, min(3, time))))
    return _cell_layer(draw, name, units, width)


def _of_picture(draw: Draw, kind: str, name: str, shape: Shape) -> Layer:
    rows, columns, channels = shape
    if kind == "pool":
        return draw(st.sampled_from([MaxPool, MeanPool]))(draw(st.integers(1, min(3, rows, columns))))
    kernel, padding = draw(st.tuples(*[st.integers(1, 3)] * 2)), draw(st.tuples(*[st.integers(0, 2)] * 4))
    dilation = draw(st.integers(1, 2))
    inside = [rows + padding[0] + padding[1], columns + padding[2] + padding[3]]
    if any(dilation * (size - 1) >= side for size, side in zip(kernel, inside, strict=True)):
        kernel = (1, 1)
    return Conv2d(name, channels, draw(WIDTH), kernel, draw(st.integers(1, 2)), dilation, padding)


OF_SEQUENCES, OF_PICTURES = ("conv1d", "attention", "positions", "cell", "pool"), ("conv2d", "pool")


def _body(draw: Draw, shape: Shape, keeps_time: bool, depth: int = 5) -> list[Layer]:
    """Draw up to `depth` layers for examples of this shape, the last shape being that of the last layer's output."""
    own = OF_PICTURES if len(shape) == 3 else OF_SEQUENCES[:-1] if keeps_time else OF_SEQUENCES
    layers: list[Layer] = []
    for number in range(1, 1 + draw(st.integers(1, depth))):
        kind, name = draw(st.sampled_from([*own, *own, *KEEPING, "residual"])), f"l{number}"
        if kind in KEEPING:
            fan_out = draw(WIDTH) if kind in ("units", "dense", "maxout") else shape[-1]
            layers += _layers(draw, kind, name, shape[-1], fan_out)
        elif kind == "residual":
            layers.append(_residual(draw, name, shape))
        else:
            of = _of_picture(draw, kind, name, shape) if len(shape) == 3 else None
            layers.append(of or _of_sequence(draw, kind, name, shape, fixed=False))
        shape = _shape_after(layers, shape, len(layers) - (2 if kind == "units" else 1))
    return layers


def _residual(draw: Draw, name: str, shape: Shape) -> Residual:
    """Draw a residual connection around layers of units and, for sequences, around those that mix positions."""
    own = (*OF_SEQUENCES[:2], *KEEPING) if len(shape) == 2 else KEEPING
    inner: list[list[Layer]] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(own), min_size=1, max_size=3))):
        within = f"{name}.{number}"
        if kind in KEEPING:
            inner.append(_layers(draw, kind, within, shape[-1], shape[-1]))
        else:
            inner.append([_of_sequence(draw, kind, within, shape, fixed=True)])
    return Residual(Model(tuple(chain.from_iterable(inner))), draw(st.sampled_from([1.0, 0.5])))


def _shape_after(layers: list[Layer], shape: Shape, first: int) -> Shape:
    """Shape of an example behind the layers from number `first` on."""
    model = Model(tuple(layers[first:]))
    out, _ = model.forward(_params(model, 1, torch.Generator()), torch.zeros(1, 2, *shape, dtype=torch.float64))
    return tuple(out.shape[2:])


def _output(draw: Draw, shape: Shape, n_out: int, per_position: bool, fixed: bool, layers: list[Layer]) -> list[Layer]:
    """Draw what turns positions into one vector, where that is wanted, and the affine output."""
    if per_position:
        return [Dense("last", shape[-1], n_out)]
    readouts: list[Layer] = [Flatten()] if len(shape) == 3 else [Last(), Mean(), *([] if fixed else [Flatten()])]
    if layers and isinstance(layers[-1], Bidirectional):
        readouts.append(Last(layers[-1].back.width))
    readout = draw(st.sampled_from(readouts))
    return [readout, Dense("last", _shape_after([readout], shape, 0)[0], n_out)]


def _net(draw: Draw, kind: str, n_out: int, per_position: bool) -> tuple[Model, Shape, int | None]:
    """A net, the shape of an example, and its padding; its tokens are below 6."""
    if kind == "picture":
        shape: Shape = (*draw(st.tuples(*[st.integers(2, 6)] * 2)), draw(st.integers(1, 3)))
    else:
        shape = draw(st.integers(1, 9)), draw(WIDTH)
    padding = PADDING if kind == "tokens" and draw(st.booleans()) else None
    keeps_time = per_position or padding is not None
    layers = _body(draw, shape, keeps_time)
    ends = _shape_after(layers, shape, 0)
    if kind != "tokens":
        return (
            Model((Unflatten(shape), *layers, *_output(draw, ends, n_out, per_position, keeps_time, layers))),
            shape,
            None,
        )
    embedding = Embedding("l0", 6, shape[1], padding, draw(st.sampled_from([1.0, 1.5])))
    output = _output(draw, ends, n_out, per_position, keeps_time, layers)
    if n_out == 6 and ends[-1] == shape[-1] and isinstance(output[-1], Dense) and output[-1].fan_in == shape[-1]:
        embedding = Embedding("l0", 6, shape[1], padding, embedding.scale, shared=True)
        output[-1] = TiedOutput("last", embedding)
    return masked(Model((embedding, *layers, *output)), padding), shape, padding


def _batch(kind: str, shape: Shape, padding: int | None, size: tuple[int, int], stream: torch.Generator) -> Tensor:
    """Features of pictures and sequences, or tokens, the examples with padding being of 1 to T tokens."""
    if kind != "tokens":
        return torch.randn(
            *size, Model((Flatten(),)).forward({}, torch.zeros(1, 1, *shape))[0].shape[2], generator=stream
        )
    tokens = torch.randint(0 if padding is None else 1, 6, (*size, shape[0]), generator=stream)
    lengths = torch.randint(1, shape[0] + 1, (*size, 1), generator=stream)
    return tokens if padding is None else tokens * (torch.arange(shape[0]) < lengths)


def _problem(draw: Draw) -> Problem:
    """A net of any layers on any inputs, with targets of examples or at positions, in either precision."""
    kind = draw(st.sampled_from(["tokens", "sequence", "picture"]))
    per_position = kind != "picture" and draw(st.booleans())
    loss = draw(st.sampled_from(AT_POSITIONS if per_position else LOSSES))
    n_out = 1 if loss.accepts[0] == "binary" else draw(st.sampled_from([2, 3, 4, 6]))
    model, shape, padding = _net(draw, kind, n_out, per_position)
    # Statistics of a batch depend on the row of padding, which is not trained, but autograd's gradient of it is not 0.
    assume(padding is None or not any(isinstance(layer, BatchNorm) for layer in within(model)))
    dtype, training = draw(st.sampled_from(DTYPES)), draw(st.booleans())
    size = draw(st.integers(1, 4)), draw(st.integers(model.least_batch if training else 1, 5))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = _batch(kind, shape, padding, size, stream)
    if per_position:
        there = torch.rand(*size, shape[0], 1, generator=stream) < 0.8
        flat = targets(("one_hot",), (size[0], size[1] * shape[0], n_out), stream)
        y = flat.view(*size, shape[0], n_out) * (there if padding is None else there & (x != padding).unsqueeze(3))
        loss = at_positions(loss)
    else:
        y = targets(loss.accepts, (*size, n_out), stream)
    mode = Mode(training, torch.randint(2**32, size[:1], generator=stream) if training else None)
    decay = draw(st.sampled_from([None, 0.01])) and torch.rand(size[0], generator=stream, dtype=dtype)
    params = _params(model, size[0], stream)
    params = params.with_flat(params.flat.to(dtype))
    x = x.to(dtype) if x.is_floating_point() else x
    return Problem(Objective(model, loss, decay), params, x, y.to(dtype), mode)


@settings(max_examples=25)
@given(data=st.data())
def test_gradients_of_random_nets_of_positions_equal_autograd(data: st.DataObject) -> None:
    """Gradients equal autograd's, to 1e-10 in float64 and 1e-3 in float32, for every parameter of random nets."""
    assert_like_autograd(*_problem(data.draw))


@pytest.mark.slow
@settings(max_examples=400)
@given(data=st.data())
def test_gradients_of_many_random_nets_of_positions_equal_autograd(data: st.DataObject) -> None:
    """Gradients equal autograd's for 400 more random nets."""
    test_gradients_of_random_nets_of_positions_equal_autograd.hypothesis.inner_test(data)


@settings(max_examples=15)
@given(data=st.data())
def test_random_nets_of_positions_have_the_same_bits_alone(data: st.DataObject) -> None:
    """J and every gradient of a replica alone are, to the bit, those it has in a pack."""
    problem = _problem(data.draw)
    together, J = by_hand(*problem), problem.objective.value(*problem[1:])
    for replica in range(len(problem.x)):
        own = problem.of(replica)
        decay = problem.objective.weight_decay
        if decay is not None:
            objective = Objective(own.objective.model, own.objective.loss, decay[replica : replica + 1])
            own = own._replace(objective=objective)
        alone = by_hand(*own)
        assert torch.equal(own.objective.value(*own[1:])[0], J[replica])
        for name, gradient in alone.items():
            assert torch.equal(gradient[0], together[name][replica]), name


@pytest.mark.slow
@settings(max_examples=400)
@given(data=st.data())
def test_many_random_nets_of_positions_have_the_same_bits_alone(data: st.DataObject) -> None:
    """J and gradients have the same bits alone and in a pack for 400 more random nets."""
    test_random_nets_of_positions_have_the_same_bits_alone.hypothesis.inner_test(data)
