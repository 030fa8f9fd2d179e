"""Settings of greedy layer-wise pretraining: layers are trained one by one, from the input on, before the whole net.

Source: the lecture's "A Rapidly Evolving Field"; Bengio et al. 2007 for auto-encoders, Vincent et al. 2008 for the
corruption of their inputs.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from workbench.core.axes import Fraction, PositiveInt, PositivePerReplica


@dataclass(frozen=True)
class Pretraining:
    """Settings: each hidden layer trains for `epochs` as the encoder of an auto-encoder, at learning rates `lr` [R].

    A share `corruption` of its inputs is set to 0 and the others are scaled up; a `tied` decoder shares the encoder's
    weights. Then the output layer alone trains for `frozen_epochs`. With `epochs` 0 there is no pretraining.
    """

    epochs: int = 0
    lr: Tensor | None = None
    corruption: float = 0.0
    tied: bool = False
    frozen_epochs: int = 0


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
