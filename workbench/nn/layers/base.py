"""What a layer is: a frozen record of sizes with pure functions of (params, input), no tensor of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from workbench.axes import Units
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme

Arrays = Mapping[str, Tensor]
Tape = Any  # what the layer's own backward reads; only that layer knows its type


@dataclass(frozen=True)
class UnitTape:
    """What one layer of units did with one batch: name, activation, z [R, B, U] and a [R, B, U]."""

    name: str
    activation: Activation
    z: Units
    a: Units


@runtime_checkable
class Layer(Protocol):
    """A differentiable map [R, B, I] -> [R, B, O]."""

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """One replica's parameters by name, float64 on the CPU, without axis R."""

    def forward(self, params: Arrays, x: Tensor) -> tuple[Tensor, Tape]:
        """Output and the tape that backward reads."""

    def backward(
        self, params: Arrays, tape: Tape, grad_out: Tensor, grads: Arrays, need_grad_in: bool = True
    ) -> Tensor | None:
        """Write dC/dparams into `grads` (same names), return dC/dx, or None where nobody needs it."""

    def units(self, tape: Tape) -> Iterator[UnitTape]:
        """The units of this layer, for diagnostics."""

    def products(self) -> Iterator[tuple[int, int]]:
        """(fan_out, fan_in) of each matrix product, for estimates of work and memory."""
