"""Dropout (Srivastava et al. 2014), inverted: in training each number is 0 with probability `rate`, else x/(1 - rate).

The mask of an example's unit is a hash of the replica's key, the layer's name and the position, so that a replica draws
the same masks alone, in any pack and on any device, and no generator has a state.
"""

from dataclasses import dataclass
from hashlib import sha256

import torch
from jaxtyping import Int64
from torch import Tensor

from workbench.core.axes import Keys, Units
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder

WORD = 2**32
GOLDEN = 0x9E3779B9  # an odd number near 2³²/φ spreads consecutive steps


def scramble(x: Tensor) -> Tensor:
    """Hash integers below 2³² to 32 bits in place (Wellons's lowbias32: xorshifts and multiplications)."""
    x.bitwise_xor_(x >> 16).mul_(0x7FEB352D).bitwise_and_(WORD - 1)
    x.bitwise_xor_(x >> 15).mul_(0x846CA68B).bitwise_and_(WORD - 1)
    return x.bitwise_xor_(x >> 16)


def step_keys(keys: Keys, step: int | Int64[Tensor, ""]) -> Keys:
    """Derive the keys [R] of one step from the replicas' keys [R]."""
    return scramble(keys.add(step * GOLDEN).bitwise_and_(WORD - 1))


def words(keys: Keys, name: str, batch: int, units: int) -> Int64[Tensor, "R B U"]:
    """Hash the replica's key, the name and each position to uniform integers below 2³²."""
    salt = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    salted = scramble(keys.bitwise_xor(salt).bitwise_and_(WORD - 1)).view(-1, 1, 1)
    position = torch.arange(batch * units, device=keys.device).view(1, batch, units)
    return scramble(scramble(position.clone()).bitwise_xor(salted))


@dataclass(frozen=True)
class Dropout(Layer):
    """Set a share `rate` of the inputs to 0 in training; the identity in evaluation."""

    name: str
    rate: float

    @property
    def is_noisy(self) -> bool:
        return True

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, Units | None]:
        if not mode.training:
            return x.clone(), None
        if mode.keys is None:
            raise ShapeError(
                f"Dropout {self.name!r}: a training pass needs Mode.keys [R], got None; give one per replica"
            )
        mask = words(mode.keys, self.name, x.shape[1], x.shape[2]) >= round(self.rate * WORD)
        factor = mask.to(x.dtype).mul_(1 / (1 - self.rate))
        return x * factor, factor

    def backward(
        self,
        params: Arrays,
        tape: Units | None,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        if not need_grad_in:
            return None
        return grad_out.clone() if tape is None else grad_out * tape
