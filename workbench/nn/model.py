"""A model: layers in sequence. It is itself a layer, so it can stand inside another."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor

from workbench.axes import Outputs, Units
from workbench.errors import ConfigError
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, UnitTape

ModelTape = tuple[Any, ...]


@dataclass(frozen=True)
class Model(Layer):
    """Feed-forward composition of `layers`."""

    layers: tuple[Layer, ...]

    @property
    def is_noisy(self) -> bool:
        return any(layer.is_noisy for layer in self.layers)

    @property
    def least_batch(self) -> int:
        return max((layer.least_batch for layer in self.layers), default=1)

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return _joined([layer.init(seed, scheme) for layer in self.layers])

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        return _joined([layer.buffers(scheme) for layer in self.layers])

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Outputs, ModelTape]:
        tapes = []
        for layer in self.layers:
            x, tape = layer.forward(params, x, mode)
            tapes.append(tape)
        return x, tuple(tapes)

    def backward(
        self, params: Arrays, tape: ModelTape, grad_out: Outputs, grads: Arrays, need_grad_in: bool = True
    ) -> Units | None:
        grad: Tensor | None = grad_out
        for index in range(len(self.layers) - 1, -1, -1):
            assert grad is not None  # only the first layer may return None
            grad = self.layers[index].backward(params, tape[index], grad, grads, need_grad_in or index > 0)
        return grad

    def absorb(self, params: Arrays, tape: ModelTape) -> None:
        for layer, own in zip(self.layers, tape, strict=True):
            layer.absorb(params, own)

    def units(self, tape: ModelTape) -> Iterator[UnitTape]:
        return chain.from_iterable(layer.units(own) for layer, own in zip(self.layers, tape, strict=True))

    def activity(self, tape: ModelTape) -> Iterator[tuple[str, Units, Units]]:
        return chain.from_iterable(layer.activity(own) for layer, own in zip(self.layers, tape, strict=True))

    def choices(self, tape: ModelTape) -> Iterator[Tensor]:
        return chain.from_iterable(layer.choices(own) for layer, own in zip(self.layers, tape, strict=True))

    def preactivations(self, tape: ModelTape) -> Iterator[tuple[str, Tensor]]:
        return chain.from_iterable(layer.preactivations(own) for layer, own in zip(self.layers, tape, strict=True))

    def products(self) -> Iterator[tuple[int, int]]:
        return chain.from_iterable(layer.products() for layer in self.layers)


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    joined: dict[str, Tensor] = {}
    for part in parts:
        if twice := joined.keys() & part.keys():
            raise ConfigError(f"Model: parameter names must be unique, {sorted(twice)} come twice; rename a layer")
        joined |= part
    return joined
