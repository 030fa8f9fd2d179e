"""Settings of pretraining, which comes before the whole net is trained on its targets.

Greedy: layers are trained one by one, from the input on. Language models: the net's body learns from tokens alone.
Source: the lecture's "A Rapidly Evolving Field"; Bengio et al. 2007 for auto-encoders, Vincent et al. 2008 for the
corruption of their inputs, Devlin et al. 2019 for masked tokens, Radford et al. 2018 for the next token.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor

from workbench.core.axes import Fraction, PositiveInt, PositivePerReplica


@dataclass(frozen=True)
class Pretraining:
    """Settings: each hidden layer trains for `epochs` as the encoder of an auto-encoder, at learning rates `lr` [R].

    A share `corruption` of its inputs is set to 0 and the others are scaled up; a `tied` decoder shares the encoder's
    weights. For the kinds ``masked_lm`` and ``next_token`` the body of a net of tokens trains as a language model, and
    `corruption` is the share of hidden tokens. It sees the inputs of so many `examples` of the training part, whether
    or not their targets are kept (None: of those whose targets are), with `shuffled` their tokens in random order. Then
    the output layer alone trains for `frozen_epochs`. With `epochs` 0 there is no pretraining.
    """

    epochs: int = 0
    lr: Tensor | None = None
    corruption: float = 0.0
    tied: bool = False
    frozen_epochs: int = 0
    examples: int | None = None
    shuffled: bool = False
    kind: Literal["autoencoder", "masked_lm", "next_token"] = "autoencoder"


NO_PRETRAINING = Pretraining()


def none() -> Pretraining:
    """No pretraining: the whole net trains from its initial weights."""
    return NO_PRETRAINING


def autoencoder(
    lr: PositivePerReplica,
    epochs: PositiveInt = 5,
    corruption: Fraction = 0.2,
    tied: bool = False,
    frozen_epochs: Annotated[int, Ge(0)] = 0,
) -> Pretraining:
    """Greedy layer by layer: a denoising auto-encoder on the codes of the layers below, a plain one with corruption 0.

    Its decoder is affine, and its cost is the squared error.
    """
    return Pretraining(epochs, lr, corruption, tied, frozen_epochs)


def masked_lm(
    lr: PositivePerReplica,
    epochs: PositiveInt = 5,
    masked: Fraction = 0.15,
    examples: PositiveInt | None = None,
    shuffled: bool = False,
    frozen_epochs: Annotated[int, Ge(0)] = 0,
) -> Pretraining:
    """The body of a net of tokens learns to guess a share `masked` of the tokens, which are hidden; it sees both sides.

    Its vocabulary has one token more, which hides the others. It learns from so many training `examples`, those that
    ``split.limit`` takes the targets of among them; `shuffled` ones have as many of each token, and no order.
    """
    return Pretraining(epochs, lr, masked, False, frozen_epochs, examples, shuffled, "masked_lm")


def next_token(
    lr: PositivePerReplica,
    epochs: PositiveInt = 5,
    examples: PositiveInt | None = None,
    frozen_epochs: Annotated[int, Ge(0)] = 0,
) -> Pretraining:
    """The body of a net of tokens learns to guess each next token from those before it, in so many `examples`."""
    return Pretraining(epochs, lr, frozen_epochs=frozen_epochs, examples=examples, kind="next_token")
