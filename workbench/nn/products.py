"""Batched matrix products [R, M, K] × [R, K, N] that give a replica the same bits alone and in any pack.

Torch's own do, except for vectors: where N = 1, one replica uses another kernel than several; where M = 1, a row may be
taken for a column; where K = 1, a sum is rounded once or twice. Layers use these products only.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Matrix = Float[Tensor, "R M N"]


def product(left: Float[Tensor, "R M K"], right: Float[Tensor, "R K N"], plus: Tensor | None = None) -> Matrix:
    """Return left × right + plus [R, M, N]; `plus` broadcasts over M or N."""
    rows, inner, columns = left.shape[1], left.shape[2], right.shape[2]
    if inner == 1:
        return left * right if plus is None else torch.addcmul(plus, left, right)
    if columns == 1:
        if rows == 1:
            dot = (left * right.transpose(1, 2)).sum(2, keepdim=True)
            return dot if plus is None else dot + plus
        turned = None if plus is None else plus.transpose(1, 2)
        return product(right.transpose(1, 2), left.transpose(1, 2), turned).transpose(1, 2)
    if rows == 1:
        left = left.squeeze(1).unsqueeze(1)  # strides that can only be a row's
    return torch.bmm(left, right) if plus is None else torch.baddbmm(plus, left, right)


def product_into(
    out: Matrix, left: Float[Tensor, "R M K"], right: Float[Tensor, "R K N"], plus: Tensor | None = None
) -> None:
    """Write left × right + plus into `out` [R, M, N], which may be `plus`."""
    if 1 in (left.shape[1], left.shape[2], right.shape[2]):
        out.copy_(product(left, right, plus))
    elif plus is None:
        torch.bmm(left, right, out=out)
    else:
        torch.baddbmm(plus, left, right, out=out)
