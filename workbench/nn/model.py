"""A model: layers in sequence. It is itself a layer, so that models nest."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.core.axes import Outputs, Units
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder

ModelTape = tuple[Any, ...]


@dataclass(frozen=True)
class Model(Layer):
    """Feed-forward composition of `layers`."""

    layers: tuple[Layer, ...]

    @property
    def children(self) -> tuple[Layer, ...]:
        return self.layers

    def child_tapes(self, tape: ModelTape) -> ModelTape:
        return tape

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Outputs, ModelTape]:
        tapes = []
        for layer in self.layers:
            x, tape = layer.forward(params, x, mode)
            tapes.append(tape)
        return x, tuple(tapes)

    def backward(
        self,
        params: Arrays,
        tape: ModelTape,
        grad_out: Outputs,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        grad: Tensor | None = grad_out
        for index in range(len(self.layers) - 1, -1, -1):
            assert grad is not None  # only the first layer may return None
            grad = self.layers[index].backward(params, tape[index], grad, grads, need_grad_in or index > 0, recorder)
        return grad
