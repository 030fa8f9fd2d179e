"""Maxout units (Goodfellow et al. 2013; the lecture's "ReLU and Generalizations"): a_u = max over p of z_pu.

Each unit has P affine pieces z_p = x W_pᵀ + b_p; W is [R, P·O, I] and b [R, P·O], piece by piece. The whole gradient
grad = dC/da goes to the largest piece, to the first one in a tie:

    delta_pu = grad_u if p = argmax_p z_pu else 0        dW, db, grad_in as in Dense
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.axes import Units
from workbench.core.seeds import generator
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.dense import Dense, DenseTape


class MaxoutTape(NamedTuple):
    """Tape of the affine map, each unit's largest piece by number, and that piece's value."""

    affine: DenseTape
    winner: Int64[Tensor, "R B 1 O"]
    a: Units


@dataclass(frozen=True)
class Maxout(Layer):
    """Layer of `fan_out` maxout units with `pieces` affine pieces each."""

    name: str
    fan_in: int
    fan_out: int
    pieces: int

    @property
    def affine(self) -> Dense:
        """Affine layer that computes all pieces at once."""
        return Dense(self.name, self.fan_in, self.pieces * self.fan_out)

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Draw each piece as a layer from `fan_in` to `fan_out` units."""
        w_name, b_name = f"{self.name}.W", f"{self.name}.b"
        streams = generator(seed, "weights", w_name), generator(seed, "weights", b_name)
        drawn = [scheme.sample(*streams, self.fan_out, self.fan_in) for _ in range(self.pieces)]
        return {w_name: torch.cat([W for W, _ in drawn]), b_name: torch.cat([b for _, b in drawn])}

    def forward(
        self, params: Arrays, x: Float[Tensor, "R B I"], mode: Mode = EVALUATION
    ) -> tuple[Float[Tensor, "R B O"], MaxoutTape]:
        z, affine = self.affine.forward(params, x)
        largest, winner = self._by_piece(z).max(2, keepdim=True)
        a = largest.squeeze(2)
        return a, MaxoutTape(affine, winner, a)

    def backward(
        self,
        params: Arrays,
        tape: MaxoutTape,
        grad_out: Float[Tensor, "R B O"],
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Float[Tensor, "R B I"] | None:
        if recorder:
            recorder.add_delta(self.name, grad_out)
        delta = self._by_piece(torch.zeros_like(tape.affine.z))
        delta.scatter_(2, tape.winner, grad_out.unsqueeze(2))
        return self.affine.backward(params, tape.affine, delta.flatten(2), grads, need_grad_in, recorder)

    def _by_piece(self, z: Float[Tensor, "R B PO"]) -> Float[Tensor, "R B P O"]:
        return z.view(*z.shape[:2], self.pieces, self.fan_out)

    def activity(self, tape: MaxoutTape) -> Iterator[tuple[str, Units, Units]]:
        yield self.name, tape.a, tape.a

    def choices(self, tape: MaxoutTape) -> Iterator[Tensor]:
        yield tape.winner

    def preactivations(self, tape: MaxoutTape) -> Iterator[tuple[str, Tensor]]:
        yield f"{self.name}.W", tape.affine.z

    def products(self) -> Iterator[tuple[int, int]]:
        yield self.pieces * self.fan_out, self.fan_in
