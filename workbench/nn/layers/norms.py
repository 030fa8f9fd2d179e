"""What normalizations share: the choice of one, and the gain gamma and shift beta that follow it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.core.axes import Units
from workbench.nn.layers.base import Arrays, Layer


@dataclass(frozen=True)
class Norm:
    """A kind of normalization: `make` (name, units) gives its layers."""

    make: Callable[[str, int], Layer] | None

    def layers(self, name: str, units: int) -> list[Layer]:
        """The layer of this kind, or none."""
        return [] if self.make is None else [self.make(name, units)]


def none() -> Norm:
    """No normalization."""
    return Norm(None)


def affine_init(name: str, units: int) -> dict[str, Tensor]:
    """gamma = 1, beta = 0."""
    return {
        f"{name}.gamma": torch.ones(units, dtype=torch.float64),
        f"{name}.beta": torch.zeros(units, dtype=torch.float64),
    }


def affine_backward(name: str, n: Units, grad_out: Units, grads: Arrays) -> Units:
    """Write dgamma = Σ_B grad n and dbeta = Σ_B grad, both [R, U]; return grad n."""
    product = grad_out * n
    torch.sum(product, 1, out=grads[f"{name}.gamma"])
    torch.sum(grad_out, 1, out=grads[f"{name}.beta"])
    return product
