"""Dead and saturated units, by one definition for every activation, from the slopes f'(z) [R, B, U].

    dead_rate   share of a layer's units whose f' is zero on every training example
    saturation  share of (unit, example) pairs with abs(f') below 5 % of its supremum

Both are sums over examples until the last moment, so that a training set may come in chunks.
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
    """What a layer's units did on `examples` examples.

    `slope` is 0 for units that passed no gradient on any of them, and above 0 for others; `flat` counts the examples on
    which a unit's slope was flat. Without `flat`, `slope` counts the others.
    """

    examples: int
    slope: Float[Tensor, "R U"]
    flat: Float[Tensor, "R U"] | None

    def __iadd__(self, other: "UnitCounts") -> "UnitCounts":
        """Take up what the same units did on other examples."""
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
        """The layer's diagnostics by name."""
        units = self.slope.shape[1]
        pairs = units * self.examples  # below, calls that evaluation makes too: others start cold
        if self.flat is None:
            flat = self.slope.sum(1, dtype=torch.float64).div_(-pairs).add_(1)
        else:
            flat = self.flat.sum(1, dtype=torch.float64).div_(pairs)
        return {f"dead_rate/{layer}": self.dead.sum(1, dtype=torch.float64).div_(units), f"saturation/{layer}": flat}


def joined(parts: Sequence[UnitCounts]) -> UnitCounts:
    """Those of all replicas, from those of some on the same number of examples."""
    if len(parts) == 1:
        return parts[0]
    first, flats = parts[0], [one.flat for one in parts if one.flat is not None]
    return UnitCounts(first.examples, torch.cat([one.slope for one in parts]), torch.cat(flats) if flats else None)


def count(activation: Activation, slope: Units) -> UnitCounts:
    """Counts of one chunk of examples; overwrites `slope`.

    Sums of floating numbers: comparing in place is vectorized, and counting booleans is not.
    """
    examples = slope.shape[1]
    if activation.all_or_none:
        passed = slope.sum(1)
        return UnitCounts(examples, passed if activation.max_slope == 1 else passed.div_(activation.max_slope), None)
    slope.abs_()
    largest = slope.amax(1)
    threshold = SATURATED_BELOW * activation.max_slope if isfinite(activation.max_slope) else 0.0
    return UnitCounts(examples, largest, slope.lt_(threshold).sum(1))
