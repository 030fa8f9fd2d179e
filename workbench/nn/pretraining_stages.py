"""The stages of a greedy pretraining: small models that share layers with the whole net."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from workbench.core.errors import ConfigError
from workbench.nn.layers.base import Layer
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.tied import Tied
from workbench.nn.model import Model
from workbench.nn.pretraining import Pretraining


@dataclass(frozen=True)
class Stage:
    """`model` learns for `epochs` on the codes that the layers `below`, which stand still, make of the inputs.

    It learns to give back these codes, or, where it is `supervised`, the net's own targets. `name` is that of its
    metrics; parameters that the whole net has too are the net's from then on.
    """

    name: str
    below: Model
    model: Model
    epochs: int
    supervised: bool = False


def stages(model: Model, settings: Pretraining) -> tuple[Stage, ...]:
    """One stage for each hidden layer, from the input on, and one for the output layer where the others are frozen.

    Raises ConfigError where the model is not a chain of affine layers with what follows them.
    """
    if not settings.epochs:
        return ()
    blocks = [tuple(layers) for _, layers in groupby(model.layers, lambda layer: getattr(layer, "name", ""))]
    *hidden, output = blocks
    if not hidden or not all(isinstance(block[0], Dense) for block in blocks):
        found = "none" if not hidden else type(next(b[0] for b in blocks if not isinstance(b[0], Dense))).__name__
        raise ConfigError(
            "pretraining: an auto-encoder needs a net whose hidden layers are affine with an activation, got "
            f"{found}; write architecture=mlp with hidden layers, or pretraining=none"
        )
    made = list(_encoders(hidden, settings))
    if settings.frozen_epochs:
        made.append(Stage("frozen", _below(hidden), Model(output), settings.frozen_epochs, supervised=True))
    return tuple(made)


def _encoders(hidden: list[tuple[Layer, ...]], settings: Pretraining) -> Iterator[Stage]:
    for number, block in enumerate(hidden, start=1):
        encoder = tuple(layer for layer in block if not isinstance(layer, Dropout))
        dense, name = encoder[0], f"pretrain.{number}"
        assert isinstance(dense, Dense)  # stages has seen to it
        noise: tuple[Layer, ...] = (Dropout(name, settings.corruption),) if settings.corruption else ()
        rest: tuple[Layer, ...] = (
            (Tied(f"d{number}", Model(encoder), dense),)
            if settings.tied
            else (*encoder, Dense(f"d{number}", dense.fan_out, dense.fan_in))
        )
        yield Stage(name, _below(hidden[: number - 1]), Model((*noise, *rest)), settings.epochs)


def _below(blocks: list[tuple[Layer, ...]]) -> Model:
    return Model(tuple(layer for block in blocks for layer in block))
