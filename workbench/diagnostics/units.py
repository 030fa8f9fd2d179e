"""Dead and saturated units, by one definition for every activation, from the slopes f'(z) [R, B, U].

    dead_rate   share of a layer's units whose f' is zero on every training example
    saturation  share of (unit, example) pairs with abs(f') below 5 % of its supremum

Both are sums over examples until the last moment, so that a training set may come in chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from jaxtyping import Float
from torch import Tensor

from workbench.axes import PerReplicaTensor, Units

SATURATED_BELOW = 0.05

Counts = Float[Tensor, "R U"]  # floating: comparing in place and summing is vectorized, counting booleans is not


@dataclass(frozen=True)
class UnitDiagnostic:
    """`count` (slopes, supremum) -> examples per unit; `reduce` (counts, N examples) -> rate per replica."""

    count: Callable[[Units, float], Counts]
    reduce: Callable[[Counts, int], PerReplicaTensor]


def count_zero_slopes(slope: Units, max_slope: float) -> Counts:
    """Examples on which each unit passes no gradient."""
    return slope.abs().eq_(0).sum(1)


def share_of_dead_units(counts: Counts, examples: int) -> Float[Tensor, " R"]:
    """Share of units that pass no gradient on any of the examples."""
    return (counts == examples).double().mean(1)


def count_flat_slopes(slope: Units, max_slope: float) -> Counts:
    """Examples on which each unit's slope is below 5 % of its supremum; none where there is no supremum."""
    return slope.abs().lt_(SATURATED_BELOW * max_slope if isfinite(max_slope) else 0.0).sum(1)


def share_of_examples(counts: Counts, examples: int) -> Float[Tensor, " R"]:
    """Mean over units of the share of examples counted."""
    return counts.double().mean(1).div(examples)


UNIT_DIAGNOSTICS = {
    "dead_rate": UnitDiagnostic(count_zero_slopes, share_of_dead_units),
    "saturation": UnitDiagnostic(count_flat_slopes, share_of_examples),
}
