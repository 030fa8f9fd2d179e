"""A layer of units: a = f(z), and backward delta = dC/dz = dC/da · f'(z)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from workbench.axes import Units
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import Arrays, UnitTape


class ActivateTape(NamedTuple):
    """Pre-activations and activations of one batch."""

    z: Units
    a: Units


@dataclass(frozen=True)
class Activate:
    """Applies one activation to every unit of the layer called `name`."""

    name: str
    activation: Activation

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return {}

    def forward(self, params: Arrays, x: Units) -> tuple[Units, ActivateTape]:
        a = self.activation.forward(x)
        return a, ActivateTape(x, a)

    def backward(
        self,
        params: Arrays,
        tape: ActivateTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
    ) -> Units | None:
        return self.activation.derivative(tape.z, tape.a).mul_(grad_out) if need_grad_in else None

    def units(self, tape: ActivateTape) -> Iterator[UnitTape]:
        yield UnitTape(self.name, self.activation, tape.z, tape.a)

    def products(self) -> Iterator[tuple[int, int]]:
        yield from ()
