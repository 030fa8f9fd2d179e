"""A model: layers in sequence. It is itself a layer, so that models nest."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder, backward_at, forward_at

ModelTape = tuple[Any, ...]


@dataclass(frozen=True)
class Model(Layer):
    """Composition of `layers`, x [R, B, *P, I] -> [R, B, *Q, K]; layers of units see positions as examples."""

    takes_positions: ClassVar[bool] = True

    layers: tuple[Layer, ...]

    @property
    def children(self) -> tuple[Layer, ...]:
        return self.layers

    def child_tapes(self, tape: ModelTape) -> ModelTape:
        return tape

    @cached_property
    def _first(self) -> int:
        """Index of the first layer that is not a view: none before it needs a gradient."""
        return next((index for index, layer in enumerate(self.layers) if not layer.is_view), 0)

    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, ModelTape]:
        tapes = []
        for layer in self.layers:
            x, tape = forward_at(layer, params, x, mode)
            tapes.append(tape)
        return x, tuple(tapes)

    def backward(
        self,
        params: Arrays,
        tape: ModelTape,
        grad_out: Tensor,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        grad: Tensor | None = grad_out
        for index in range(len(self.layers) - 1, -1 if need_grad_in else self._first - 1, -1):
            assert grad is not None  # only the first layer may return None
            needed = need_grad_in or index > self._first
            grad = backward_at(self.layers[index], params, tape[index], grad, grads, needed, recorder)
        return grad if need_grad_in else None
