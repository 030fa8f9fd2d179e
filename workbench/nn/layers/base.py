"""What a layer is: a frozen record of sizes with pure functions of (params, input), no tensor of its own."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from workbench.axes import Keys, Units
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


def is_watched(grads: Arrays) -> bool:
    """Whether what a pass computes is kept, and so must not be overwritten."""
    return getattr(grads, "watch", None) is not None


def note_delta(grads: Arrays, name: str, delta: Tensor, of_units: bool = True) -> None:
    """Let a watched pass keep a layer's delta: that of its units where it has any, else that of its product."""
    watch = getattr(grads, "watch", None)
    if watch is not None and (of_units or name not in watch.deltas):
        watch.deltas[name] = delta


class Layer(ABC):
    """A differentiable map [R, B, I] -> [R, B, O].

    Only `forward` and `backward` must be given; what a layer does not have, it leaves out.
    """

    @property
    def is_noisy(self) -> bool:
        """Whether a training pass draws noise, and so needs `Mode.keys`."""
        return False

    @property
    def least_batch(self) -> int:
        """How many examples a training pass needs."""
        return 1

    @abstractmethod
    def forward(self, params: Arrays, x: Tensor, mode: Mode = EVALUATION) -> tuple[Tensor, Tape]:
        """Output and the tape that backward reads."""

    @abstractmethod
    def backward(
        self, params: Arrays, tape: Tape, grad_out: Tensor, grads: Arrays, need_grad_in: bool = True
    ) -> Tensor | None:
        """Write dC/dparams into `grads` (same names), return dC/dx, or None where nobody needs it."""

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """One replica's parameters by name, float64 on the CPU, without axis R."""
        return {}

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        """What else the layer keeps per replica, not trained: by name, float64 on the CPU, without axis R."""
        return {}

    def absorb(self, params: Arrays, tape: Tape) -> None:  # noqa: B027 - most layers keep nothing
        """Take up in the buffers, in place, what a training pass saw."""

    def units(self, tape: Tape) -> Iterator[UnitTape]:
        """The units of this layer, for diagnostics."""
        yield from ()

    def activity(self, tape: Tape) -> Iterator[tuple[str, Units, Units]]:
        """(name, z, a) of each layer of units, for diagnostics; here those that have an activation."""
        for units in self.units(tape):
            yield units.name, units.z, units.a

    def choices(self, tape: Tape) -> Iterator[Tensor]:
        """Integers that change where the layer crosses from one smooth piece to another, for gradient checks."""
        yield from ()

    def preactivations(self, tape: Tape) -> Iterator[tuple[str, Tensor]]:
        """(name of a weight, its product z [R, B, O] with the bias), for initialization by data."""
        yield from ()

    def products(self) -> Iterator[tuple[int, int]]:
        """(fan_out, fan_in) of each matrix product, for estimates of work and memory."""
        yield from ()
