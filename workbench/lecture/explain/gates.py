"""Values of gated recurrent units by gate, from tapes and recorder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workbench.lecture.explain.unrolled import Unrolled


@dataclass(frozen=True)
class Gated:
    """Values of an unrolled step by gate, each [T, U]; `marks` are superscripts by gate, in the order of the blocks."""

    of: Unrolled
    marks: Mapping[str, str]

    @cached_property
    def z(self) -> dict[str, Tensor]:
        """z of each block."""
        return dict(zip(self.marks, self._blocks(0), strict=True))

    @cached_property
    def gates(self) -> dict[str, Tensor]:
        """The gate or candidate of each block."""
        return dict(zip(self.marks, self._blocks(1), strict=True))

    def _blocks(self, number: int) -> tuple[Tensor, ...]:
        both = self.of.hidden.cell.z_and_a(self.of.tape.saved, self.of.tape.constants)
        return torch.split(both[number][:, 0, 0], self.of.hidden.width, -1)

    @cached_property
    def states(self) -> tuple[Tensor, ...]:
        """States [T + 1, U], with the initial ones."""
        return tuple(state[:, 0, 0] for state in self.of.tape.states)

    @cached_property
    def e(self) -> Tensor:
        """∂C/∂a [T, U]."""
        return self.of.step.recorder.states[self.of.hidden.name][:, 0, 0]

    @cached_property
    def delta(self) -> dict[str, Tensor]:
        """δ of each block."""
        name, deltas = self.of.hidden.name, self.of.step.recorder.deltas
        of_blocks = (deltas[f"{name}.{gate}" if gate else name][0] for gate in self.of.hidden.cell.gates)
        return dict(zip(self.marks, of_blocks, strict=True))
