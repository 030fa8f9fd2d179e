"""Architectures for pictures [H, W, C], from sizes.

Layers are named in order: ``l1`` is the first convolution, the last is the affine output.
"""

from workbench.core.axes import Fraction, PositiveInt
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.builders import NO_NORM, mlp_layers
from workbench.nn.inputs import Inputs
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.norms import Norm
from workbench.nn.layers.pool import MaxPool
from workbench.nn.layers.views import Flatten, Unflatten
from workbench.nn.model import Model


def cnn(
    channels: list[PositiveInt],
    kernel: PositiveInt,
    pool: PositiveInt,
    hidden: list[PositiveInt],
    inputs: Inputs,
    n_out: PositiveInt,
    activation: Activation,
    norm: Norm = NO_NORM,
    dropout: Fraction = 0.0,
) -> Model:
    """A net as LeNet (LeCun et al. 1998): convolutions with pools, then an mlp of `hidden` layers.

    Each convolution, of `kernel` x `kernel` pixels, keeps height and width and has so many output `channels`; norm,
    activation and a maximum over `pool` x `pool` pixels follow it (1: none). Dropout follows the hidden layers.

    Raises ConfigError where inputs are not pictures, or these too small for the pools.
    """
    if inputs.kind != "picture":
        raise ConfigError(
            f"architecture: a cnn reads pictures, but the data are {inputs.kind}; "
            "write data=digits, or an architecture for these data"
        )
    height, width, fan_in = inputs.shape
    _check_pools(height, width, pool, len(channels))
    before, after = (kernel - 1) // 2, kernel // 2
    layers: list[Layer] = [Unflatten(inputs.shape)]
    for number, count in enumerate(channels, start=1):
        name = f"l{number}"
        layers.append(Conv2d(name, fan_in, count, (kernel, kernel), padding=(before, after, before, after)))
        layers += [*norm.layers(name, count), Activate(name, activation)]
        layers += [MaxPool(pool)] if pool > 1 else []
        height, width, fan_in = height // pool, width // pool, count
    first = len(channels) + 1
    dense = mlp_layers(hidden, height * width * fan_in, n_out, activation, norm, dropout, first)
    return Model((*layers, Flatten(), *dense))


def _check_pools(height: int, width: int, pool: int, count: int) -> None:
    least = pool**count
    if min(height, width) < least:
        raise ConfigError(
            f"architecture.pool: {count} pools of {pool} x {pool} pixels need pictures of {least} x {least} pixels or "
            f"more, got {height} x {width}; write architecture.pool=1, or leave out convolutions"
        )
