"""Recurrent layers: a cell applied along time, from state 0, with backpropagation through time written out.

x is [R, B, T, I]; W [R, blocks·U, I] and b act on the input, U [R, blocks·U, U], called ``l1.state.W``, on the state h;
`cells` has the formulas. The inputs of all steps are multiplied by W at once before the loop. The loop back computes
delta of one step after the other (Rumelhart et al. 1986; Werbos 1990):

    e_t = dC/dout_t + what the cell carries from e_{t+1} + delta_{t+1} U

and after it, for all steps at once,

    dW = Σ_t delta_tᵀ x_t       db = Σ delta_t      dU = Σ_t delta_tᵀ h_{t-1}       grad_in = delta W

Truncated backpropagation cuts e after every `truncate` steps. Where `Mode.present` is false, the state stays as it
was: e passes on, and delta is 0. So a layer on reversed time starts at the last present position, as its state is 0
until then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.core.axes import Units
from workbench.core.errors import ShapeError
from workbench.core.seeds import generator
from workbench.nn.initializers import Initializer, Scheme, orthogonal
from workbench.nn.layers import through_time
from workbench.nn.layers.activate import Activate, ActivateTape
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder, UnitTape
from workbench.nn.layers.cells import Cell, Rows
from workbench.nn.products import product, product_into

InTime = Float[Tensor, "R B T _"]
ORTHOGONAL = orthogonal()


class RecurrentTape(NamedTuple):
    """Inputs [R, T·B, I], states [T + 1, R, B, U] with the initial one, and what the cell saved [T, R, B, ...]."""

    inputs: Tensor
    states: Rows
    saved: Rows
    constants: Rows
    present: Bool[Tensor, "T R B 1"] | None


@dataclass(frozen=True)
class Recurrent(Layer):
    """Layer of `width` recurrent units on `fan_in` inputs per position, x [R, B, T, I] -> h [R, B, T, U].

    U is drawn by `initial`, the scheme's own weights if None. With `reverse`, time runs from the last position to the
    first. `truncate` is the number of steps that gradients go back at most.
    """

    takes_positions: ClassVar[bool] = True

    name: str
    fan_in: int
    width: int
    cell: Cell
    reverse: bool = False
    truncate: int | None = None
    initial: Initializer | None = ORTHOGONAL

    @property
    def rows(self) -> int:
        """Rows of W and U: those of all blocks."""
        return len(self.cell.gates) * self.width

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Draw each block of W and U by itself; the biases of a forget gate are 1 (Gers et al. 2000)."""
        W, b, U, c = (f"{self.name}.{part}" for part in ("W", "b", "state.W", "state.b"))
        streams = {name: generator(seed, "weights", name) for name in (W, b, U, c)}
        blocks = [scheme.sample(streams[W], streams[b], self.width, self.fan_in) for _ in self.cell.gates]
        initial = self.initial or scheme.weights
        inner = [initial.sample(streams[U], self.width, self.width) for _ in self.cell.gates]
        for gate, (_, bias) in zip(self.cell.gates, blocks, strict=True):
            if gate == "forget_gate":
                bias.fill_(1)
        drawn = {W: torch.cat([block for block, _ in blocks]), b: torch.cat([bias for _, bias in blocks])}
        drawn[U] = torch.cat(inner)
        if self.cell.has_c:
            drawn[c] = scheme.bias.sample(streams[c], self.width, self.width)
        return drawn

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        return Activate(self.name, self.cell.activations[-1]).buffers(scheme)

    def forward(self, params: Arrays, x: InTime, mode: Mode = EVALUATION) -> tuple[InTime, RecurrentTape]:
        self._check(x, mode)
        W, b, U = (params[f"{self.name}.{part}"] for part in ("W", "b", "state.W"))
        scales = self.cell.scales(x, self.width)
        constants = self._constants(params, scales)
        if scales:
            W, b, U = W * scales[0].unsqueeze(1), b * scales[0], U * scales[1].unsqueeze(1)
        inputs = x.transpose(1, 2).flatten(1, 2)
        z = product(inputs, W.transpose(1, 2), b.unsqueeze(1)).view(len(x), x.shape[2], x.shape[1], -1).transpose(0, 1)
        present = None if mode.present is None else mode.present.permute(2, 0, 1).unsqueeze(3)
        settings = self.reverse, self.truncate
        states, saved = through_time.forward(self.cell, z, U.transpose(1, 2), constants, present, *settings)
        out = through_time.after(states, self.reverse)[0].permute(1, 2, 0, 3).contiguous()
        return out, RecurrentTape(inputs, states, saved, constants, present)

    def _check(self, x: Tensor, mode: Mode) -> None:
        if x.ndim != 4 or x.shape[3] != self.fan_in:
            raise ShapeError(
                f"Recurrent {self.name!r}: x must be [R, B, T, {self.fan_in}], got {list(x.shape)}; "
                "give each position its features, or fix fan_in"
            )
        if mode.present is not None and mode.present.shape != x.shape[:3]:
            raise ShapeError(
                f"Recurrent {self.name!r}: Mode.present must be {list(x.shape[:3])}, got {list(mode.present.shape)}; "
                "mark each position of each example"
            )

    def _constants(self, params: Arrays, scales: tuple[Tensor, Tensor] | None) -> Rows:
        """Tensors of the cell's formula: constants of its activation, c with zeros for the gates, or scales."""
        if self.cell.has_c:
            c = params[f"{self.name}.state.b"]
            gates = c.new_zeros(len(c), self.rows - self.width)
            return (torch.cat((gates, c / 2), 1).unsqueeze(1),)
        if scales:
            return scales[0], 1 - scales[0]
        names = self.cell.activations[0].constants
        return tuple(params[f"{self.name}.{key}"].view(-1, 1, 1) for key in names)

    def backward(
        self,
        params: Arrays,
        tape: RecurrentTape,
        grad_out: InTime,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> InTime | None:
        W, b, U, c = (f"{self.name}.{part}" for part in ("W", "b", "state.W", "state.b"))
        before = through_time.before(tape.states, self.reverse)
        after = through_time.after(tape.states, self.reverse)[0]
        of_h = grad_out.transpose(1, 2).clone(memory_format=torch.contiguous_format).transpose(0, 1)
        of_states = (of_h, *(torch.zeros_like(of_h) for _ in before[1:]))
        factors = self.cell.factors(before, after, tape.saved, tape.constants)
        through_time.backward(self.cell, of_states, factors, params[U], tape.present, self.reverse, self.truncate)
        delta = self.cell.input_delta(of_states, factors)
        if recorder:
            recorder.states[self.name] = of_states[0]
            for name, part in zip(self._names(), torch.split(delta, self.width, -1), strict=True):
                recorder.add_delta(name, _by_example(part))
        delta_z, delta_u = _by_replica(delta), _by_replica(factors.delta)
        product_into(grads[W], delta_z.transpose(1, 2), tape.inputs)
        product_into(grads[U], delta_u.transpose(1, 2), _by_replica(before[0]))
        torch.sum(delta_z, 1, out=grads[b])
        if self.cell.has_c:
            torch.sum(delta_u[..., -self.width :], 1, out=grads[c])
        if not need_grad_in:
            return None
        replicas, batch, steps, _ = grad_out.shape
        return product(delta_z, params[W]).view(replicas, steps, batch, self.fan_in).transpose(1, 2)

    def _names(self) -> tuple[str, ...]:
        """Names of the blocks as layers of units: the layer's own for the units, a gate's after a dot."""
        return tuple(f"{self.name}.{gate}" if gate else self.name for gate in self.cell.gates)

    def units(self, tape: RecurrentTape) -> Iterator[UnitTape]:
        both = self.cell.z_and_a(tape.saved, tape.constants)
        z, a = (torch.split(_by_example(each), self.width, -1) for each in both)
        constants = () if self.cell.gates[0] else tape.constants
        for name, activation, z_part, a_part in zip(self._names(), self.cell.activations, z, a, strict=True):
            yield UnitTape(name, activation, z_part, a_part, constants)

    def choices(self, tape: RecurrentTape) -> Iterator[Tensor]:
        for units in self.units(tape):
            yield from Activate(self.name, units.activation).choices(ActivateTape(units.z, units.a, ()))

    def preactivations(self, tape: RecurrentTape) -> Iterator[tuple[str, Tensor]]:
        yield f"{self.name}.W", _by_example(self.cell.z_and_a(tape.saved, tape.constants)[0])

    def products(self) -> Iterator[tuple[int, int]]:
        yield self.rows, self.fan_in
        yield self.rows, self.width


def _by_replica(values: Tensor) -> Tensor:
    """View [T, R, B, ...] as [R, T·B, ...]."""
    return values.transpose(0, 1).flatten(1, 2)


def _by_example(values: Tensor) -> Units:
    """Reshape [T, R, B, U] to [R, B·T, U], the order of positions seen as examples."""
    return values.permute(1, 2, 0, 3).flatten(1, 2)


class BidirectionalTape(NamedTuple):
    """Tapes of both directions."""

    ahead: RecurrentTape
    back: RecurrentTape


@dataclass(frozen=True)
class Bidirectional(Layer):
    """Two recurrent layers side by side (Schuster and Paliwal 1997), the features of `back` after those of `ahead`.

    `back` runs on reversed time.
    """

    takes_positions: ClassVar[bool] = True

    ahead: Recurrent
    back: Recurrent

    @property
    def children(self) -> tuple[Layer, ...]:
        return self.ahead, self.back

    def child_tapes(self, tape: BidirectionalTape) -> tuple[RecurrentTape, ...]:
        return tape

    def forward(self, params: Arrays, x: InTime, mode: Mode = EVALUATION) -> tuple[InTime, BidirectionalTape]:
        ahead, ahead_tape = self.ahead.forward(params, x, mode)
        back, back_tape = self.back.forward(params, x, mode)
        return torch.cat((ahead, back), 3), BidirectionalTape(ahead_tape, back_tape)

    def backward(
        self,
        params: Arrays,
        tape: BidirectionalTape,
        grad_out: InTime,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> InTime | None:
        of_ahead, of_back = torch.split(grad_out, [self.ahead.width, self.back.width], 3)
        ahead = self.ahead.backward(params, tape.ahead, of_ahead, grads, need_grad_in, recorder)
        back = self.back.backward(params, tape.back, of_back, grads, need_grad_in, recorder)
        return None if ahead is None or back is None else ahead.add_(back)
