"""Recurrent nets: inputs one position after the other, layers of recurrent units, an output.

Tokens become vectors first, by ``l1``. A picture is read row by row, features one by one. Layers are named in order;
a layer's half on reversed time is called ``l2.reverse``.
"""

from math import prod
from typing import Literal

from workbench.core.axes import Fraction, PositiveInt
from workbench.nn.activations import Activation
from workbench.nn.inputs import Inputs
from workbench.nn.layers.base import Layer
from workbench.nn.layers.cells import GRU, LSTM, Cell, Elman
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import masked
from workbench.nn.layers.readout import Last, Mean
from workbench.nn.layers.recurrent import ORTHOGONAL, Bidirectional, Recurrent
from workbench.nn.layers.views import Unflatten
from workbench.nn.model import Model

Readout = Literal["last", "mean"]
StateWeights = Literal["orthogonal", "scheme"]


def elman(
    width: PositiveInt,
    layers: PositiveInt,
    inputs: Inputs,
    n_out: PositiveInt,
    per_position: bool,
    activation: Activation,
    embedding: PositiveInt = 16,
    bidirectional: bool = False,
    readout: Readout = "last",
    truncate: PositiveInt | None = None,
    state_weights: StateWeights = "orthogonal",
    dropout: Fraction = 0.0,
) -> Model:
    """A net of simple recurrent units with the activation; its values are those of `lstm`."""
    sizes = width, layers, embedding, bidirectional
    return _net(Elman(activation), inputs, n_out, per_position, *sizes, readout, truncate, state_weights, dropout)


def gru(
    width: PositiveInt,
    layers: PositiveInt,
    inputs: Inputs,
    n_out: PositiveInt,
    per_position: bool,
    embedding: PositiveInt = 16,
    bidirectional: bool = False,
    readout: Readout = "last",
    truncate: PositiveInt | None = None,
    state_weights: StateWeights = "orthogonal",
    dropout: Fraction = 0.0,
) -> Model:
    """A net of gated recurrent units; its values are those of `lstm`."""
    sizes = width, layers, embedding, bidirectional
    return _net(GRU(), inputs, n_out, per_position, *sizes, readout, truncate, state_weights, dropout)


def lstm(
    width: PositiveInt,
    layers: PositiveInt,
    inputs: Inputs,
    n_out: PositiveInt,
    per_position: bool,
    embedding: PositiveInt = 16,
    bidirectional: bool = False,
    readout: Readout = "last",
    truncate: PositiveInt | None = None,
    state_weights: StateWeights = "orthogonal",
    dropout: Fraction = 0.0,
) -> Model:
    """A net of `layers` layers of `width` LSTM units, with dropout between them.

    With `bidirectional`, each layer has as many units on reversed time. Unless each position has a target, `readout`
    takes the last state of each direction, or the mean over positions. Gradients go back `truncate` steps at most.
    `state_weights` are drawn orthogonal, or as the others.
    """
    sizes = width, layers, embedding, bidirectional
    return _net(LSTM(), inputs, n_out, per_position, *sizes, readout, truncate, state_weights, dropout)


def _net(
    cell: Cell,
    inputs: Inputs,
    n_out: int,
    per_position: bool,
    width: int,
    layers: int,
    embedding: int,
    bidirectional: bool,
    readout: Readout,
    truncate: int | None,
    state_weights: StateWeights,
    dropout: float,
) -> Model:
    """Build the net of one kind of cell."""
    initial = ORTHOGONAL if state_weights == "orthogonal" else None
    net, fan_in = _reader(inputs, embedding)
    first = 2 if inputs.kind == "tokens" else 1
    for number in range(first, first + layers):
        name = f"l{number}"
        if dropout and number > first:
            net.append(Dropout(name, dropout))
        layer = Recurrent(name, fan_in, width, cell, False, truncate, initial)
        back = Recurrent(f"{name}.reverse", fan_in, width, cell, True, truncate, initial)
        net.append(Bidirectional(layer, back) if bidirectional else layer)
        fan_in = 2 * width if bidirectional else width
    if not per_position:
        net.append(Mean() if readout == "mean" else Last(width if bidirectional else 0))
    net.append(Dense(f"l{first + layers}", fan_in, n_out))
    return masked(Model(tuple(net)), inputs.padding)


def _reader(inputs: Inputs, embedding: int) -> tuple[list[Layer], int]:
    """Make the layer that turns inputs into features at positions, and count the features."""
    if inputs.vocabulary is not None:
        return [Embedding("l1", inputs.vocabulary, embedding, inputs.padding)], embedding
    steps, *row = inputs.shape
    features = prod(row)
    return [Unflatten((steps, features))], features
