"""Stages of pretraining: small models that share layers with the whole net."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from workbench.core.errors import ConfigError
from workbench.nn.language_stages import body_of, check_settings
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.tied import Tied
from workbench.nn.masking import Masking
from workbench.nn.model import Model
from workbench.nn.pretraining import Pretraining


@dataclass(frozen=True)
class Stage:
    """A stage: `model` trains for `epochs` on the codes that the frozen layers `below` compute from the inputs.

    Its targets are these codes or, where it is `supervised`, the net's own; those of a language model are tokens,
    hidden by `masking` or else the next ones. `name` begins the names of its metrics. Afterwards the whole net takes
    over the parameters that it shares with `model`.
    """

    name: str
    below: Model
    model: Model
    epochs: int
    supervised: bool = False
    is_language: bool = False
    masking: Masking | None = None
    vocabulary: int = 0
    padding: int | None = None


def stages(model: Model, settings: Pretraining) -> tuple[Stage, ...]:
    """List a stage for each hidden layer, from the input on, and one for the output layer if it trains alone.

    For a language model: one stage for the body, and one for the output. Raises ConfigError unless the model is a chain
    of affine layers, each followed by its norm, activation and dropout, or for a language model a net of tokens.
    """
    if not settings.epochs:
        return ()
    if settings.kind != "autoencoder":
        return tuple(_language(model, settings))
    blocks = [tuple(layers) for _, layers in groupby(model.layers, lambda layer: getattr(layer, "name", ""))]
    *hidden, output = blocks
    if not hidden or not all(isinstance(block[0], Dense) for block in blocks):
        got = "none" if not hidden else type(next(b[0] for b in blocks if not isinstance(b[0], Dense))).__name__
        raise ConfigError(
            "pretraining: an auto-encoder needs a net whose hidden layers are affine with an activation, got "
            f"{got}; write architecture=mlp with hidden layers, or pretraining=none"
        )
    made = list(_encoders(hidden, settings))
    if settings.frozen_epochs:
        made.append(Stage("frozen", _below(hidden), Model(output), settings.frozen_epochs, supervised=True))
    return tuple(made)


def _language(model: Model, settings: Pretraining) -> Iterator[Stage]:
    body = body_of(model)
    check_settings(body, settings)
    vocabulary, padding = body.embedding.vocabulary, body.padding
    masking = Masking(settings.corruption, vocabulary - 1, padding) if settings.kind == "masked_lm" else None
    learner = body.under_tokens(causal=masking is None)
    yield Stage(
        "pretrain.1",
        Model(()),
        learner,
        settings.epochs,
        is_language=True,
        masking=masking,
        vocabulary=vocabulary,
        padding=padding,
    )
    if settings.frozen_epochs:
        yield Stage("frozen", body.without_head(), Model(body.head[-1:]), settings.frozen_epochs, supervised=True)


def _encoders(hidden: list[tuple[Layer, ...]], settings: Pretraining) -> Iterator[Stage]:
    for number, block in enumerate(hidden, start=1):
        encoder = tuple(layer for layer in block if not isinstance(layer, Dropout))
        dense, name = encoder[0], f"pretrain.{number}"
        assert isinstance(dense, Dense)  # checked in stages
        noise: tuple[Layer, ...] = (Dropout(name, settings.corruption),) if settings.corruption else ()
        autoencoder: tuple[Layer, ...] = (
            (Tied(f"d{number}", Model(encoder), dense),)
            if settings.tied
            else (*encoder, Dense(f"d{number}", dense.fan_out, dense.fan_in))
        )
        yield Stage(name, _below(hidden[: number - 1]), Model((*noise, *autoencoder)), settings.epochs)


def _below(blocks: list[tuple[Layer, ...]]) -> Model:
    return Model(tuple(layer for block in blocks for layer in block))
