"""Windows of a picture as rows of a matrix, so that a convolution is one product of matrices for each replica.

A picture is [R, B, H, W, C]; so is a sequence of T positions, as a picture of T rows and one column.
"""

from collections.abc import Iterator
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.nn.products import product, product_into

Picture = Float[Tensor, "R B H W C"]
Maps = Float[Tensor, "R B M N O"]  # a layer's output, of M × N positions
Windows = Float[Tensor, "R B M N h w C"]
Patches = Float[Tensor, "R BMN hwC"]
Blocks = list[tuple[slice, Tensor]]

NARROW = 4  # fewer channels are copied faster along the columns of the picture than along the window
BLOCK = 2**17  # numbers of patches that are made and multiplied at once: half a megabyte stays in cache
KEPT = 2**20  # numbers of patches that wait for the backward pass; more are made again


def placed(x: Picture, rows: int, columns: int, top: int, left: int, step: int = 1) -> Maps:
    """Put x on zeros [R, B, rows, columns, C], its first pixel at (top, left) and the others `step` apart."""
    height, width = (step * (side - 1) + 1 for side in x.shape[2:4])
    canvas = x.new_zeros(*x.shape[:2], rows, columns, x.shape[4])
    canvas[:, :, top : top + height : step, left : left + width : step] = x
    return canvas


def windows(x: Picture, kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Windows:
    """View all windows that lie in x, `stride` apart, their pixels `dilation` apart; no copy."""
    per_replica, per_example, per_row, per_column, per_channel = x.stride()
    count = [(side - dilation * (size - 1) - 1) // stride + 1 for side, size in zip(x.shape[2:4], kernel, strict=True)]
    along = per_row * stride, per_column * stride, per_row * dilation, per_column * dilation
    return x.as_strided((*x.shape[:2], *count, *kernel, x.shape[4]), (per_replica, per_example, *along, per_channel))


def blocks(view: Windows) -> Iterator[tuple[slice, Patches]]:
    """Yield replicas with their patches [r, B·M·N, h·w·C], as many at a time as `BLOCK` allows; all in an export."""
    step = len(view) if torch.compiler.is_exporting() else max(1, BLOCK // view[0].numel())
    for start in range(0, len(view), step):
        replicas = slice(start, start + step)
        yield replicas, _patches(view[replicas])


def _patches(view: Windows) -> Patches:
    """Copy each window into a row; narrow ones into columns of a matrix that is transposed."""
    if view.shape[6] >= NARROW:
        return view.flatten(4).flatten(1, 3)
    return view.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(1, 3).transpose(1, 2)


def kept(view: Windows) -> Blocks | None:
    """All blocks, where they are few enough to wait for the backward pass, which an export does not have."""
    return None if torch.compiler.is_exporting() or view.numel() > KEPT else list(blocks(view))


def multiplied(
    view: Windows, W: Float[Tensor, "R hwC O"], b: Float[Tensor, "R 1 O"] | None, parts: Blocks | None = None
) -> Float[Tensor, "R BMN O"]:
    """Multiply the patches of all windows, `parts` if they are there already, by W, and add b.

    Blocks write into one tensor, but where autograd looks on, which could not follow.
    """
    of_parts = parts or blocks(view)
    if len(view) == 1 or view.grad_fn or W.grad_fn:
        products = [product(rows, W[of], None if b is None else b[of]) for of, rows in of_parts]
        return products[0] if len(products) == 1 else torch.cat(products)
    out = view.new_empty(len(view), prod(view.shape[1:4]), W.shape[2])
    for of, rows in of_parts:
        product_into(out[of], rows, W[of], None if b is None else b[of])
    return out
