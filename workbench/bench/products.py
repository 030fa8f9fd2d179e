"""Matrix products of a training step alone: recorded once, then run again on the same tensors in the same layout."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = (torch.ops.aten.bmm, torch.ops.aten.baddbmm)


class _Recorded(TorchDispatchMode):
    """Lists the factors and the result of each batched product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[tuple[Tensor, Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in PRODUCTS:
            self.products.append((*args[-2:], out))
        return out


def products_alone(step: Callable[[], object]) -> Callable[[], None]:
    """Make a function that computes the products of one call of `step`, into the tensors that it wrote."""
    with _Recorded() as recorded:
        step()
    products = recorded.products

    def run_products() -> None:
        for left, right, out in products:
            torch.bmm(left, right, out=out)

    return run_products
