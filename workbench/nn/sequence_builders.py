"""Architectures for sequences of tokens, from sizes.

Layers are named in order: ``l1`` is the embedding, ``l2`` the layer after it, the last is the affine output.
"""

from itertools import count

from workbench.core.axes import Fraction, PositiveInt
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.builders import NO_NORM
from workbench.nn.inputs import Inputs
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import masked
from workbench.nn.layers.norms import Norm
from workbench.nn.layers.readout import Last
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model


def tcn(
    width: PositiveInt,
    blocks: PositiveInt | None,
    kernel: PositiveInt,
    inputs: Inputs,
    n_out: PositiveInt,
    per_position: bool,
    activation: Activation,
    norm: Norm = NO_NORM,
    dropout: Fraction = 0.0,
) -> Model:
    """A temporal convolutional network (Bai, Kolter and Koltun 2018) of `width` units at each position.

    Block i computes f(x + F(x)), F being twice a causal convolution of `kernel` positions 2^i apart, norm, activation
    and dropout (their figure 1, without weight normalization). Its output sees 1 + 2 (kernel - 1)(2^blocks - 1)
    positions: without a number of `blocks`, the least that see a whole sequence. Unless each position has a target,
    the output is of the last one.

    Raises ConfigError where inputs are not tokens, or no number of blocks sees a whole sequence.
    """
    if inputs.vocabulary is None:
        raise ConfigError(
            f"architecture: a tcn reads tokens, but the data are {inputs.kind}; "
            "write data=recall, or an architecture for these data"
        )
    layers: list[Layer] = [Embedding("l1", inputs.vocabulary, width, inputs.padding)]
    blocks = blocks or _blocks(inputs.shape[0], kernel)
    for block in range(blocks):
        inner: list[Layer] = []
        for name in (f"l{2 * block + 2}", f"l{2 * block + 3}"):
            inner += [Conv1d(name, width, width, kernel, 2**block), *norm.layers(name, width)]
            inner += [Activate(name, activation), *([Dropout(name, dropout)] if dropout else [])]
        layers += [Residual(Model(tuple(inner))), Activate(f"l{2 * block + 3}.sum", activation)]
    layers += [] if per_position else [Last()]
    model = Model((*layers, Dense(f"l{2 * blocks + 2}", width, n_out)))
    return masked(model, inputs.padding)


def _blocks(positions: int, kernel: int) -> int:
    """Least number of blocks that see all positions."""
    if kernel == 1 and positions > 1:
        raise ConfigError(
            f"architecture.kernel: must be 2 or more to see the {positions} positions of a sequence, got 1; "
            "write architecture.kernel=3"
        )
    return next(number for number in count(1) if 2 * (kernel - 1) * (2**number - 1) >= positions - 1)
