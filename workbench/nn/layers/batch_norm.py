"""Batch normalization (Ioffe and Szegedy 2015, Algorithm 1): each unit over the batch, then gamma and beta.

    m = mean_B x        v = mean_B (x - m)²        n = (x - m)/√(v + eps)        out = gamma n + beta

A training pass uses the batch's m and v; evaluation uses running averages, which every training pass moves toward its
own by the factor `momentum` (with the variance's unbiased estimate). With grad = dC/dout and the means over B:

    dgamma = Σ_B grad n        dbeta = Σ_B grad
    grad_in = gamma/√(v + eps) · (grad - mean_B grad - n mean_B(grad n))        training, their section 3
    grad_in = gamma/√(v + eps) · grad                                           evaluation
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.core.axes import Fraction, Positive, Units
from workbench.core.errors import ShapeError
from workbench.nn.initializers import Scheme
from workbench.nn.layers.base import EVALUATION, Arrays, Layer, Mode, Recorder
from workbench.nn.layers.norms import Norm, affine_backward, affine_init

PerUnit = Float[Tensor, "R 1 U"]


class BatchNormTape(NamedTuple):
    """Normalized input, 1/√(v + eps), and in training the batch's mean and variance."""

    n: Units
    inverse: PerUnit
    batch: tuple[PerUnit, PerUnit] | None


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalize each of `units_in` inputs over the batch."""

    name: str
    units_in: int
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def least_batch(self) -> int:
        return 2

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        return affine_init(self.name, self.units_in)

    def buffers(self, scheme: Scheme) -> dict[str, Tensor]:
        size, kind = self.units_in, torch.float64
        return {
            f"{self.name}.running_mean": torch.zeros(size, dtype=kind),
            f"{self.name}.running_var": torch.ones(size, dtype=kind),
        }

    def forward(self, params: Arrays, x: Units, mode: Mode = EVALUATION) -> tuple[Units, BatchNormTape]:
        if mode.training:
            if x.shape[1] < self.least_batch:
                raise ShapeError(
                    f"BatchNorm {self.name!r}: a training pass needs {self.least_batch} examples or more, for one has "
                    f"no variance, got {list(x.shape)}; take larger batches, or evaluate"
                )
            variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        else:
            mean, variance = (params[f"{self.name}.running_{part}"].unsqueeze(1) for part in ("mean", "var"))
        inverse = (variance + self.eps).rsqrt_()
        n = (x - mean).mul_(inverse)
        gamma, beta = params[f"{self.name}.gamma"], params[f"{self.name}.beta"]
        out = torch.addcmul(beta.unsqueeze(1), n, gamma.unsqueeze(1))
        return out, BatchNormTape(n, inverse, (mean, variance) if mode.training else None)

    def backward(
        self,
        params: Arrays,
        tape: BatchNormTape,
        grad_out: Units,
        grads: Arrays,
        need_grad_in: bool = True,
        recorder: Recorder | None = None,
    ) -> Units | None:
        affine_backward(self.name, tape.n, grad_out, grads)
        if not need_grad_in:
            return None
        scale = tape.inverse * params[f"{self.name}.gamma"].unsqueeze(1)
        if tape.batch is None:
            return grad_out * scale
        share = -1 / tape.n.shape[1]
        along, shift = (grads[f"{self.name}.{part}"].mul(share).unsqueeze(1) for part in ("gamma", "beta"))
        return torch.addcmul(grad_out + shift, tape.n, along).mul_(scale)

    def absorb(self, params: Arrays, tape: BatchNormTape) -> None:
        if tape.batch is None:
            return
        count = tape.n.shape[1]
        mean, variance = tape.batch
        params[f"{self.name}.running_mean"].lerp_(mean.squeeze(1), self.momentum)
        unbiased = variance.squeeze(1) * (count / (count - 1))
        params[f"{self.name}.running_var"].lerp_(unbiased, self.momentum)


def batch_norm(momentum: Fraction = 0.1, eps: Positive = 1e-5) -> Norm:
    """Normalization of each unit over the batch; training batches need two examples or more."""
    return Norm(lambda name, units: BatchNorm(name, units, momentum, eps))
