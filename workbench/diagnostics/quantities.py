"""One small function per quantity: a snapshot -> one number per replica [R] for each layer it is defined for.

| quantity | definition |
|---|---|
| act_norm, delta_norm | √ of the mean over examples of the sum over units of a², delta² |
| act_mean, delta_mean | mean over examples and units |
| act_var, delta_var | variance over examples and units, their mean square deviation |
| sparsity | share of a that is exactly 0 |
| grad_norm | Euclidean norm of dJ/d(W, b), per layer and over all; W and b are those of the layer's product |
| weight_norm | Euclidean norm of W before the step, per layer and over all |
| update_ratio | norm of the step's change of W over the norm of W before it, per layer and over all |

Gamma, beta and gates count in none of the last three, and a maxout layer's W has all its pieces. Each is made by a
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
    return lambda seen: {name: (one.a_moments[1] * one.z.shape[2]).sqrt() for name, one in seen.units.items()}


def act_mean() -> Quantity:
    """Mean of a over examples and units."""
    return lambda seen: {name: one.a_moments[0] for name, one in seen.units.items()}


def act_var() -> Quantity:
    """Variance of a over examples and units."""
    return lambda seen: {name: _variance(*one.a_moments) for name, one in seen.units.items()}


def delta_norm() -> Quantity:
    """√ mean_B Σ_U delta²."""
    return lambda seen: {name: (one.delta_moments[1] * one.delta.shape[2]).sqrt() for name, one in seen.signals.items()}


def delta_mean() -> Quantity:
    """Mean of delta over examples and units."""
    return lambda seen: {name: one.delta_moments[0] for name, one in seen.signals.items()}


def delta_var() -> Quantity:
    """Variance of delta over examples and units."""
    return lambda seen: {name: _variance(*one.delta_moments) for name, one in seen.signals.items()}


def _variance(mean: PerReplicaTensor, square: PerReplicaTensor) -> PerReplicaTensor:
    return (square - mean.square()).clamp(min=0)


def sparsity() -> Quantity:
    """Share of a that is exactly 0."""
    return lambda seen: {
        name: (one.a == 0).mean((1, 2), dtype=torch.float64) for name, one in seen.units.items() if one.a is not None
    }


def grad_norm() -> Quantity:
    """Norm of dJ/d(W, b): without gamma and beta, without gates, so that it compares between architectures.

    ``train.clip_norm`` cuts the gradient as a whole, with these.
    """
    return OfGradients(norms)


def weight_norm() -> Quantity:
    """Norm of W before the step."""
    return lambda seen: seen.weight_norms


def update_ratio() -> Quantity:
    """Norm of the change of W in the step over the norm of W before it; about 0.001 where a net learns well."""

    def compute(seen: ObservedStep) -> dict[str, PerReplicaTensor]:
        change = seen.params.with_flat(seen.params.flat - seen.flat)
        return {layer: norm / seen.weight_norms[layer] for layer, norm in norms(change, WEIGHTS).items()}

    return compute
