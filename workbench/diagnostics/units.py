"""Dead and saturated units, by one definition for every activation, from the slopes f'(z) [R, B, U].

    dead_rate   share of a layer's units whose f' is zero on every training example
    saturation  share of (unit, example) pairs with abs(f') below 5 % of its supremum

Both are computed from sums over examples, so that a training set may come in chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.core.axes import PerReplicaTensor, Units
from workbench.nn.activations import Activation

SATURATED_BELOW = 0.05


@dataclass
class UnitCounts:
    """Counts of a layer's units over `examples` examples.

    `slope` is 0 for units that passed no gradient on any example, and above 0 for others; `flat` counts the examples on
    which a unit was saturated. Where `flat` is None, `slope` counts the examples on which it was not.
    """

    examples: int
    slope: Float[Tensor, "R U"]
    flat: Float[Tensor, "R U"] | None

    def __iadd__(self, other: "UnitCounts") -> "UnitCounts":
        """Add the counts of the same units on other examples."""
        self.examples += other.examples
        self.slope += other.slope
        if self.flat is not None and other.flat is not None:
            self.flat += other.flat
        return self

    @cached_property
    def dead(self) -> Bool[Tensor, "R U"]:
        """Units that passed no gradient on any example."""
        return self.slope == 0

    def rates(self, layer: str) -> dict[str, PerReplicaTensor]:
        """Compute the layer's diagnostics [R] by name."""
        units = self.slope.shape[1]
        pairs = units * self.examples  # the calls below are those of evaluation, as others would run cold
        if self.flat is None:
            flat = self.slope.sum(1, dtype=torch.float64).div_(-pairs).add_(1)
        else:
            flat = self.flat.sum(1, dtype=torch.float64).div_(pairs)
        return {f"dead_rate/{layer}": self.dead.sum(1, dtype=torch.float64).div_(units), f"saturation/{layer}": flat}


def joined(parts: Sequence[UnitCounts]) -> UnitCounts:
    """Concatenate the counts of groups of replicas on the same number of examples."""
    if len(parts) == 1:
        return parts[0]
    first, flats = parts[0], [part.flat for part in parts if part.flat is not None]
    return UnitCounts(first.examples, torch.cat([part.slope for part in parts]), torch.cat(flats) if flats else None)


def count(activation: Activation, slope: Units) -> UnitCounts:
    """Count a chunk of examples from slopes f'(z) [R, B, U], which are overwritten.

    Counts are sums of floating-point numbers, as comparing in place is vectorized and counting booleans is not.
    """
    examples = slope.shape[1]
    if activation.all_or_none:
        passed = slope.sum(1)
        return UnitCounts(examples, passed if activation.max_slope == 1 else passed.div_(activation.max_slope), None)
    slope.abs_()
    largest = slope.amax(1)
    threshold = SATURATED_BELOW * activation.max_slope if isfinite(activation.max_slope) else 0.0
    return UnitCounts(examples, largest, slope.lt_(threshold).sum(1))
