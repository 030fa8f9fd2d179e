"""Causal convolution over time (van den Oord et al. 2016, section 2.1): z_t sees x_t and positions before it.

    z_t = b + Σ_i W_i x[t - d (k - 1 - i)]        i = 0 ... k - 1, and x = 0 before the first position

It is the convolution of `conv2d` of a picture of T rows and one column, with d (k - 1) rows of zeros above.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.conv2d import Conv2d, ConvTape

Sequence = Float[Tensor, "R B T I"]
Output = Float[Tensor, "R B T O"]


@dataclass(frozen=True)
class Conv1d(Layer):
    """Causal convolution from `units_in` to `units_out` at each position, its `kernel` places `dilation` apart."""

    takes_positions: ClassVar[bool] = True

    name: str
    units_in: int
    units_out: int
    kernel: int
    dilation: int = 1

    @cached_property
    def plane(self) -> Conv2d:
        """The convolution of a picture with one column."""
        above = self.dilation * (self.kernel - 1)
        sizes = self.units_in, self.units_out, (self.kernel, 1)
        return Conv2d(self.name, *sizes, dilation=self.dilation, padding=(above, 0, 0, 0))

    @property
    def children(self) -> tuple[Layer, ...]:
        return (self.plane,)

    def child_tapes(self, tape: ConvTape) -> tuple[ConvTape, ...]:
        return (tape,)

    def forward(self, params: Arrays, x: Sequence, mode: Mode = EVALUATION) -> tuple[Output, ConvTape]:
        if x.ndim != 4 or x.shape[3] != self.units_in:
            raise ShapeError(
                f"Conv1d {self.name!r}: x must be [R, B, T, {self.units_in}], got {list(x.shape)}; "
                "give each position its features, or fix units_in"
            )
        z, tape = self.plane.forward(params, x.unsqueeze(3), mode)
        return z.squeeze(3), tape

    def backward(
        self,
        params: Arrays,
        tape: ConvTape,
        grad_out: Output,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Sequence | None:
        grad_in = self.plane.backward(params, tape, grad_out.unsqueeze(3), grads, need_grad_in, recorder)
        return None if grad_in is None else grad_in.squeeze(3)
