"""J of a model with a loss and the regularizer, and its gradient by the hand-written backward pass.

J(params) = (1/B) Σ_B c(model(x), y) + (λ/2) Σ W²
"""

from dataclasses import dataclass

from torch import Tensor

from workbench.core.axes import PerReplicaTensor
from workbench.nn.layers.base import EVALUATION, Mode, Recorder
from workbench.nn.losses import Loss, add_l2_gradient, l2_penalty
from workbench.nn.masking import Masking
from workbench.nn.model import Model
from workbench.nn.params import Params


@dataclass(frozen=True)
class Objective:
    """Objective J of a pack: model, loss and L2 penalty; `weight_decay` is λ [R], or None where every λ is 0.

    `numbers` counts what a pass holds of an example, where the model has positions; else its products say it. `masking`
    hides tokens of each batch, which are its targets.
    """

    model: Model
    loss: Loss
    weight_decay: PerReplicaTensor | None = None
    numbers: int | None = None
    masking: Masking | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether a training pass draws numbers, for a layer's noise or for the tokens to hide."""
        return self.masking is not None or self.model.is_noisy

    def seen(self, x: Tensor, y: Tensor, mode: Mode) -> tuple[Tensor, Tensor]:
        """Return the batch as the model sees it, with its targets."""
        return (x, y) if self.masking is None else self.masking(x, y, mode)

    def value(self, params: Params, x: Tensor, y: Tensor, mode: Mode = EVALUATION) -> PerReplicaTensor:
        """Return J [R]."""
        x, y = self.seen(x, y, mode)
        return self.of_outputs(params, self.model.forward(params, x, mode)[0], y)

    def of_outputs(self, params: Params, z: Tensor, y: Tensor) -> PerReplicaTensor:
        """Return J [R] of a pass whose outputs were z, with the targets as it saw them."""
        value = self.loss.value(z, y)
        return value if self.weight_decay is None else value + l2_penalty(params, self.weight_decay)

    def gradients(
        self,
        params: Params,
        grads: Params,
        x: Tensor,
        y: Tensor,
        mode: Mode = EVALUATION,
        recorder: Recorder | None = None,
    ) -> PerReplicaTensor:
        """Write dJ/dparams into `grads`; return C [R], the loss without the penalty.

        A training pass also updates the buffers. `recorder`, if any, receives the tape, the output and each delta.
        """
        x, y = self.seen(x, y, mode)
        z, tape = self.model.forward(params, x, mode)
        value, delta = self.loss.value_and_delta(z, y)
        if recorder:
            recorder.tape, recorder.z = tape, z
        self.model.backward(params, tape, delta, grads, need_grad_in=False, recorder=recorder)
        if self.weight_decay is not None:
            add_l2_gradient(grads, params, self.weight_decay)
        if mode.training:
            self.model.absorb(params, tape)
        return value
