"""The interface of layers: frozen records of sizes with pure functions of (params, input), which hold no tensors."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Bool
from torch import Tensor

from workbench.core.axes import Keys, Units
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme

Arrays = Mapping[str, Tensor]
Tape = Any  # intermediate values for the layer's own backward; each kind of layer has its type


class Mode(NamedTuple):
    """Mode of a forward pass: training or evaluation; `keys` [R] seed a training pass's noise by replica and step.

    `present` marks the positions that are not padding, for layers that mix positions; None where all are present.
    """

    training: bool = False
    keys: Keys | None = None
    present: Bool[Tensor, "R B T"] | None = None


EVALUATION = Mode()


@dataclass(frozen=True)
class UnitTape:
    """Values of a layer of units on a batch: z [R, B, U], a = f(z) [R, B, U], and the activation's constants."""

    name: str
    activation: Activation
    z: Units
    a: Units
    constants: tuple[Tensor, ...] = ()

    def slope(self) -> Units:
        """f'(z), a fresh tensor."""
        return self.activation.derivative(self.z, self.a, *self.constants)


@dataclass
class Recorder:
    """Record of one pass for diagnostics: the model's tape, its output z, and delta = dC/dz [R, B, U] by layer.

    `states` has dC/dh [T, R, B, U] of each recurrent layer, where h is its state after each step, `scores` has dC/dS
    [R·B·H, T, T] of each attention layer. A backward pass with a recorder does not overwrite the tensors it records.
    """

    tape: Tape = None
    z: Tensor | None = None
    deltas: dict[str, Tensor] = field(default_factory=dict)
    states: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, Tensor] = field(default_factory=dict)

    def add_delta(self, name: str, delta: Tensor, of_units: bool = True) -> None:
        """Record a layer's delta; the delta of units replaces that of a product."""
        if of_units or name not in self.deltas:
            self.deltas[name] = delta


class Layer(ABC):
    """A differentiable map [R, B, I] -> [R, B, O], or [R, B, *P, I] -> [R, B, *Q, O] with positions P and Q.

    A layer must define `forward` and `backward`, and the other methods that apply to it. A composite layer also lists
    its `children` and, in `child_tapes`, the part of its tape that belongs to each; methods it does not define then
    collect from the children. A layer that `takes_positions` mixes, makes or removes them; any other treats all
    positions alike, and `forward_at` shows it them as examples.

    Where two layers use one parameter, the later one in backward order adds to the gradient that the first wrote.
    """

    takes_positions: ClassVar[bool] = False
    is_view: ClassVar[bool] = False

    @property
    def children(self) -> "tuple[Layer, ...]":
        """Layers inside this one, in forward order."""
        return ()

    def child_tapes(self, tape: Tape) -> tuple[Tape, ...]:
        """The tape of each child."""
        return ()

    def with_tapes(self, tape: Tape) -> "Iterator[tuple[Layer, Tape]]":
        """Pair each child with its tape."""
        return zip(self.children, self.child_tapes(tape), strict=True)

    @property
    def is_noisy(self) -> bool:
        """Whether a training pass draws noise, which requires `Mode.keys`."""
        return any(child.is_noisy for child in self.children)

    @property
    def least_batch(self) -> int:
        """Least number of examples in a batch of a training pass."""
        return max((child.least_batch for child in self.children), default=1)

    @abstractmethod
    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Tape]:
        """Return the output and the tape for `backward`.

        Raises ShapeError where the input's shape, the batch size or `mode` does not suit the layer.
        """

    @abstractmethod
    def backward(
        self,
        params: Arrays,
        tape: Tape,
        grad_out: Tensor,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Tensor | None:
        """Write dC/dparams into `grads` (same names) and return dC/dx, or None if `need_grad_in` is false.

        A layer with units passes delta = dC/dz to the recorder, and a composite passes the recorder to its children.
        """

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Draw a replica's parameters by name, float64 on the CPU, without axis R.

        Raises ConfigError where two layers share a parameter's name.
        """
        return merge([child.init(seed, scheme) for child in self.children])

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        """Make a replica's state that is not trained, by name, float64 on the CPU, without axis R."""
        return merge([child.buffers(scheme) for child in self.children])

    def absorb(self, params: Arrays, tape: Tape) -> None:
        """Update the buffers in place from a training pass."""
        for child, child_tape in self.with_tapes(tape):
            child.absorb(params, child_tape)

    def units(self, tape: Tape) -> Iterator[UnitTape]:
        """Yield the tapes of all layers of units with an activation, for diagnostics."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.units(child_tape)

    def activity(self, tape: Tape) -> Iterator[tuple[str, Units, Units]]:
        """Yield (name, z, a) of each layer of units, for diagnostics."""
        if not self.children:
            yield from ((units.name, units.z, units.a) for units in self.units(tape))
        for child, child_tape in self.with_tapes(tape):
            yield from child.activity(child_tape)

    def maps(self, tape: Tape) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, weights A [R, B, H, T, T]) of each attention layer, for figures: row t is what t takes."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.maps(child_tape)

    def choices(self, tape: Tape) -> Iterator[Tensor]:
        """Yield integers that identify the smooth piece each unit is on, for gradient checks: they change at kinks."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.choices(child_tape)

    def preactivations(self, tape: Tape) -> Iterator[tuple[str, Tensor]]:
        """Yield (name of a weight, its product z [R, B, O] with the bias), for initialization by data."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.preactivations(child_tape)

    def products(self) -> Iterator[tuple[int, int]]:
        """Yield (fan_out, fan_in) of each matrix product, for estimates of work and memory."""
        for child in self.children:
            yield from child.products()


def within(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and all layers inside it, in forward order."""
    yield layer
    for child in layer.children:
        yield from within(child)


def contains(layer: Layer, *kinds: type[Layer]) -> bool:
    """Whether a layer is, or has inside it, one of these kinds."""
    return any(isinstance(inner, kinds) for inner in within(layer))


def forward_at(layer: Layer, params: Arrays, x: Tensor, mode: Mode) -> tuple[Tensor, Tape]:
    """Call `layer.forward` on x [R, B, *P, I]; a layer that treats positions alike sees x as [R, B·P, I], no copy."""
    if layer.takes_positions or x.ndim == 3:
        return layer.forward(params, x, mode)
    out, tape = layer.forward(params, x.flatten(1, -2), mode)
    return out.view(*x.shape[:-1], out.shape[-1]), tape


def backward_at(
    layer: Layer,
    params: Arrays,
    tape: Tape,
    grad_out: Tensor,
    grads: Arrays,
    need_grad_in: bool = True,
    recorder: Recorder | None = None,
) -> Tensor | None:
    """Call `layer.backward` for a tape of `forward_at`."""
    if layer.takes_positions or grad_out.ndim == 3:
        return layer.backward(params, tape, grad_out, grads, need_grad_in, recorder)
    grad_in = layer.backward(params, tape, grad_out.flatten(1, -2), grads, need_grad_in, recorder)
    return None if grad_in is None else grad_in.view(*grad_out.shape[:-1], grad_in.shape[-1])


def merge(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Merge the parameters of several layers; raises ConfigError where two share a name."""
    union: dict[str, Tensor] = {}
    for part in parts:
        if twice := union.keys() & part.keys():
            raise ConfigError(f"Model: parameter names must be unique, {sorted(twice)} come twice; rename a layer")
        union |= part
    return union
