"""Euclidean norms per replica, correct also where squares overflow."""

from math import inf

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.linalg import vector_norm

from workbench.core.axes import PerReplicaTensor

SHRINK = {torch.float32: 2.0**-100, torch.float64: 2.0**-600}  # brings the square of the largest number into range


def norm(values: Float[Tensor, "R N"]) -> Float64[Tensor, " R"]:
    """Compute the norm of each row, in double precision."""
    plain: Tensor = vector_norm(values, dim=1, dtype=torch.float64)
    if values.dtype is not torch.float64:
        return plain
    shrink = SHRINK[values.dtype]
    return torch.where(plain < inf, plain, vector_norm(values * shrink, dim=1) / shrink)


def share_within(values: Float[Tensor, "R N"], most: PerReplicaTensor) -> PerReplicaTensor:
    """Compute the factor that brings each row's norm down to `most` [R]; 1 where it is below, or NaN."""
    shrink, plain = SHRINK[values.dtype], vector_norm(values, dim=1)
    small = vector_norm(values * shrink, dim=1)  # the norm itself may overflow
    share = torch.where(plain < inf, most / plain, most * shrink / small)
    return torch.where(share < 1, share, 1)
