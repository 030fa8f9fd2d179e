"""Losses on logits z [R, B, K], each with its output activation a = predict(z) and targets y [R, B, K].

    C = (1/B) Σ_B c(a, y)                 value [R], a mean over examples, never over replicas
    delta = dC/dz [R, B, K]               the 1/B is inside
    J = C + (λ/2) Σ_l Σ_ij (W_ij⁽ˡ⁾)²     λ = weight_decay [R]; biases are free

| name | output activation a | c(a, y) | delta |
|---|---|---|---|
| squared_error | identity | ½ Σ_K (a - y)² | (a - y)/B |
| squared_error | any other f | ½ Σ_K (a - y)² | (a - y) f'(z)/B |
| softmax_mse | softmax | (1/K) Σ_K (a - y)² | (2/(K B)) a (e - Σ_K a e), e = a - y |
| binary_nll | logistic | -Σ_K [y ln a + (1 - y) ln(1 - a)] | (a - y)/B |
| softmax_nll | softmax | -Σ_K y ln a | (a - y)/B |
| perceptron | unit step | Σ_K (a - y) z | (a - y)/B |

Source: the lecture's "Learning: Backpropagation for Regression", "Learning: Regression vs. Classification" and "NN
Learning: Softmax Regression"; Rosenblatt 1958 for the perceptron rule, the gradient of the perceptron criterion.
The matched pairs, whose delta is (a - y)/B, are in closed form; `compose` makes any other pair by the chain rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Int64
from torch import Tensor

from workbench.core.axes import AtPositions, Outputs, PerReplicaTensor, per_replica
from workbench.core.errors import ConfigError
from workbench.nn.activations import IDENTITY, Activation, unit_step
from workbench.nn.elementwise import log_one_plus_exp, logistic
from workbench.nn.params import Params

Target = Literal["real", "binary", "one_hot", "weighted", "positions"]
Smoothing = Annotated[float, Interval(ge=0, lt=1)]
Measured = tuple[PerReplicaTensor, Callable[[], Outputs]]


@dataclass(frozen=True)
class Loss:
    """A cost with its output activation.

    `measure` returns C [R] and a function that computes dC/dz, to be called once at most: for C alone, delta is not
    computed. `accepts` lists the encodings of y: ``real`` [K], ``binary`` [1] in {0, 1}, ``one_hot`` [K], which sums
    to 1, ``weighted`` [K], one-hot times the class's weight, ``positions`` [T, K], one-hot at each position and 0 where
    it has no target. `kinks` are the z where C has no derivative. With `is_monotone`, a larger logit gives a larger
    output. With `at_positions`, C is the mean over the targets of all positions (see `at_positions`).
    """

    predict: Callable[[Outputs], Outputs]
    measure: Callable[[Outputs, Outputs], Measured]
    accepts: tuple[Target, ...]
    kinks: tuple[float, ...] = ()
    is_monotone: bool = False
    at_positions: bool = False

    def count(self, y: Tensor) -> int | PerReplicaTensor:
        """Number of targets in a batch, over which C is a mean: B, or [R] where positions have targets."""
        return y.sum(tuple(range(1, y.ndim))) if self.at_positions else y.shape[1]

    def value(self, z: AtPositions, y: AtPositions) -> PerReplicaTensor:
        """Return C [R], the mean over examples."""
        return self.measure(z, y)[0]

    def value_and_delta(self, z: AtPositions, y: AtPositions) -> tuple[PerReplicaTensor, AtPositions]:
        """Return C [R] and delta = dC/dz, which is [R, B, K], or [R, B, *P, K] for a loss at positions."""
        value, delta = self.measure(z, y)
        return value, delta()

    def delta(self, z: Outputs, y: Outputs) -> Outputs:
        """Return delta = dC/dz [R, B, K]."""
        return self.measure(z, y)[1]()

    def winner(self, z: Tensor) -> Int64[Tensor, "R B *T"]:
        """Return the class with the largest output, the first in a tie; for one output, 1 where it is above 1/2."""
        if z.ndim > 3:
            return self.winner(z.flatten(1, -2)).view(z.shape[:-1])
        if z.shape[2] == 1:
            return (self.predict(z) > 0.5).squeeze(2).long()
        scores = z if self.is_monotone else self.predict(z)
        return scores.transpose(1, 2).contiguous().max(1)[1]  # many times faster than argmax over few classes


@dataclass(frozen=True)
class Cost:
    """c as a function of the output a: its `terms` [R, B, K], whose sum over K is c, and `gradient` dc/da.

    For a likelihood c = -Σ_K [v ln a + w ln(1 - a)], `weights` maps targets to v and w, or to v and None for w = 0.
    It is then computed from ln a, which is finite also where a rounds to 0 or 1 and c and dc/da would be infinite.
    """

    terms: Callable[[Outputs, Outputs], Outputs]
    gradient: Callable[[Outputs, Outputs], Outputs]
    weights: Callable[[Outputs], tuple[Outputs, Outputs | None]] | None = None


@dataclass(frozen=True)
class Logs:
    """Logarithms of an output: `of` z -> (ln a, ln(1 - a)), and `pullback` (both, and dc by each) -> dc/dz.

    The terms of 1 - a are None for softmax, whose likelihood has none.
    """

    of: Callable[[Outputs], tuple[Outputs, Outputs | None]]
    pullback: Callable[[Outputs, Outputs | None, Outputs, Outputs | None], Outputs]


@dataclass(frozen=True)
class OutputActivation:
    """An output activation: `predict` z -> a, `pullback` (z, a, dc/da) -> dc/dz, and `logs` if a is a probability."""

    predict: Callable[[Outputs], Outputs]
    pullback: Callable[[Outputs, Outputs, Outputs], Outputs]
    kinks: tuple[float, ...] = ()
    logs: Logs | None = None


HALF_SQUARED = Cost(lambda a, y: (a - y).square().mul_(0.5), lambda a, y: a - y)
MEAN_SQUARED = Cost(lambda a, y: (a - y).square().mul_(1 / a.shape[2]), lambda a, y: (a - y).mul_(2 / a.shape[2]))
CATEGORICAL_NLL = Cost(lambda a, y: -torch.xlogy(y, a), lambda a, y: -y / a, lambda y: (y, None))
BINARY_NLL = Cost(
    lambda a, y: -torch.xlogy(y, a) - torch.xlogy(1 - y, 1 - a),
    lambda a, y: (a - y) / (a * (1 - a)),
    lambda y: (y, 1 - y),
)


def _softmax(z: Outputs) -> Outputs:
    """Softmax over K; transposed, as torch is nine times faster on it for few classes."""
    return torch.softmax(z.transpose(1, 2), 1).transpose(1, 2)


def _log_softmax_pullback(log_a: Outputs, log_1_a: Outputs | None, grad: Outputs, grad_1: Outputs | None) -> Outputs:
    return grad - log_a.exp() * grad.sum(-1, keepdim=True)


def _log_logistic_pullback(log_a: Outputs, log_1_a: Outputs | None, grad: Outputs, grad_1: Outputs | None) -> Outputs:
    """dc/dz = dc/dln a · (1 - a) - dc/dln(1 - a) · a, for the logistic a."""
    assert log_1_a is not None
    from_log_a = grad * log_1_a.exp()
    return from_log_a if grad_1 is None else from_log_a - grad_1 * log_a.exp()


SOFTMAX = OutputActivation(
    _softmax,
    lambda z, a, grad: a * (grad - (a * grad).sum(-1, keepdim=True)),
    logs=Logs(lambda z: (torch.log_softmax(z.transpose(1, 2), 1).transpose(1, 2), None), _log_softmax_pullback),
)


def elementwise(activation: Activation) -> OutputActivation:
    """Make an output activation of an elementwise one, with its default constants for all replicas."""
    constants = tuple(activation.constants.values())
    return OutputActivation(
        lambda z: activation.forward(z, *constants),
        lambda z, a, grad: activation.derivative(z, a, *constants).mul_(grad),
        tuple(activation.kinks),
        None if activation.logs is None else Logs(activation.logs, _log_logistic_pullback),
    )


def compose(cost: Cost, output: OutputActivation, accepts: tuple[Target, ...]) -> Loss:
    """Compose a loss of any cost with any output activation: delta = dc/da · da/dz / B by the chain rule.

    A likelihood is computed from ln a. Raises ConfigError where the output activation has no `logs` for it.
    """
    if cost.weights is not None:
        return _likelihood(cost.weights, output, accepts)

    def measure(z: Outputs, y: Outputs) -> Measured:
        share = 1 / z.shape[1]
        a = output.predict(z)
        value = cost.terms(a, y).sum((1, 2)).mul_(share)
        return value, lambda: output.pullback(z, a, cost.gradient(a, y)).mul_(share)

    return Loss(output.predict, measure, accepts, output.kinks)


def _likelihood(
    weights: Callable[[Outputs], tuple[Outputs, Outputs | None]], output: OutputActivation, accepts: tuple[Target, ...]
) -> Loss:
    """Compose c = -Σ_K [v ln a + w ln(1 - a)]: delta = (dc/dln a · dln a/dz + dc/dln(1 - a) · dln(1 - a)/dz) / B.

    Raises ConfigError as `compose`.
    """
    logs, probe = output.logs, torch.zeros(1, 1, 2)
    if logs is None or (weights(probe)[1] is not None and logs.of(probe)[1] is None):
        raise ConfigError(
            "compose: a likelihood needs an output whose ln a (for the binary one ln(1 - a) too) is known where a "
            "rounds to 0 or 1; write SOFTMAX with CATEGORICAL_NLL, elementwise(sigmoid()) with BINARY_NLL"
        )

    def measure(z: Outputs, y: Outputs) -> Measured:
        (log_a, log_1_a), (v, w), share = logs.of(z), weights(y), 1 / z.shape[1]
        terms = v * log_a if w is None or log_1_a is None else v * log_a + w * log_1_a
        value = terms.sum((1, 2)).mul_(-share)
        return value, lambda: logs.pullback(log_a, log_1_a, -v, None if w is None else -w).mul_(share)

    return Loss(output.predict, measure, accepts, output.kinks)


def _squared_error(z: Outputs, y: Outputs) -> Measured:
    error = z - y
    return error.square().sum((1, 2)).mul_(0.5 / z.shape[1]), lambda: error.mul_(1 / z.shape[1])


def squared_error(output: Activation = IDENTITY) -> Loss:
    """½‖h - y‖²; the mean over examples is the lecture's first term of J(W, b).

    For regression the output should be the identity, as others cannot reach every y. Raises ConfigError for an output
    whose derivative is 0 everywhere.
    """
    if output.max_slope == 0:
        raise ConfigError(
            "loss.output: must have a slope, but f' of this one is 0 everywhere and no gradient passes it; "
            "write activation@loss.output=sigmoid, or take loss=perceptron, which has a unit step"
        )
    accepts: tuple[Target, ...] = ("real", "one_hot")
    if output is IDENTITY:
        return Loss(torch.clone, _squared_error, accepts, is_monotone=True)
    return compose(HALF_SQUARED, elementwise(output), accepts)


def softmax_mse() -> Loss:
    """(1/K)‖softmax(z) - y‖²: mean squared error of a softmax output."""
    return compose(MEAN_SQUARED, SOFTMAX, ("one_hot",))


def _binary_nll(z: Outputs, y: Outputs) -> Measured:
    """Compute c = ln(1 + exp((1 - 2y) z)) for y in {0, 1}: neither c nor a - y is then a difference that cancels."""
    side = 1 - 2 * y
    wrong = z * side
    value = log_one_plus_exp(wrong).sum((1, 2)).mul_(1 / z.shape[1])
    return value, lambda: logistic(wrong).mul_(side).mul_(1 / z.shape[1])


def binary_nll(smoothing: Smoothing = 0.0) -> Loss:
    """-ln p(y|x) of a logistic output, computed from the logit: softplus(z) for y = 0, softplus(-z) for y = 1.

    Smoothing s replaces y by (1 - s) y + s/2, for which c is softplus(z) - y z.
    """

    def smoothed(z: Outputs, y: Outputs) -> Measured:
        y = y.mul(1 - smoothing).add_(smoothing / 2)
        value = log_one_plus_exp(z).sub_(y * z).sum((1, 2)).mul_(1 / z.shape[1])
        return value, lambda: logistic(z).sub_(y).mul_(1 / z.shape[1])

    return Loss(logistic, smoothed if smoothing else _binary_nll, accepts=("binary",))


def softmax_nll(smoothing: Smoothing = 0.0) -> Loss:
    """-ln p(y|x) of a softmax output, computed from the logits.

    Smoothing s replaces y by (1 - s) y + s/K, but a y of 0 (no target) by 0.
    """

    def measure(z: Outputs, y: Outputs) -> Measured:
        if smoothing:
            y = y.mul(1 - smoothing).add_(y.sum(2, keepdim=True), alpha=smoothing / z.shape[2])
        log_a = torch.log_softmax(z.transpose(1, 2), 1).transpose(1, 2)  # as _softmax
        value = (log_a * y).sum((1, 2)).mul_(-1 / z.shape[1])
        return value, lambda: log_a.exp_().sub_(y).mul_(1 / z.shape[1])

    return Loss(_softmax, measure, accepts=("one_hot", "positions"), is_monotone=True)


def perceptron() -> Loss:
    """The perceptron rule (Rosenblatt 1958): an example on the wrong side changes W by lr (y - a) x, others do not.

    It is gradient descent on the perceptron criterion (a - y) z ≥ 0, as the unit step itself has derivative 0.
    """
    step = unit_step()

    def measure(z: Outputs, y: Outputs) -> Measured:
        error = step.forward(z).sub_(y)
        return (error * z).sum((1, 2)).mul_(1 / z.shape[1]), lambda: error.mul_(1 / z.shape[1])

    return Loss(step.forward, measure, ("binary",), kinks=(0.0,))


def l2_penalty(params: Params, weight_decay: PerReplicaTensor) -> PerReplicaTensor:
    """(λ/2) Σ W² over all weights of each replica; biases are not penalized."""
    return params.weights.square().sum(1).mul(weight_decay).mul(0.5)


def add_l2_gradient(grads: Params, params: Params, weight_decay: PerReplicaTensor) -> None:
    """Add λW to the gradient of every weight, in place."""
    grads.weights.addcmul_(params.weights, per_replica(weight_decay, params.weights))
