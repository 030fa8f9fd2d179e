"""Residual connection (He et al. 2016) around any layers: out = x + scale F(x).

    grad_in = grad + F'(x)ᵀ (scale grad)

A normalization before F makes it pre-norm, one after the sum post-norm; both are layers beside or inside this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.axes import Units
from workbench.errors import ShapeError
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, UnitTape, is_watched


@dataclass(frozen=True)
class Residual(Layer):
    """The identity beside `inner`, whose output must have the shape of its input."""

    inner: Layer
    scale: float = 1.0

    @property
    def is_noisy(self) -> bool:
        return self.inner.is_noisy

    @property
    def least_batch(self) -> int:
        return self.inner.least_batch

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return self.inner.init(seed, scheme)

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        return self.inner.buffers(scheme)

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, Any]:
        out, tape = self.inner.forward(params, x, mode)
        if out.shape != x.shape:
            raise ShapeError(
                f"Residual: what it surrounds must keep the shape {list(x.shape)}, got {list(out.shape)}; "
                "give its last layer as many units as its first has inputs"
            )
        return torch.add(x, out, alpha=self.scale), tape

    def backward(
        self, params: Arrays, tape: Any, grad_out: Units, grads: Arrays, need_grad_in: bool = True
    ) -> Units | None:
        inner = self.inner.backward(params, tape, grad_out * self.scale, grads, need_grad_in)
        if inner is None:
            return None
        return inner + grad_out if is_watched(grads) else inner.add_(grad_out)

    def absorb(self, params: Arrays, tape: Any) -> None:
        self.inner.absorb(params, tape)

    def units(self, tape: Any) -> Iterator[UnitTape]:
        return self.inner.units(tape)

    def activity(self, tape: Any) -> Iterator[tuple[str, Units, Units]]:
        return self.inner.activity(tape)

    def choices(self, tape: Any) -> Iterator[Tensor]:
        return self.inner.choices(tape)

    def preactivations(self, tape: Any) -> Iterator[tuple[str, Tensor]]:
        return self.inner.preactivations(tape)

    def products(self) -> Iterator[tuple[int, int]]:
        return self.inner.products()
