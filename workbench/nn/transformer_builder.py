"""The transformer (Vaswani et al. 2017): vectors of tokens, blocks of attention and two dense layers, an output.

Layers are named in order: ``l1`` is the embedding, ``l2`` the first block's attention, ``l3`` and ``l4`` its dense
layers, ``l5`` the next attention, and so on to the output.
"""

from math import sqrt
from typing import Literal

from workbench.core.axes import Fraction, PositiveInt
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.inputs import Inputs
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import masked
from workbench.nn.layers.norms import Norm
from workbench.nn.layers.norms import none as no_norm
from workbench.nn.layers.positions import Positions
from workbench.nn.layers.readout import Last, Mean
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.tied_output import TiedOutput
from workbench.nn.model import Model

NO_NORM = no_norm()


def transformer(
    width: PositiveInt,
    blocks: PositiveInt,
    heads: PositiveInt,
    feed_forward: PositiveInt,
    inputs: Inputs,
    n_out: PositiveInt,
    per_position: bool,
    activation: Activation,
    norm: Norm = NO_NORM,
    causal: bool = True,
    placement: Literal["pre", "post"] = "pre",
    positions: Literal["learned", "sinusoidal", "none"] = "learned",
    readout: Literal["last", "mean"] = "last",
    tied: bool = False,
    dropout: Fraction = 0.0,
) -> Model:
    """A transformer over tokens with `blocks` blocks of `width` units, `feed_forward` units inside their dense layers.

    Each half of a block is residual, x + F(x), with the norm before F (``pre``; one more before the output) or after
    the sum (``post``). Dropout follows the embedding and each F (section 5.4). Unless each position has a target, the
    `readout` takes the last position, or the mean. A `tied` output shares the embedding's table, which is then scaled
    by √width (section 3.4).

    Raises ConfigError where inputs are not tokens, `heads` does not divide `width`, or a tied output has another size.
    """
    embedding = _embedding(inputs, width, tied, n_out)
    layers: list[Layer] = [embedding]
    if positions != "none":
        layers.append(Positions("l1.position", inputs.shape[0], width, positions == "learned"))
    layers += _dropout("l1", dropout)
    for first in range(2, 3 * blocks + 2, 3):
        attention, up, down = (f"l{first + step}" for step in range(3))
        mixing: list[Layer] = [Attention(attention, width, heads, causal), *_dropout(attention, dropout)]
        dense: list[Layer] = [
            Dense(up, width, feed_forward),
            Activate(up, activation),
            Dense(down, feed_forward, width),
        ]
        layers += _residual(mixing, norm.layers(attention, width), placement)
        layers += _residual(dense + _dropout(down, dropout), norm.layers(up, width), placement)
    last = f"l{3 * blocks + 2}"
    layers += norm.layers(last, width) if placement == "pre" else []
    layers += [] if per_position else [Last() if readout == "last" else Mean()]
    layers.append(TiedOutput(last, embedding) if tied else Dense(last, width, n_out))
    model = Model(tuple(layers))
    return masked(model, inputs.padding)


def _embedding(inputs: Inputs, width: int, tied: bool, n_out: int) -> Embedding:
    if inputs.vocabulary is None:
        raise ConfigError(
            f"architecture: a transformer reads tokens, got {inputs.kind}; write data=recall loss=softmax_nll"
        )
    if tied and n_out != inputs.vocabulary:
        raise ConfigError(
            f"architecture: a tied output must have a number for each of {inputs.vocabulary} tokens, got {n_out} "
            "outputs to learn; write architecture.tied=false"
        )
    scale = sqrt(width) if tied else 1.0
    return Embedding("l1", inputs.vocabulary, width, inputs.padding, scale, shared=tied)


def _residual(layers: list[Layer], norm: list[Layer], placement: str) -> list[Layer]:
    """Put a residual connection around layers, with the norm inside, before them, or after the sum."""
    if placement == "pre":
        return [Residual(Model((*norm, *layers)))]
    return [Residual(Model(tuple(layers))), *norm]


def _dropout(name: str, rate: float) -> list[Layer]:
    return [Dropout(name, rate)] if rate else []
