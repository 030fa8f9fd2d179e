"""Pooling of windows that do not overlap, each channel for itself: the largest number of a window, or the mean.

Windows are `size` × `size` pixels of a picture [R, B, H, W, C], or `size` positions of a sequence [R, B, T, U]. Rows
and columns that fill no window are left out. With grad = dC/dout of a window of P numbers:

    max   grad_in = grad at the first largest number, row by row, and 0 elsewhere
    mean  grad_in = grad / P everywhere
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from workbench.core.axes import AtPositions
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder

Pooled = Float[Tensor, "R B *Q U"]


class MaxTape(NamedTuple):
    """Shape of the input, and the place of each largest number among the H·W pixels."""

    shape: torch.Size
    winner: Int64[Tensor, "R B M C"]


@dataclass(frozen=True)
class _Pool(Layer):
    takes_positions: ClassVar[bool] = True

    size: int

    def _channels_first(self, x: AtPositions) -> tuple[Tensor, tuple[int, int]]:
        """View x as torch's pictures [R·B, C, H, W], and return the window; raises ShapeError where none fits."""
        sides = x.shape[2:-1]
        if len(sides) not in (1, 2) or min(sides) < self.size:
            raise ShapeError(
                f"{type(self).__name__}: x must be [R, B, H, W, C] or [R, B, T, U] with {self.size} or more "
                f"along each side, got {list(x.shape)}; take a smaller window"
            )
        picture = x if len(sides) == 2 else x.unsqueeze(3)
        return picture.flatten(0, 1).permute(0, 3, 1, 2), (self.size, self.size if len(sides) == 2 else 1)

    def _features_last(self, out: Tensor, shape: torch.Size) -> Tensor:
        """Undo `_channels_first` for an output from an input of this shape."""
        out = out.permute(0, 2, 3, 1)
        return out.reshape(*shape[:2], *out.shape[1 : len(shape) - 2], shape[-1])


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest number of each window."""

    def forward(self, params: Arrays, x: AtPositions, mode: Mode = EVALUATION) -> tuple[Pooled, MaxTape]:
        picture, window = self._channels_first(x)
        out, winner = F.max_pool2d(picture, window, return_indices=True)
        winner = winner.permute(0, 2, 3, 1).reshape(*x.shape[:2], -1, x.shape[-1])
        return self._features_last(out, x.shape), MaxTape(x.shape, winner)

    def backward(
        self,
        params: Arrays,
        tape: MaxTape,
        grad_out: Pooled,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> AtPositions | None:
        if not need_grad_in:
            return None
        grad_in = grad_out.new_zeros(tape.shape)
        grad_in.flatten(2, -2).scatter_(2, tape.winner, grad_out.flatten(2, -2))
        return grad_in

    def choices(self, tape: MaxTape) -> Iterator[Tensor]:
        yield tape.winner


@dataclass(frozen=True)
class MeanPool(_Pool):
    """The mean of each window."""

    def forward(self, params: Arrays, x: AtPositions, mode: Mode = EVALUATION) -> tuple[Pooled, torch.Size]:
        return self._features_last(F.avg_pool2d(*self._channels_first(x)), x.shape), x.shape

    def backward(
        self,
        params: Arrays,
        tape: Any,
        grad_out: Pooled,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> AtPositions | None:
        if not need_grad_in:
            return None
        grad_in, share = grad_out.new_zeros(tape), grad_out / self.size ** (len(tape) - 3)
        windows = grad_in
        for axis in range(2, 2 * len(tape) - 4, 2):  # [R, B, H, W, C] becomes [R, B, H', size, W', size, C]
            windows = windows.unfold(axis, self.size, self.size).movedim(-1, axis + 1)
            share = share.unsqueeze(axis + 1)
        windows.copy_(share.expand_as(windows))
        return grad_in
