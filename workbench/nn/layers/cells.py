"""Cells of recurrent layers: the formula of one step, with z = x Wᵀ + b, u = h Uᵀ, and h the state before the step.

    Elman (1990)                    h' = f(z + u)

    GRU (Cho et al. 2014, in torch's form)
        r, s = σ(z + u)             n = tanh(z_n + r (u_n + c))         h' = (1 - s) n + s h

    LSTM (Hochreiter and Schmidhuber 1997; the forget gate f of Gers et al. 2000)
        i, f, o = σ(z + u)          g = tanh(z_g + u_g)                 k' = f k + i g          h' = o tanh k'

W and U have a block of rows for each gate: (r, s, n) or (i, f, g, o). With e = dC/dh', from all that follows:

    Elman   delta = e f'(z + u)                                         dC/dh = delta U

    GRU     delta_n = e (1 - s) (1 - n²)                                dC/dh = s e + (delta_r, delta_s, r delta_n) U
            delta_s = e (h - n) s (1 - s)
            delta_r = delta_n (u_n + c) r (1 - r)                       dc = Σ r delta_n

    LSTM    d = dC/dk' + e o (1 - tanh² k')                             dC/dh = delta U         dC/dk = f d
            delta_i = d g i (1 - i)     delta_f = d k f (1 - f)
            delta_g = d i (1 - g²)      delta_o = e tanh(k') o (1 - o)

What e and d are multiplied by is known after the forward pass, and computed for all steps at once. As
σ(z) = ½ + ½ tanh(z/2), one tanh serves all gates; z/2 is exact.

Tensors of all steps are [T, R, B, ...].
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from workbench.nn.activations import Activation, sigmoid, tanh
from workbench.nn.elementwise import logistic_chain, tanh_chain
from workbench.nn.products import product, product_into

Rows = tuple[Tensor, ...]
Out = Sequence[Tensor | None]
SIGMOID, TANH = sigmoid(), tanh()


class Factors(NamedTuple):
    """Derivatives of all steps, each [T, R, B, ...]: `delta`, to be multiplied in place by the states' gradients.

    `inner` are others that `Cell.step_back` needs. `carry` has d state'/d state for each state, without the path
    through U; None is 0.
    """

    delta: Tensor
    inner: Rows
    carry: tuple[Tensor | None, ...]


class Cell(ABC):
    """Formula of a step, written for states [R, B, U], of which the first is h, the output.

    `gates` names the blocks of rows of W and U; the block of the units has an empty name.
    """

    gates: ClassVar[tuple[str, ...]] = ("",)
    n_states: ClassVar[int] = 1
    has_c: ClassVar[bool] = False

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Activation of each block."""
        return tuple(SIGMOID if gate else TANH for gate in self.gates)

    def scales(self, like: Tensor, units: int) -> tuple[Tensor, Tensor] | None:
        """Make the factors [blocks·U] of z and of u; None for 1."""
        row = torch.cat([like.new_full((units,), 0.5 if gate else 1.0) for gate in self.gates])
        return row, row

    @abstractmethod
    def widths(self, units: int) -> tuple[int, ...]:
        """Numbers per example of each tensor that `step` saves after z + u."""

    def parts(self, saved: Rows) -> Rows:
        """Make the views of what it saves that `step` works on, for all steps at once."""
        return ()

    @abstractmethod
    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        """Return the states after the step and what it saves, written to `out` where that has tensors.

        z is [R, B, blocks·U], U [R, U, blocks·U] transposed, both scaled. z + u, saved first, may be written over z.
        Without `out` and `parts` no tensor is overwritten, as autograd requires.
        """

    @abstractmethod
    def factors(self, before: Rows, h: Tensor, saved: Rows, constants: Rows) -> Factors:
        """Compute the derivatives of all steps from the states before each, h after it, and what it saved."""

    @abstractmethod
    def step_back(self, grads: Rows, delta: Tensor, inner: Rows) -> None:
        """Multiply `delta` by the gradients of the states after the step: it becomes the gradient of u."""

    def input_delta(self, grads: Rows, factors: Factors) -> Tensor:
        """Return the gradient of z [T, R, B, blocks·U], after `step_back` of all steps."""
        return factors.delta

    @abstractmethod
    def z_and_a(self, saved: Rows, constants: Rows) -> tuple[Tensor, Tensor]:
        """Return z + u, for the units of a GRU z + r (u + c), and its activation, both [T, R, B, blocks·U]."""


@dataclass(frozen=True)
class Elman(Cell):
    """Simple recurrent units; torch's RNN."""

    activation: Activation = TANH

    @property
    def activations(self) -> tuple[Activation, ...]:
        return (self.activation,)

    def scales(self, like: Tensor, units: int) -> None:
        return None

    def widths(self, units: int) -> tuple[int, ...]:
        return ()

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        z = _affine(before[0], U, z, out[1])
        a = self.activation.forward(z, *constants)
        return a if out[0] is None else out[0].copy_(a), z

    def factors(self, before: Rows, h: Tensor, saved: Rows, constants: Rows) -> Factors:
        return Factors(self.activation.derivative(saved[0], h, *constants), (), (None,))

    def step_back(self, grads: Rows, delta: Tensor, inner: Rows) -> None:
        delta.mul_(grads[0])

    def z_and_a(self, saved: Rows, constants: Rows) -> tuple[Tensor, Tensor]:
        return saved[0], self.activation.forward(saved[0], *constants)


@dataclass(frozen=True)
class GRU(Cell):
    """Gated recurrent units: the reset gate r, the update gate s."""

    gates: ClassVar[tuple[str, ...]] = ("reset_gate", "update_gate", "")
    has_c: ClassVar[bool] = True

    def scales(self, like: Tensor, units: int) -> tuple[Tensor, Tensor]:
        row = like.new_full((3 * units,), 0.5)
        half = row.clone()
        row[2 * units :] = 1
        return row, half  # r (u_n + c) = (1 + tanh) (u_n + c)/2

    def widths(self, units: int) -> tuple[int, ...]:
        return 3 * units, 2 * units, units, units  # (u + c)/2, tanh of both gates, n, h - n

    def parts(self, saved: Rows) -> Rows:
        z, u, t, n, _ = saved
        units = n.shape[-1]
        return z[..., : 2 * units], z[..., 2 * units :], u[..., 2 * units :], *torch.split(t, units, -1)

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        h, units = before[0], before[0].shape[2]
        u = _affine(h, U, constants[0], out[2])
        z = torch.add(z, u, out=out[1])
        z_gates, z_n, u_n, *t_parts = parts or (z[..., : 2 * units], z[..., 2 * units :], u[..., 2 * units :])
        t = torch.tanh(z_gates, out=out[3])
        t_r, t_s = t_parts or torch.split(t, units, -1)
        z_n = torch.addcmul(z_n, t_r, u_n, out=z_n if parts else None)
        n = torch.tanh(z_n, out=out[4])
        z = z if parts else torch.cat((z_gates, z_n), -1)
        change = torch.sub(h, n, out=out[5])
        half = torch.addcmul(n, change, t_s, value=0.5, out=out[0])
        return torch.add(half, change, alpha=0.5, out=out[0]), z, u, t, n, change

    def factors(self, before: Rows, h: Tensor, saved: Rows, constants: Rows) -> Factors:
        _, u, t, n, change = saved
        units = n.shape[-1]
        r, s = torch.split(t.mul(0.5).add_(0.5), units, -1)
        of_n = tanh_chain(1 - s, n)
        delta = torch.empty_like(u)
        delta_r, delta_s, delta_u = torch.split(delta, units, -1)
        logistic_chain((of_n * u[..., 2 * units :]).mul_(2), r, delta_r)
        logistic_chain(change, s, delta_s)
        torch.mul(r, of_n, out=delta_u)
        return Factors(delta, (of_n, delta.view(*delta.shape[:-1], 3, units)), (s,))

    def step_back(self, grads: Rows, delta: Tensor, inner: Rows) -> None:
        inner[1].mul_(grads[0].unsqueeze(2))

    def input_delta(self, grads: Rows, factors: Factors) -> Tensor:
        units = grads[0].shape[-1]
        delta = factors.delta.clone()
        torch.mul(factors.inner[0], grads[0], out=delta[..., 2 * units :])
        return delta

    def z_and_a(self, saved: Rows, constants: Rows) -> tuple[Tensor, Tensor]:
        z, _, t, n, _ = saved
        units = n.shape[-1]
        gates = 2 * z[..., : 2 * units], t.mul(0.5).add_(0.5)
        return torch.cat((gates[0], z[..., 2 * units :]), -1), torch.cat((gates[1], n), -1)


@dataclass(frozen=True)
class LSTM(Cell):
    """Long short-term memory with input gate i, forget gate f and output gate o; its second state k is the memory."""

    gates: ClassVar[tuple[str, ...]] = ("input_gate", "forget_gate", "", "output_gate")
    n_states: ClassVar[int] = 2

    def widths(self, units: int) -> tuple[int, ...]:
        return 4 * units, units  # (i, f, g, o), tanh k'

    def parts(self, saved: Rows) -> Rows:
        _, gates, squashed = saved
        return torch.split(gates, squashed.shape[-1], -1)

    def step(self, before: Rows, U: Tensor, z: Tensor, constants: Rows, out: Out, parts: Rows) -> Rows:
        h, k = before
        scale, offset = constants
        z = _affine(h, U, z, out[2])
        gates = torch.addcmul(offset, torch.tanh(z, out=out[3]), scale, out=out[3])
        i, f, g, o = parts or torch.split(gates, h.shape[2], -1)
        k = torch.addcmul(torch.mul(f, k, out=out[1]), i, g, out=out[1])
        squashed = torch.tanh(k, out=out[4])
        return torch.mul(o, squashed, out=out[0]), k, z, gates, squashed

    def factors(self, before: Rows, h: Tensor, saved: Rows, constants: Rows) -> Factors:
        _, gates, squashed = saved
        units = squashed.shape[-1]
        i, f, g, o = torch.split(gates, units, -1)
        delta = torch.empty_like(gates)
        delta_i, delta_f, delta_g, delta_o = torch.split(delta, units, -1)
        logistic_chain(g, i, delta_i)
        logistic_chain(before[1], f, delta_f)
        tanh_chain(i, g, delta_g)
        logistic_chain(squashed, o, delta_o)
        through = tanh_chain(o, squashed)
        by_block = delta.view(*delta.shape[:-1], 4, units)
        return Factors(delta, (through, by_block[..., :3, :], by_block[..., 3, :]), (None, f))

    def step_back(self, grads: Rows, delta: Tensor, inner: Rows) -> None:
        of_h, of_k = grads
        through, of_memory, of_output = inner
        of_k.addcmul_(of_h, through)
        of_memory.mul_(of_k.unsqueeze(2))
        of_output.mul_(of_h)

    def z_and_a(self, saved: Rows, constants: Rows) -> tuple[Tensor, Tensor]:
        z, gates, _ = saved
        return z / constants[0], gates


def _affine(h: Tensor, U: Tensor, plus: Tensor, out: Tensor | None) -> Tensor:
    """Compute h U + plus, into `out` if there is one."""
    if out is None:
        return product(h, U, plus)
    product_into(out, h, U, plus)
    return out
