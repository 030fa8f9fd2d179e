"""Residual connection (He et al. 2016) around any layers: out = x + scale F(x).

    grad_in = grad + F'(x)ᵀ (scale grad)

A normalization before F makes it pre-norm, one after the sum post-norm; both are separate layers.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from workbench.core.axes import AtPositions
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder, backward_at, forward_at


@dataclass(frozen=True)
class Residual(Layer):
    """Add `scale` times the output of `inner` to its input; both must have the same shape."""

    takes_positions: ClassVar[bool] = True

    inner: Layer
    scale: float = 1.0

    @property
    def children(self) -> tuple[Layer, ...]:
        return (self.inner,)

    def child_tapes(self, tape: Any) -> tuple[Any, ...]:
        return (tape,)

    def forward(self, params: Arrays, x: AtPositions, mode: Mode = EVALUATION) -> tuple[AtPositions, Any]:
        out, tape = forward_at(self.inner, params, x, mode)
        if out.shape != x.shape:
            raise ShapeError(
                f"Residual: inner layers must preserve the shape {list(x.shape)}, got {list(out.shape)}; "
                "give its last layer as many units as its first has inputs"
            )
        return torch.add(x, out, alpha=self.scale), tape

    def backward(
        self,
        params: Arrays,
        tape: Any,
        grad_out: AtPositions,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> AtPositions | None:
        scaled = grad_out if self.scale == 1 else grad_out * self.scale
        inner = backward_at(self.inner, params, tape, scaled, grads, need_grad_in, recorder)
        return None if inner is None else inner + grad_out  # not in place: inner may be what came in
