"""A model: layers in sequence. It is itself a layer, so it can stand inside another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.axes import Outputs, Units
from workbench.errors import ConfigError
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import Arrays, Layer, UnitTape

ModelTape = tuple[Any, ...]


@dataclass(frozen=True)
class Model:
    """Feed-forward composition of `layers`."""

    layers: tuple[Layer, ...]

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        params: dict[str, Tensor] = {}
        for layer in self.layers:
            own = layer.init(seed, scheme)
            if twice := params.keys() & own.keys():
                raise ConfigError(f"Model: parameter names must be unique, {sorted(twice)} come twice; rename a layer")
            params |= own
        return params

    def forward(self, params: Arrays, x: Units) -> tuple[Outputs, ModelTape]:
        tapes = []
        for layer in self.layers:
            x, tape = layer.forward(params, x)
            tapes.append(tape)
        return x, tuple(tapes)

    def backward(
        self,
        params: Arrays,
        tape: ModelTape,
        grad_out: Outputs,
        grads: Arrays,
        need_grad_in: bool = True,
    ) -> Units | None:
        grad: Tensor | None = grad_out
        for index in range(len(self.layers) - 1, -1, -1):
            assert grad is not None  # only the first layer may return None
            grad = self.layers[index].backward(params, tape[index], grad, grads, need_grad_in or index > 0)
        return grad

    def units(self, tape: ModelTape) -> Iterator[UnitTape]:
        for layer, own in zip(self.layers, tape, strict=True):
            yield from layer.units(own)

    def products(self) -> Iterator[tuple[int, int]]:
        for layer in self.layers:
            yield from layer.products()
