"""A loss over the targets of all positions: C = (1/n) Σ_B Σ_P w c(a, y), with n = Σ_B Σ_P w.

Targets y are [R, B, *P, K]; w is 1 where a position has a target and 0 where y is 0, as for padding. The mean is thus
over targets, never over positions without one. With delta_0 = ∂c/∂z of a target:

    delta = w delta_0/n
"""

from dataclasses import replace

from torch import Tensor

from workbench.core.axes import per_replica
from workbench.nn.losses import Loss, Measured


def at_positions(loss: Loss) -> Loss:
    """Turn a loss on [R, B, K] that accepts ``positions``, whose c is 0 for y = 0, into one on [R, B, *P, K]."""

    def measure(z: Tensor, y: Tensor) -> Measured:
        targets = y.flatten(1, -2)
        weight = targets.sum(2, keepdim=True)
        scale = targets.shape[1] / weight.sum((1, 2)).clamp_(min=1)
        value, delta = loss.measure(z.flatten(1, -2), targets)
        return value.mul_(scale), lambda: delta().mul_(weight * per_replica(scale, weight)).view(z.shape)

    def predict(z: Tensor) -> Tensor:
        return loss.predict(z.flatten(1, -2)).view(z.shape)

    return replace(loss, predict=predict, measure=measure, at_positions=True)
