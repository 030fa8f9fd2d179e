"""Architectures: models from sizes. The input and output sizes come from the data and the loss.

Layers are named as in the lecture: ``l1`` is the first, whose W is W⁽¹⁾. The last layer is always affine: the output's
activation is the loss's.
"""

from collections.abc import Callable
from typing import Literal

from workbench.core.axes import Fraction, PositiveInt
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.norms import Norm
from workbench.nn.layers.norms import none as no_norm
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model

NO_NORM = no_norm()


def perceptron(n_in: PositiveInt, n_out: PositiveInt) -> Model:
    """A single affine layer: a perceptron, a logistic neuron or softmax regression, depending on the loss."""
    return Model((Dense("l1", n_in, n_out),))


def mlp(
    hidden: list[PositiveInt],
    n_in: PositiveInt,
    n_out: PositiveInt,
    activation: Activation,
    norm: Norm = NO_NORM,
    dropout: Fraction = 0.0,
) -> Model:
    """n_in - hidden[0] - ... - n_out, fully connected: affine, norm, activation, dropout in each hidden layer."""
    return Model(mlp_layers(hidden, n_in, n_out, activation, norm, dropout))


def mlp_layers(
    hidden: list[int],
    n_in: int,
    n_out: int,
    activation: Activation,
    norm: Norm = NO_NORM,
    dropout: float = 0.0,
    first: int = 1,
) -> tuple[Layer, ...]:
    """List the layers of an mlp, the first of which has this number in its name."""

    def make(name: str, fan_in: int, width: int) -> list[Layer]:
        return _hidden(name, fan_in, width, activation, norm)

    return _chain(hidden, n_in, n_out, make, dropout, first)


def _chain(
    hidden: list[int],
    n_in: int,
    n_out: int,
    make: Callable[[str, int, int], list[Layer]],
    dropout: float,
    first: int = 1,
) -> tuple[Layer, ...]:
    """Chain hidden layers from `make` (name, fan_in, width), dropout after each, and the affine output layer."""
    layers: list[Layer] = []
    fan_in = n_in
    for number, width in enumerate(hidden, start=first):
        layers += make(f"l{number}", fan_in, width) + _dropout(f"l{number}", dropout)
        fan_in = width
    return (*layers, Dense(f"l{first + len(hidden)}", fan_in, n_out))


def _hidden(name: str, fan_in: int, width: int, activation: Activation, norm: Norm) -> list[Layer]:
    return [Dense(name, fan_in, width), *norm.layers(name, width), Activate(name, activation)]


def _dropout(name: str, rate: float) -> list[Layer]:
    return [Dropout(name, rate)] if rate else []


def maxout_mlp(
    hidden: list[PositiveInt],
    pieces: PositiveInt,
    n_in: PositiveInt,
    n_out: PositiveInt,
    norm: Norm = NO_NORM,
    dropout: Fraction = 0.0,
) -> Model:
    """An mlp of maxout units with `pieces` affine pieces each, normalized after the maximum."""

    def make(name: str, fan_in: int, width: int) -> list[Layer]:
        return [Maxout(name, fan_in, width, pieces), *norm.layers(name, width)]

    return Model(_chain(hidden, n_in, n_out, make, dropout))


def residual_mlp(
    width: PositiveInt,
    blocks: PositiveInt,
    n_in: PositiveInt,
    n_out: PositiveInt,
    activation: Activation,
    norm: Norm = NO_NORM,
    placement: Literal["pre", "post"] = "pre",
    scale: Literal["one", "sqrt_depth"] = "one",
    layers_per_block: PositiveInt = 1,
    order: Literal["affine_first", "activation_first"] = "affine_first",
    dropout: Fraction = 0.0,
) -> Model:
    """An affine layer into `width` units, residual blocks x + scale F(x), and an affine layer out.

    F is `layers_per_block` times affine and activation, or activation and affine with one more activation before the
    output (``activation_first``: He et al. 2016, "Identity Mappings", so that a block can also subtract). The norm is
    before F (``pre``; one more after the last block) or after the sum (``post``). `scale` is 1, or 1/√blocks
    (``sqrt_depth``).
    """
    factor, affine = 1.0 if scale == "one" else blocks**-0.5, order == "affine_first"
    layers: list[Layer] = [Dense("l1", n_in, width)]
    number = 1
    for _ in range(blocks):
        inner: list[Layer] = norm.layers(f"l{number + 1}", width) if placement == "pre" else []
        for _ in range(layers_per_block):
            number += 1
            inner += [Dense(f"l{number}", width, width), Activate(f"l{number}", activation)][:: 1 if affine else -1]
            inner += _dropout(f"l{number}", dropout)
        layers.append(Residual(Model(tuple(inner)), factor))
        layers += norm.layers(f"l{number}", width) if placement == "post" else []
    last = f"l{number + 1}"
    layers += norm.layers(last, width) if placement == "pre" else []
    layers += [] if affine else [Activate(last, activation)]
    return Model((*layers, Dense(last, width, n_out)))


def highway_mlp(
    width: PositiveInt,
    depth: PositiveInt,
    n_in: PositiveInt,
    n_out: PositiveInt,
    activation: Activation,
    norm: Norm = NO_NORM,
    gate_bias: float = -1.0,
) -> Model:
    """An affine layer into `width` units with the activation, `depth` highway layers, and an affine layer out."""
    layers: list[Layer] = _hidden("l1", n_in, width, activation, norm)
    for number in range(2, depth + 2):
        layers += [Highway(f"l{number}", width, activation, gate_bias), *norm.layers(f"l{number}", width)]
    return Model((*layers, Dense(f"l{depth + 2}", width, n_out)))


def autoencoder(
    hidden: list[PositiveInt],
    n_in: PositiveInt,
    n_out: PositiveInt,
    activation: Activation,
    norm: Norm = NO_NORM,
    dropout: Fraction = 0.0,
) -> Model:
    """An encoder through `hidden` to its last width, the code, and its mirror image back to the input's size.

    Raises ConfigError unless `n_out` is `n_in`, as the targets are the inputs.
    """
    if n_out != n_in:
        raise ConfigError(
            f"architecture: an autoencoder must give back its {n_in} inputs, got {n_out} outputs to learn; "
            "write target=input loss=squared_error"
        )
    return mlp([*hidden, *reversed(hidden[:-1])], n_in, n_out, activation, norm, dropout)
