"""How layers are trained one by one, from the input on, before the whole net is: as settings.

Source: the lecture's "A Rapidly Evolving Field"; Bengio et al. 2007 for auto-encoders, Vincent et al. 2008 for the
corruption of what they are given.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from workbench.core.axes import Fraction, PositiveInt, PositivePerReplica


@dataclass(frozen=True)
class Pretraining:
    """Each hidden layer learns for `epochs` as the encoder of an auto-encoder, at the learning rates `lr` [R].

    A share `corruption` of its inputs is 0 and the others are scaled up; a `tied` decoder has the encoder's weights.
    Then the output layer alone learns for `frozen_epochs`. Without epochs there is no pretraining, and no `lr`.
    """

    epochs: int = 0
    lr: Tensor | None = None
    corruption: float = 0.0
    tied: bool = False
    frozen_epochs: int = 0


NO_PRETRAINING = Pretraining()


def none() -> Pretraining:
    """The whole net from its initial weights on."""
    return NO_PRETRAINING


def autoencoder(
    lr: PositivePerReplica,
    epochs: PositiveInt = 5,
    corruption: Fraction = 0.2,
    tied: bool = False,
    frozen_epochs: Annotated[int, Ge(0)] = 0,
) -> Pretraining:
    """Greedy layer by layer: a denoising auto-encoder on the codes of the layers below, without corruption a plain one.

    What it gives back is affine, and its cost is the squared error.
    """
    return Pretraining(epochs, lr, corruption, tied, frozen_epochs)
