"""Views between features and positions: the same numbers, row by row with channels last, under another shape."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from workbench.core.axes import AtPositions, Units
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder


@dataclass(frozen=True)
class Unflatten(Layer):
    """View features [R, B, H·W·C] as pictures [R, B, H, W, C], or as sequences, whose shape is (T, U)."""

    takes_positions: ClassVar[bool] = True
    is_view: ClassVar[bool] = True

    shape: tuple[int, ...]

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Tensor, None]:
        if x.ndim != 3 or x.shape[2] != prod(self.shape):
            raise ShapeError(
                f"Unflatten: x must be [R, B, {prod(self.shape)}], got {list(x.shape)}; fix the shape "
                f"{list(self.shape)}"
            )
        return x.view(*x.shape[:2], *self.shape), None

    def backward(
        self,
        params: Arrays,
        tape: None,
        grad_out: AtPositions,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        return grad_out.flatten(2) if need_grad_in else None


@dataclass(frozen=True)
class Flatten(Layer):
    """View all positions [R, B, *P, U] as features of one example [R, B, P·U]."""

    takes_positions: ClassVar[bool] = True
    is_view: ClassVar[bool] = True

    def forward(self, params: Arrays, x: AtPositions, mode: Mode = EVALUATION) -> tuple[Tensor, torch.Size]:
        return x.flatten(2), x.shape

    def backward(
        self,
        params: Arrays,
        tape: torch.Size,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        return grad_out.reshape(tape) if need_grad_in else None
