"""Layer normalization (Ba et al. 2016): each example over its units, then gamma and beta, also in evaluation.

    m = mean_U x        v = mean_U (x - m)²        n = (x - m)/√(v + eps)        out = gamma n + beta

With g = gamma dC/dout and the means over U:

    dgamma = Σ_B grad n        dbeta = Σ_B grad        grad_in = (g - mean_U g - n mean_U(g n))/√(v + eps)
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.core.axes import Positive, Units
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.norms import Norm, affine_backward, affine_init
from workbench.nn.products import product


class LayerNormTape(NamedTuple):
    """Normalized input and 1/√(v + eps)."""

    n: Units
    inverse: Float[Tensor, "R B 1"]


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalize each example over its `units_in` inputs."""

    name: str
    units_in: int
    eps: float = 1e-5

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return affine_init(self.name, self.units_in)

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, LayerNormTape]:
        n, _, inverse = torch.native_layer_norm(x, [self.units_in], None, None, self.eps)
        gamma, beta = params[f"{self.name}.gamma"], params[f"{self.name}.beta"]
        return torch.addcmul(beta.unsqueeze(1), n, gamma.unsqueeze(1)), LayerNormTape(n, inverse)

    def backward(
        self,
        params: Arrays,
        tape: LayerNormTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        weighted = affine_backward(self.name, tape.n, grad_out, grads)
        if not need_grad_in:
            return None
        gamma = params[f"{self.name}.gamma"]
        weights = gamma.unsqueeze(2) * (-1 / self.units_in)
        shift, along = product(grad_out, weights), product(weighted, weights)
        return (grad_out * gamma.unsqueeze(1)).add_(shift).addcmul_(tape.n, along).mul_(tape.inverse)


def layer_norm(eps: Positive = 1e-5) -> Norm:
    """Normalization of each example over the units of a layer."""
    return Norm(lambda name, units: LayerNorm(name, units, eps))
