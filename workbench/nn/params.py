"""A pack's parameters: named views of one flat storage [R, P].

One storage lets an optimizer update every parameter of every replica in one pass. Each parameter starts at a multiple
of `ALIGNMENT` numbers, so that its slices keep the alignment that makes batched products give every replica the same
bits in any pack. Weights (names ending in ``.W``, which the regularizer penalizes) come first, biases after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

ALIGNMENT = 16
WEIGHT_SUFFIX = ".W"

Shapes = Mapping[str, tuple[int, ...]]


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Layout:
    """Where each parameter of one replica lies: name -> (offset, shape)."""

    shapes: Shapes
    slots: dict[str, tuple[int, tuple[int, ...]]] = field(init=False)
    n_weights: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        slots: dict[str, tuple[int, tuple[int, ...]]] = {}
        offset = 0
        ends = []
        for is_weight in (True, False):
            for name, shape in self.shapes.items():
                if name.endswith(WEIGHT_SUFFIX) == is_weight:
                    slots[name] = (offset, shape)
                    offset += aligned(prod(shape))
            ends.append(offset)
        object.__setattr__(self, "slots", slots)
        object.__setattr__(self, "n_weights", ends[0])
        object.__setattr__(self, "size", ends[1])


class Params(dict[str, Tensor]):
    """Parameters or gradients by name, each [R, ...]: views of `flat` [R, P], whose gaps hold zeros."""

    def __init__(self, layout: Layout, flat: Tensor) -> None:
        rows = flat.shape[0]
        super().__init__(
            (name, flat[:, start : start + prod(shape)].view(rows, *shape))
            for name, (start, shape) in layout.slots.items()
        )
        self.layout = layout
        self.flat = flat
        self.weights = flat[:, : layout.n_weights]

    @classmethod
    def zeros(cls, layout: Layout, replicas: int, like: Tensor) -> "Params":
        """A storage of zeros with the dtype and device of `like`."""
        return cls(layout, like.new_zeros(replicas, layout.size))

    @classmethod
    def stack(cls, rows: list[dict[str, Tensor]], dtype: torch.dtype, device: torch.device) -> "Params":
        """The storage of a pack from each replica's own parameters."""
        layout = Layout({name: tuple(value.shape) for name, value in rows[0].items()})
        params = cls.zeros(layout, len(rows), torch.empty(0, dtype=dtype))
        for name, view in params.items():
            view.copy_(torch.stack([row[name] for row in rows]))
        return cls(layout, params.flat.to(device))

    def with_flat(self, flat: Tensor) -> "Params":
        """The same names over another storage: a copy, other replicas, another dtype."""
        return Params(self.layout, flat)
