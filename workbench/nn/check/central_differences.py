"""Central differences: derivatives from values at points around one, which share no code with backpropagation.

With values J at θ + offset·h, dJ/dθ ≈ Σ weight·J / h: the error is of order h² for two points, of h⁴ for four.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Stencil = Sequence[tuple[int, float]]  # offset in steps, and weight
TWO_POINTS: Stencil = ((-1, -1 / 2), (1, 1 / 2))
FOUR_POINTS: Stencil = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))


def around(points: Tensor, columns: Tensor, step: float, stencil: Stencil) -> Tensor:
    """Copy `points` [..., P] and move each copy in one of `columns` [C] to one point of the stencil.

    Returns [..., C, len(stencil), P].
    """
    copies = points[..., None, None, :].repeat(*[1] * (points.dim() - 1), len(columns), len(stencil), 1)
    copies[..., torch.arange(len(columns)), :, columns] += step * _row(stencil, 0, points)
    return copies


def slopes(values: Tensor, step: float, stencil: Stencil) -> Tensor:
    """Compute derivatives [...] from the values [..., len(stencil)] at the points of the stencil."""
    return (values @ _row(stencil, 1, values)) / step


def gradient(J: Callable[[Tensor], Tensor], point: Tensor, step: float, stencil: Stencil) -> Tensor:
    """Compute dJ/dpoint [P] of a function of one point [P] that returns one number."""
    copies = around(point, torch.arange(len(point)), step, stencil).flatten(0, 1)
    return slopes(torch.stack([J(copy) for copy in copies]).view(-1, len(stencil)), step, stencil)


def _row(stencil: Stencil, part: int, like: Tensor) -> Tensor:
    return torch.tensor([pair[part] for pair in stencil], dtype=like.dtype)
