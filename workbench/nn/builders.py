"""Architectures: models from sizes. The input and output sizes come from the data and the loss."""

from workbench.axes import PositiveInt
from workbench.nn.activations import Activation
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.model import Model


def mlp(hidden: list[PositiveInt], n_in: PositiveInt, n_out: PositiveInt, activation: Activation) -> Model:
    """n_in - hidden[0] - ... - n_out, fully connected; the output layer is affine (its activation is the loss's)."""
    layers: list[Layer] = []
    fan_in = n_in
    for number, width in enumerate(hidden, start=1):
        layers += [Dense(f"l{number}", fan_in, width), Activate(f"l{number}", activation)]
        fan_in = width
    layers.append(Dense(f"l{len(hidden) + 1}", fan_in, n_out))
    return Model(tuple(layers))
