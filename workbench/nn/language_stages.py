"""A language model made of a net of tokens: its body under an output for tokens."""

from dataclasses import dataclass, replace

from workbench.core.errors import ConfigError
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Layer, contains
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import Masked, masked
from workbench.nn.layers.readout import Last, Mean
from workbench.nn.layers.recurrent import Bidirectional
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.tied_output import TiedOutput
from workbench.nn.model import Model
from workbench.nn.pretraining import Pretraining

HEAD = "lm"  # name of the output for tokens


@dataclass(frozen=True)
class Body:
    """A net of tokens: layers up to its readout and output, and those."""

    layers: tuple[Layer, ...]
    head: tuple[Layer, ...]
    embedding: Embedding
    padding: int | None

    def without_head(self) -> Model:
        """The layers below the head, with the readout of positions, where there is one."""
        return masked(Model((*self.layers, *self.head[:-1])), self.padding)

    def under_tokens(self, causal: bool) -> Model:
        """The body with an affine output for each token at each position, which is tied where the net's own is."""
        layers = tuple(_with_causal(layer, causal) for layer in self.layers)
        return masked(Model((*layers, self._output())), self.padding)

    def _output(self) -> Layer:
        """Output of the language model: the embedding adds to the gradient of a table that it shares, if it does."""
        output = self.head[-1]
        if isinstance(output, Dense):
            return Dense(HEAD, output.fan_in, self.embedding.vocabulary)
        return TiedOutput(HEAD, self.embedding)


def body_of(model: Model) -> Body:
    """Part a net of tokens; raises ConfigError for other nets."""
    inner: Layer = model
    padding = None
    while isinstance(inner, Masked) or (isinstance(inner, Model) and len(inner.layers) == 1):
        if isinstance(inner, Masked):
            padding = inner.padding
        (inner,) = inner.children
    layers = inner.layers if isinstance(inner, Model) else (inner,)
    first, last = layers[0], len(layers) - 1
    if not isinstance(first, Embedding):
        raise ConfigError(
            "pretraining: a language model needs a net of tokens, got one whose first layer is "
            f"{type(first).__name__}; write architecture=transformer with data of tokens, or pretraining=none"
        )
    start = next((number for number, layer in enumerate(layers) if isinstance(layer, Last | Mean)), last)
    return Body(layers[:start], layers[start:], first, padding)


def check_settings(body: Body, settings: Pretraining) -> None:
    """Raise ConfigError where a net that reads in both directions would see the next token it is to guess.

    And where a tied output, whose weights are the body's, is to train while the body does not.
    """
    if settings.frozen_epochs and isinstance(body.head[-1], TiedOutput):
        raise ConfigError(
            "pretraining.frozen_epochs: an output that trains alone must have weights of its own, but this one shares "
            "the embedding's; write architecture.tied=false, or pretraining.frozen_epochs=0"
        )
    if settings.kind == "next_token" and contains(Model(body.layers), Bidirectional):
        raise ConfigError(
            "pretraining: to guess the next token, the net must read from the left alone, got a bidirectional one; "
            "write architecture.bidirectional=false, or pretraining=masked_lm"
        )


def _with_causal(layer: Layer, causal: bool) -> Layer:
    """The layer with attention to the positions before alone, or to all."""
    if isinstance(layer, Attention):
        return replace(layer, causal=causal)
    if isinstance(layer, Model):
        return Model(tuple(_with_causal(inner, causal) for inner in layer.layers))
    return replace(layer, inner=_with_causal(layer.inner, causal)) if isinstance(layer, Residual) else layer
