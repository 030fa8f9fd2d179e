"""What a layer is: a frozen record of sizes with pure functions of (params, input), no tensor of its own."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from workbench.core.axes import Keys, Units
from workbench.core.errors import ConfigError
from workbench.nn.activations import Activation
from workbench.nn.initializers import Scheme

Arrays = Mapping[str, Tensor]
Tape = Any  # what the layer's own backward reads; only that layer knows its type


class Mode(NamedTuple):
    """How a forward pass is meant. `keys` [R] choose the noise of a training pass, one key per replica and step."""

    training: bool = False
    keys: Keys | None = None


EVALUATION = Mode()


@dataclass(frozen=True)
class UnitTape:
    """What one layer of units did with one batch: z [R, B, U], a [R, B, U], and its activation's constants."""

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
    """What diagnostics read of one pass: the model's tape, its output z, and delta = dC/dz [R, B, U] by layer.

    A backward pass that gets a recorder overwrites none of the tensors that it records.
    """

    tape: Tape = None
    z: Tensor | None = None
    deltas: dict[str, Tensor] = field(default_factory=dict)

    def add_delta(self, name: str, delta: Tensor, of_units: bool = True) -> None:
        """Record a layer's delta: that of its units where it has any, else that of its product."""
        if of_units or name not in self.deltas:
            self.deltas[name] = delta


class Layer(ABC):
    """A differentiable map [R, B, I] -> [R, B, O].

    A layer must define `forward` and `backward`, and whatever else applies to it. A composite layer also names its
    `children` and says in `child_tapes` which part of its tape belongs to which child; what it does not define itself
    is then collected from the children.
    """

    @property
    def children(self) -> "tuple[Layer, ...]":
        """The layers inside this one, in forward order."""
        return ()

    def child_tapes(self, tape: Tape) -> tuple[Tape, ...]:
        """The tape of each child."""
        return ()

    def with_tapes(self, tape: Tape) -> "Iterator[tuple[Layer, Tape]]":
        """Each child with its tape."""
        return zip(self.children, self.child_tapes(tape), strict=True)

    @property
    def is_noisy(self) -> bool:
        """Whether a training pass draws noise, and so needs `Mode.keys`."""
        return any(child.is_noisy for child in self.children)

    @property
    def least_batch(self) -> int:
        """The number of examples that a training pass needs."""
        return max((child.least_batch for child in self.children), default=1)

    @abstractmethod
    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Tape]:
        """Output and the tape that backward reads."""

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
        """One replica's parameters by name, float64 on the CPU, without axis R."""
        return merge([child.init(seed, scheme) for child in self.children])

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        """Per-replica state that is not trained, by name, float64 on the CPU, without axis R."""
        return merge([child.buffers(scheme) for child in self.children])

    def absorb(self, params: Arrays, tape: Tape) -> None:
        """Update the buffers in place from a training pass."""
        for child, child_tape in self.with_tapes(tape):
            child.absorb(params, child_tape)

    def units(self, tape: Tape) -> Iterator[UnitTape]:
        """The layers of units in here that have an activation, for diagnostics."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.units(child_tape)

    def activity(self, tape: Tape) -> Iterator[tuple[str, Units, Units]]:
        """(name, z, a) of each layer of units, for diagnostics."""
        if not self.children:
            yield from ((units.name, units.z, units.a) for units in self.units(tape))
        for child, child_tape in self.with_tapes(tape):
            yield from child.activity(child_tape)

    def choices(self, tape: Tape) -> Iterator[Tensor]:
        """Integers that change where the layer crosses from one smooth piece to another, for gradient checks."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.choices(child_tape)

    def preactivations(self, tape: Tape) -> Iterator[tuple[str, Tensor]]:
        """(name of a weight, its product z [R, B, O] with the bias), for initialization by data."""
        for child, child_tape in self.with_tapes(tape):
            yield from child.preactivations(child_tape)

    def products(self) -> Iterator[tuple[int, int]]:
        """(fan_out, fan_in) of each matrix product, for estimates of work and memory."""
        for child in self.children:
            yield from child.products()


def merge(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Parameters of several layers as one dict; ConfigError if a name comes twice."""
    union: dict[str, Tensor] = {}
    for part in parts:
        if twice := union.keys() & part.keys():
            raise ConfigError(f"Model: parameter names must be unique, {sorted(twice)} come twice; rename a layer")
        union |= part
    return union
