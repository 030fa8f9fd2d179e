"""Positions added to vectors, out = x + P, as attention alone does not know the order of its inputs.

    learned       P [R, T, U] is trained: dP_t = Σ_b grad_bt (Gehring et al. 2017)
    sinusoidal    P_t,2i = sin(t/10000^(2i/U)) and P_t,2i+1 = cos(t/10000^(2i/U)) (Vaswani et al. 2017, section 3.5)

and grad_in = grad. Learned positions start as N(0, 1), like the vectors of tokens.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme, normal_noise
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder

Sequences = Float[Tensor, "R B T U"]
PERIOD = 10000.0


@dataclass(frozen=True)
class Positions(Layer):
    """Add to each of at most `length` positions a vector of its own, `learned` or sinusoidal."""

    takes_positions: ClassVar[bool] = True

    name: str
    length: int
    width: int
    learned: bool = True

    @property
    def table(self) -> str:
        """Name of P: a parameter where it is learned, else a buffer."""
        return f"{self.name}.W" if self.learned else f"{self.name}.waves"

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        stream = generator(seed, "weights", self.table)
        return {self.table: normal_noise(stream, (self.length, self.width))} if self.learned else {}

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        return {} if self.learned else {self.table: sinusoids(self.length, self.width)}

    def forward(self, params: Arrays, x: Sequences, mode: Mode = EVALUATION) -> tuple[Sequences, None]:
        if x.ndim != 4 or x.shape[3] != self.width or x.shape[2] > self.length:
            raise ShapeError(
                f"Positions {self.name!r}: x must be [R, B, T ≤ {self.length}, {self.width}], got {list(x.shape)}; "
                "shorten the examples or give more positions"
            )
        return x + params[self.table][:, : x.shape[2]].unsqueeze(1), None

    def backward(
        self,
        params: Arrays,
        tape: None,
        grad_out: Sequences,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Sequences | None:
        if self.learned:
            dP, time = grads[self.table], grad_out.shape[2]
            dP[:, time:] = 0
            torch.sum(grad_out, 1, out=dP[:, :time])
        return grad_out.clone() if need_grad_in else None


def sinusoids(length: int, width: int) -> Float64[Tensor, "T U"]:
    """Compute sines in even and cosines in odd columns, with periods from 2π to 10000·2π."""
    even = torch.arange(0, width, 2, dtype=torch.float64)
    angles = torch.arange(length, dtype=torch.float64).unsqueeze(1) * PERIOD ** (-even / width)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]
