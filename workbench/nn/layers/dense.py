"""The affine layer z = x Wᵀ + b of every replica at once.

W is [R, O, I], b is [R, O]. With delta = dC/dz [R, B, O]:

    dW = deltaᵀ x        db = sum over B of delta        grad_in = delta W

These are the lecture's delta⁽ˡ⁺¹⁾(a⁽ˡ⁾)ᵀ, delta⁽ˡ⁺¹⁾ and (W⁽ˡ⁾)ᵀdelta⁽ˡ⁺¹⁾ ("Backpropagation Algorithm"), with examples
in rows. The lecture's 1/m is part of the loss's delta.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.products import product, product_into

NARROW = 16  # fewer outputs do not fill a vector register, so the product is transposed to put examples along it
COPIED = 2**13  # for fewer weights, a batched product and a copy are faster than torch's loop that writes in place


class DenseTape(NamedTuple):
    """Input and output of one batch."""

    x: Float[Tensor, "R B I"]
    z: Float[Tensor, "R B O"]


@dataclass(frozen=True)
class Dense(Layer):
    """Affine layer from `fan_in` to `fan_out` units, called ``l1`` where its W is the lecture's W⁽¹⁾."""

    name: str
    fan_in: int
    fan_out: int

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        w_name, b_name = f"{self.name}.W", f"{self.name}.b"
        streams = generator(seed, "weights", w_name), generator(seed, "weights", b_name)
        W, b = scheme.sample(*streams, self.fan_out, self.fan_in)
        return {w_name: W, b_name: b}

    def forward(
        self, params: Arrays, x: Float[Tensor, "R B I"], mode: Mode = EVALUATION
    ) -> tuple[Float[Tensor, "R B O"], DenseTape]:
        if x.ndim != 3 or x.shape[2] != self.fan_in:
            raise ShapeError(
                f"Dense {self.name!r}: x must be [R, B, {self.fan_in}], got {list(x.shape)}; "
                "add the replica axis or fix fan_in"
            )
        W, b = params[f"{self.name}.W"], params[f"{self.name}.b"]
        if self.fan_out < NARROW:
            z = product(W, x.transpose(1, 2), b.unsqueeze(2)).transpose(1, 2)
        else:
            z = product(x, W.transpose(1, 2), b.unsqueeze(1))
        return z, DenseTape(x, z)

    def backward(
        self,
        params: Arrays,
        tape: DenseTape,
        grad_out: Float[Tensor, "R B O"],
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Float[Tensor, "R B I"] | None:
        delta = grad_out
        if recorder:
            recorder.add_delta(self.name, delta, of_units=False)
        dW = grads[f"{self.name}.W"]
        if self.fan_out * self.fan_in > COPIED or dW.is_contiguous():
            product_into(dW, delta.transpose(1, 2), tape.x)
        else:
            dW.copy_(product(delta.transpose(1, 2), tape.x))
        torch.sum(delta, 1, out=grads[f"{self.name}.b"])
        return product(delta, params[f"{self.name}.W"]) if need_grad_in else None

    def preactivations(self, tape: DenseTape) -> Iterator[tuple[str, Tensor]]:
        yield f"{self.name}.W", tape.z

    def products(self) -> Iterator[tuple[int, int]]:
        yield self.fan_out, self.fan_in
