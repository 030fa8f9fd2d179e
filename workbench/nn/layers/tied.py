"""An auto-encoder of one layer whose decoder has the encoder's weights: r = a W + c with a = f(x Wᵀ + b).

With delta = dC/dr [R, B, I]:

    dc = sum over B of delta        da = delta Wᵀ        dW = aᵀ delta + dW of the encoder, from da
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.core.axes import Units
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.dense import Dense
from workbench.nn.products import product


class TiedTape(NamedTuple):
    """Tape of the encoder, and the code a."""

    encoder: Any
    a: Units


@dataclass(frozen=True)
class Tied(Layer):
    """Auto-encoder whose `encoder` begins with `dense`; the decoder, called `name`, uses the same W and its own c."""

    name: str
    encoder: Layer
    dense: Dense

    @property
    def children(self) -> tuple[Layer, ...]:
        return (self.encoder,)

    def child_tapes(self, tape: TiedTape) -> tuple[Any, ...]:
        return (tape.encoder,)

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        c_name = f"{self.name}.b"
        c = scheme.bias.sample(generator(seed, "weights", c_name), self.dense.fan_in, self.dense.fan_out)
        return {**self.encoder.init(seed, scheme), c_name: c}

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, TiedTape]:
        a, tape = self.encoder.forward(params, x, mode)
        r = product(a, params[f"{self.dense.name}.W"], params[f"{self.name}.b"].unsqueeze(1))
        return r, TiedTape(tape, a)

    def backward(
        self,
        params: Arrays,
        tape: TiedTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        W = f"{self.dense.name}.W"
        torch.sum(grad_out, 1, out=grads[f"{self.name}.b"])
        grad_a = product(grad_out, params[W].transpose(1, 2))
        grad_in = self.encoder.backward(params, tape.encoder, grad_a, grads, need_grad_in, recorder)
        grads[W].add_(product(tape.a.transpose(1, 2), grad_out))
        return grad_in

    def products(self) -> Iterator[tuple[int, int]]:
        yield from super().products()
        yield self.dense.fan_in, self.dense.fan_out
