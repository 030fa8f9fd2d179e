"""A pack's parameters: named views of one flat storage [R, P].

One storage lets an optimizer update every parameter of every replica in one pass. Each parameter starts at a multiple
of `ALIGNMENT` numbers, so that its slices keep the alignment that makes batched products give every replica the same
bits in any pack. The storage holds, in this order,

    weights     names ending in ``.W``, which the regularizer penalizes
    others      trained too: biases, gains and shifts of normalizations
    buffers     not trained: running statistics, constants of activations
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import torch
from torch import Tensor

ALIGNMENT = 16
WEIGHT_SUFFIX = ".W"

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def aligned(size: int) -> int:
    """Round `size` up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def layer_of(name: str) -> str:
    """Return the name of a parameter's layer: ``l2`` for ``l2.W``."""
    return name.partition(".")[0]


@dataclass(frozen=True, eq=False)
class Layout:
    """Layout of one replica's storage: `slots` maps each parameter and buffer to (offset, shape)."""

    shapes: Shapes
    buffers: Shapes = field(default_factory=dict)
    slots: dict[str, tuple[int, Shape]] = field(init=False)
    n_weights: int = field(init=False)
    n_trained: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        weights = {name: shape for name, shape in self.shapes.items() if name.endswith(WEIGHT_SUFFIX)}
        others = {name: shape for name, shape in self.shapes.items() if name not in weights}
        slots: dict[str, tuple[int, Shape]] = {}
        ends = []
        offset = 0
        for kind in (weights, others, self.buffers):
            for name, shape in kind.items():
                slots[name] = (offset, shape)
                offset += aligned(prod(shape))
            ends.append(offset)
        for name, value in zip(("slots", "n_weights", "n_trained", "size"), (slots, *ends), strict=True):
            object.__setattr__(self, name, value)

    @cached_property
    def trained(self) -> "Layout":
        """Layout of gradients: the same offsets, without buffers."""
        return Layout(self.shapes)


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
        self.trained = flat[:, : layout.n_trained]

    @cached_property
    def rows(self) -> tuple[Tensor, ...]:
        """The storage split into parameters and buffers, in order: each [R, numbers], its alignment gap included."""
        return torch.split(self.flat, [aligned(prod(shape)) for _, shape in self.layout.slots.values()], 1)

    @classmethod
    def zeros(cls, layout: Layout, replicas: int, like: Tensor) -> "Params":
        """Make a storage of zeros [replicas, P] with the dtype and device of `like`."""
        return cls(layout, like.new_zeros(replicas, layout.size))

    @classmethod
    def stack(
        cls,
        rows: list[dict[str, Tensor]],
        dtype: torch.dtype,
        device: torch.device,
        buffers: list[dict[str, Tensor]] | None = None,
    ) -> "Params":
        """Stack each replica's parameters and buffers into the storage of a pack."""
        buffers = buffers or [{} for _ in rows]
        shapes = [{name: tuple(value.shape) for name, value in replicas[0].items()} for replicas in (rows, buffers)]
        layout = Layout(*shapes)
        params = cls(layout, torch.zeros(len(rows), layout.size, dtype=dtype))
        arrays = [row | buffer for row, buffer in zip(rows, buffers, strict=True)]
        for name, view in params.items():
            view.copy_(torch.stack([replica[name] for replica in arrays]))
        return params.with_flat(params.flat.to(device))

    def with_flat(self, flat: Tensor) -> "Params":
        """Make views with the same names of another storage: a copy, other replicas, another dtype."""
        return Params(self.layout, flat)
