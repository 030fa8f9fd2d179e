"""Quantities, one small function each: an observed step -> a number per replica [R] for each layer that has it.

| quantity | definition |
|---|---|
| act_norm, delta_norm | √ of the mean over examples of the sum over units of a², delta² |
| act_mean, delta_mean | mean over examples and units |
| act_var, delta_var | variance over examples and units, their mean square deviation |
| sparsity | share of a that is exactly 0 |
| grad_norm | Euclidean norm of dJ/d(W, b), per layer and over all; W and b are those of the layer's product |
| weight_norm | Euclidean norm of W before the step, per layer and over all |
| update_ratio | norm of the step's change of W over the norm of W before it, per layer and over all |

The last three leave out gamma, beta and gates; the W of a maxout layer comprises all its pieces. Each is made by a
function without arguments, or with numbers from the configuration, and chosen by an entry under ``quantities`` in
``conf/diagnostics``, whose key is the metric's name. Sums are in double precision. Sources: act_mean and act_var are
the "mean and standard deviation of the activation" of Glorot and Bengio 2010, figures 2 to 4; delta_var is the
Var[dCost/dz] of their equation 6; sparsity is that of Glorot, Bordes and Bengio 2011, table 1.
"""

import torch

from workbench.core.axes import PerReplicaTensor
from workbench.diagnostics.observed_step import WEIGHTS, ObservedStep, OfGradients, Quantity, norms


def act_norm() -> Quantity:
    """√ mean_B Σ_U a²."""
    return lambda step: {name: (signal.a_moments[1] * signal.z.shape[2]).sqrt() for name, signal in step.units.items()}


def act_mean() -> Quantity:
    """Mean of a over examples and units."""
    return lambda step: {name: signal.a_moments[0] for name, signal in step.units.items()}


def act_var() -> Quantity:
    """Variance of a over examples and units."""
    return lambda step: {name: _variance(*signal.a_moments) for name, signal in step.units.items()}


def delta_norm() -> Quantity:
    """√ mean_B Σ_U delta²."""
    return lambda step: {
        name: (signal.delta_moments[1] * signal.delta.shape[2]).sqrt() for name, signal in step.signals.items()
    }


def delta_mean() -> Quantity:
    """Mean of delta over examples and units."""
    return lambda step: {name: signal.delta_moments[0] for name, signal in step.signals.items()}


def delta_var() -> Quantity:
    """Variance of delta over examples and units."""
    return lambda step: {name: _variance(*signal.delta_moments) for name, signal in step.signals.items()}


def _variance(mean: PerReplicaTensor, square: PerReplicaTensor) -> PerReplicaTensor:
    return (square - mean.square()).clamp(min=0)


def sparsity() -> Quantity:
    """Share of a that is exactly 0."""
    return lambda step: {
        name: (signal.a == 0).mean((1, 2), dtype=torch.float64)
        for name, signal in step.units.items()
        if signal.a is not None
    }


def grad_norm() -> Quantity:
    """Norm of dJ/d(W, b): without gamma, beta and gates, so that architectures can be compared.

    ``train.clip_norm``, in contrast, bounds the norm of the whole gradient.
    """
    return OfGradients(norms)


def weight_norm() -> Quantity:
    """Norm of W before the step."""
    return lambda step: step.weight_norms


def update_ratio() -> Quantity:
    """Norm of the step's change of W over the norm of W before it; about 0.001 where a net learns well."""

    def compute(step: ObservedStep) -> dict[str, PerReplicaTensor]:
        change = step.params.with_flat(step.params.flat - step.flat)
        return {layer: norm / step.weight_norms[layer] for layer, norm in norms(change, WEIGHTS).items()}

    return compute
