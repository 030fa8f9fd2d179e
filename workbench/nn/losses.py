"""Losses on logits z [R, B, K], each with its output activation a = predict(z) and targets y [R, B, K].

    C = (1/B) Σ_B c(z, y)                 value [R], a mean over examples, never over replicas
    delta = dC/dz [R, B, K]               the 1/B is inside
    J = C + (λ/2) Σ_l Σ_ij (W_ij⁽ˡ⁾)²     λ = weight_decay [R]; biases are free

| name | output activation a | c(z, y) | delta |
|---|---|---|---|
| squared_error | identity | ½ Σ_K (a - y)² | (a - y)/B |
| binary_nll | logistic | -Σ_K [y ln a + (1 - y) ln(1 - a)] | (a - y)/B |
| softmax_nll | softmax | -Σ_K y ln a | (a - y)/B |

Source: the lecture's "Learning: Backpropagation for Regression", "Learning: Regression vs. Classification" and "NN
Learning: Softmax Regression". For these matched pairs delta = (a - y)/B is a theorem, which the tests check against
autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import softplus

from workbench.axes import Outputs, PerReplicaTensor, per_replica
from workbench.nn.activations import SOFTPLUS_IS_LINEAR_ABOVE
from workbench.nn.params import Params

Target = Literal["real", "binary", "one_hot"]


@dataclass(frozen=True)
class Loss:
    """A cost with its output activation.

    `accepts` lists the encodings of y it is defined for: ``real`` [K], ``binary`` [1] in {0, 1}, ``one_hot`` [K], which
    sums to 1.
    """

    predict: Callable[[Outputs], Outputs]
    value_and_delta: Callable[[Outputs, Outputs], tuple[PerReplicaTensor, Outputs]]
    accepts: tuple[Target, ...]

    def value(self, z: Outputs, y: Outputs) -> PerReplicaTensor:
        """C of each replica."""
        return self.value_and_delta(z, y)[0]

    def delta(self, z: Outputs, y: Outputs) -> Outputs:
        """dC/dz."""
        return self.value_and_delta(z, y)[1]


def _squared_error(z: Outputs, y: Outputs) -> tuple[PerReplicaTensor, Outputs]:
    error = z - y
    return error.square().sum((1, 2)).mul_(0.5 / z.shape[1]), error.mul(1 / z.shape[1])


def _binary_nll(z: Outputs, y: Outputs) -> tuple[PerReplicaTensor, Outputs]:
    value = softplus(z, threshold=SOFTPLUS_IS_LINEAR_ABOVE).sub_(y * z).sum((1, 2)).mul_(1 / z.shape[1])
    return value, torch.sigmoid(z).sub_(y).mul_(1 / z.shape[1])


def _softmax_nll(z: Outputs, y: Outputs) -> tuple[PerReplicaTensor, Outputs]:
    log_a = torch.log_softmax(z.transpose(1, 2), 1).transpose(1, 2)  # over few classes, nine times faster than -1
    value = (log_a * y).sum((1, 2)).mul_(-1 / z.shape[1])
    return value, log_a.exp().sub_(y).mul_(1 / z.shape[1])


def squared_error() -> Loss:
    """½‖h - y‖² with an identity output; the mean over examples is the lecture's first term of J(W, b)."""
    return Loss(torch.clone, _squared_error, accepts=("real", "one_hot"))


def binary_nll() -> Loss:
    """-ln p(y|x) of a logistic output, computed from the logit as softplus(z) - y z."""
    return Loss(torch.sigmoid, _binary_nll, accepts=("binary",))


def softmax_nll() -> Loss:
    """-ln p(y|x) of a softmax output, computed from the logits."""
    return Loss(lambda z: torch.softmax(z, -1), _softmax_nll, accepts=("one_hot",))


def l2_penalty(params: Params, weight_decay: PerReplicaTensor) -> PerReplicaTensor:
    """(λ/2) Σ W² over all weights of each replica; biases are not penalized."""
    return params.weights.square().sum(1).mul(weight_decay).mul(0.5)


def add_l2_gradient(grads: Params, params: Params, weight_decay: PerReplicaTensor) -> None:
    """Add λW to the gradient of every weight, in place."""
    grads.weights.addcmul_(params.weights, per_replica(weight_decay, params.weights))
