"""Shared parts of normalizations: the option of a model's norm, and the gain gamma and shift beta."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.core.axes import Units
from workbench.nn.layers.base import Arrays, Layer


@dataclass(frozen=True)
class Norm:
    """A kind of normalization: `make` (name, units) makes its layer; None for no normalization."""

    make: Callable[[str, int], Layer] | None

    def layers(self, name: str, units: int) -> list[Layer]:
        """Make the layer, as a list that is empty for no normalization."""
        return [] if self.make is None else [self.make(name, units)]


def none() -> Norm:
    """No normalization."""
    return Norm(None)


def affine_init(name: str, units: int) -> dict[str, Tensor]:
    """Make the initial gamma = 1 and beta = 0, each [units] in float64."""
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
