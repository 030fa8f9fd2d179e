"""A layer of units: a = f(z), and backward delta = dC/dz = dC/da · f'(z)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.core.axes import Units, per_replica
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder, UnitTape


class ActivateTape(NamedTuple):
    """Pre-activations and activations of one batch, and the activation's constants [R, 1, 1]."""

    z: Units
    a: Units
    constants: tuple[Tensor, ...]


@dataclass(frozen=True)
class Activate(Layer):
    """Apply one activation to every unit of the layer called `name`."""

    name: str
    activation: Activation

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        constants = {**self.activation.constants, **scheme.constants}
        return {
            f"{self.name}.{key}": torch.tensor(constants[key], dtype=torch.float64) for key in self.activation.constants
        }

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, ActivateTape]:
        constants = tuple(per_replica(params[f"{self.name}.{key}"], x) for key in self.activation.constants)
        a = self.activation.forward(x, *constants)
        return a, ActivateTape(x, a, constants)

    def backward(
        self,
        params: Arrays,
        tape: ActivateTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        if not need_grad_in:
            return None
        delta = self.activation.derivative(*tape[:2], *tape.constants).mul_(grad_out)
        if recorder:
            recorder.add_delta(self.name, delta)
        return delta

    def units(self, tape: ActivateTape) -> Iterator[UnitTape]:
        yield UnitTape(self.name, self.activation, *tape)

    def choices(self, tape: ActivateTape) -> Iterator[Tensor]:
        joints = sorted({*self.activation.kinks, *self.activation.bends})
        if joints:
            yield torch.bucketize(tape.z.contiguous(), torch.tensor(joints, dtype=tape.z.dtype))
