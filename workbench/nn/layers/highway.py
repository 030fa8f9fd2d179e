"""Highway layer (Srivastava et al. 2015): a gate T decides how much of a transform H replaces the input.

    H = f(x W_hᵀ + b_h)        T = σ(x W_tᵀ + b_t)        out = x + T (H - x)

With grad = dC/dout:

    delta_h = grad T f'(z_h)        delta_t = grad (H - x) T (1 - T)
    grad_in = grad (1 - T) + delta_h W_h + delta_t W_t
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.core.axes import Units
from workbench.nn.activations import Activation
from workbench.nn.elementwise import logistic
from workbench.nn.initializers import Scheme
from workbench.nn.layers.activate import Activate, ActivateTape
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.dense import Dense, DenseTape


class HighwayTape(NamedTuple):
    """Tapes of both products and of H's units, the gate T, and H - x."""

    transform: DenseTape
    units: ActivateTape
    gate: DenseTape
    T: Units
    change: Units


@dataclass(frozen=True)
class Highway(Layer):
    """Highway layer of `width` units in and out; with `gate_bias` below 0 it starts near the identity."""

    name: str
    width: int
    activation: Activation
    gate_bias: float = -1.0

    @property
    def transform(self) -> Dense:
        """Affine layer of H."""
        return Dense(self.name, self.width, self.width)

    @property
    def gate(self) -> Dense:
        """Affine layer of T."""
        return Dense(f"{self.name}.gate", self.width, self.width)

    @property
    def activate(self) -> Activate:
        """Units of H."""
        return Activate(self.name, self.activation)

    @property
    def children(self) -> tuple[Layer, ...]:
        return self.transform, self.activate, self.gate

    def child_tapes(self, tape: HighwayTape) -> tuple[DenseTape | ActivateTape, ...]:
        return tape.transform, tape.units, tape.gate

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        params = super().init(seed, scheme)
        params[f"{self.gate.name}.b"].fill_(self.gate_bias)
        return params

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, HighwayTape]:
        z, transform = self.transform.forward(params, x)
        H, units = self.activate.forward(params, z)
        z_gate, gate = self.gate.forward(params, x)
        T = logistic(z_gate)
        change = H - x
        return torch.addcmul(x, T, change), HighwayTape(transform, units, gate, T, change)

    def backward(
        self,
        params: Arrays,
        tape: HighwayTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        through = grad_out * tape.T
        delta_h = self.activate.backward(params, tape.units, through, grads, recorder=recorder)
        delta_t = (grad_out * tape.change).mul_(torch.addcmul(tape.T, tape.T, tape.T, value=-1))
        assert delta_h is not None
        from_h = self.transform.backward(params, tape.transform, delta_h, grads, need_grad_in, recorder)
        from_t = self.gate.backward(params, tape.gate, delta_t, grads, need_grad_in, recorder)
        if from_h is None or from_t is None:
            return None
        return from_h.add_(from_t).add_(grad_out).sub_(through)
