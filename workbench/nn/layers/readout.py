"""Readouts: one vector of an example from the values at its positions, x [R, B, T, U] -> out [R, B, U].

| layer | out | grad_in at position t |
|---|---|---|
| Last | x at the last present position | grad there, 0 elsewhere |
| Mean | Σ x over the n present positions / n | grad / n where present, else 0 |

`Mode.present` says which positions are present; where it is None, all are. Padding is at the right, so n present
positions are the first n. An example without any reads position 0 by Last, and 0 by Mean.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workbench.core.axes import Units
from workbench.core.errors import ShapeError
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder

InTime = Float[Tensor, "R B T U"]


class LastTape(NamedTuple):
    """Number of positions, and the one that was read, if not the last: [R, B, 1, U]."""

    positions: int
    last: Int64[Tensor, "R B 1 U"] | None


@dataclass(frozen=True)
class Last(Layer):
    """Read the last present position; the last `back` features, of a layer on reversed time, at position 0."""

    takes_positions: ClassVar[bool] = True

    back: int = 0

    def forward(self, params: Arrays, x: InTime, mode: Mode = EVALUATION) -> tuple[Units, LastTape]:
        _check("Last", x, mode)
        if mode.present is None and not self.back:
            return x[:, :, -1], LastTape(x.shape[2], None)
        index = self._index(x, mode)
        return x.gather(2, index).squeeze(2), LastTape(x.shape[2], index)

    def _index(self, x: InTime, mode: Mode) -> Int64[Tensor, "R B 1 U"]:
        """Number the position that is read of each feature."""
        replicas, batch, positions, units = x.shape
        index = torch.full((replicas, batch, 1, units), positions - 1, device=x.device)
        if mode.present is not None:
            index.copy_(mode.present.sum(2, keepdim=True).sub_(1).clamp_(min=0).unsqueeze(3))
        if self.back:
            index[..., units - self.back :] = 0
        return index

    def backward(
        self,
        params: Arrays,
        tape: LastTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> InTime | None:
        if not need_grad_in:
            return None
        replicas, batch, units = grad_out.shape
        grad_in = grad_out.new_zeros(replicas, batch, tape.positions, units)
        if tape.last is None:
            grad_in[:, :, -1] = grad_out
            return grad_in
        return grad_in.scatter_(2, tape.last, grad_out.unsqueeze(2))


class MeanTape(NamedTuple):
    """Number of positions, and their weights 1/n or 0, if they differ: [R, B, T, 1]."""

    positions: int
    weights: Float[Tensor, "R B T 1"] | None


@dataclass(frozen=True)
class Mean(Layer):
    """Average the present positions."""

    takes_positions: ClassVar[bool] = True

    def forward(self, params: Arrays, x: InTime, mode: Mode = EVALUATION) -> tuple[Units, MeanTape]:
        _check("Mean", x, mode)
        if mode.present is None:
            return x.sum(2).div_(x.shape[2]), MeanTape(x.shape[2], None)
        present = mode.present.to(x.dtype).unsqueeze(3)
        weights = present / present.sum(2, keepdim=True).clamp_(min=1)
        return (x * weights).sum(2), MeanTape(x.shape[2], weights)

    def backward(
        self,
        params: Arrays,
        tape: MeanTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> InTime | None:
        if not need_grad_in:
            return None
        if tape.weights is None:
            return (grad_out / tape.positions).unsqueeze(2).expand(-1, -1, tape.positions, -1).contiguous()
        return grad_out.unsqueeze(2) * tape.weights


def _check(name: str, x: Tensor, mode: Mode) -> None:
    """Raise ShapeError unless x is [R, B, T, U] and `mode.present`, where given, is [R, B, T]."""
    if x.ndim != 4:
        raise ShapeError(
            f"{name}: x must be [R, B, T, U], got {list(x.shape)}; put the readout after a layer that gives positions"
        )
    if mode.present is not None and mode.present.shape != x.shape[:3]:
        raise ShapeError(
            f"{name}: Mode.present must be {list(x.shape[:3])}, got {list(mode.present.shape)}; "
            "mark each position of each example"
        )
