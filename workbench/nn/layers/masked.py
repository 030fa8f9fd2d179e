"""Padding: tokens that only fill short sequences up are marked, once, for the layers that mix positions."""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Int64
from torch import Tensor

from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.model import Model


@dataclass(frozen=True)
class Masked(Layer):
    """Tell the layers of `inner`, by `Mode.present`, which tokens are not `padding`."""

    takes_positions: ClassVar[bool] = True

    inner: Layer
    padding: int

    @property
    def children(self) -> tuple[Layer, ...]:
        return (self.inner,)

    def child_tapes(self, tape: Any) -> tuple[Any, ...]:
        return (tape,)

    def forward(self, params: Arrays, x: Int64[Tensor, "R B T"], mode: Mode = EVALUATION) -> tuple[Tensor, Any]:
        return self.inner.forward(params, x, mode._replace(present=x != self.padding))

    def backward(
        self,
        params: Arrays,
        tape: Any,
        grad_out: Tensor,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        return self.inner.backward(params, tape, grad_out, grads, need_grad_in, recorder)


def masked(model: Model, padding: int | None) -> Model:
    """Mark padding for the layers of the model, where there is any."""
    return model if padding is None else Model((Masked(model, padding),))
