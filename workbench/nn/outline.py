"""Outline of a model: its layers in order, with the shape of what leaves each and its number of parameters."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.nn.footprint import META, example_of
from workbench.nn.initializers import Scheme, constant_weights
from workbench.nn.initializers import constant as constant_bias
from workbench.nn.inputs import Inputs
from workbench.nn.layers.base import EVALUATION, Layer, forward_at
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model
from workbench.nn.params import Params

Shape = tuple[int, ...]
TOLD = ("kernel", "stride", "size", "heads", "causal", "rate", "reverse")  # what an outline says of a layer


@dataclass(frozen=True)
class Box:
    """A layer: kind, name, what is set, shape of an example that leaves it, and trained parameters not met before."""

    kind: str
    name: str
    told: str
    shape: Shape
    parameters: int


@dataclass(frozen=True)
class Block:
    """Layers in order; with `is_residual` their input is added to their output."""

    boxes: tuple[Box, ...]
    is_residual: bool = False

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for blocks that differ in names alone."""
        return self.is_residual, *((box.kind, box.told, box.shape, box.parameters) for box in self.boxes)


@dataclass(frozen=True)
class Outline:
    """Blocks of a model for an example of shape `inputs`."""

    inputs: Shape
    blocks: tuple[Block, ...]

    @property
    def parameters(self) -> int:
        """Trained parameters of a replica."""
        return sum(box.parameters for block in self.blocks for box in block.boxes)


class _Walk:
    """A forward pass of one example without memory, which notes the layers that it meets."""

    def __init__(self, model: Model, scheme: Scheme) -> None:
        self.scheme = scheme
        self.params = Params.stack([model.init(0, scheme)], torch.float32, META, [model.buffers(scheme)])
        self.met: set[str] = set()

    def blocks(self, layer: Layer, x: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """Yield the blocks of a layer, each with what leaves it."""
        if isinstance(layer, Model):
            for child in layer.layers:
                passed = list(self.blocks(child, x))
                yield from passed
                x = passed[-1][1]
        elif isinstance(layer, Residual):
            inner = [(box, out) for block, out in self.blocks(layer.inner, x) for box in block.boxes]
            yield Block(tuple(box for box, _ in inner), is_residual=True), inner[-1][1]
        else:
            out = forward_at(layer, self.params, x, EVALUATION)[0]
            yield Block((self._box(layer, out),)), out

    def _box(self, layer: Layer, out: Tensor) -> Box:
        own = {name: values.numel() for name, values in layer.init(0, self.scheme).items() if name not in self.met}
        self.met |= own.keys()
        return Box(
            type(layer).__name__, getattr(layer, "name", ""), _told(layer), tuple(out.shape[2:]), sum(own.values())
        )


def _told(layer: Layer) -> str:
    values = {field: getattr(layer, field) for field in TOLD if hasattr(layer, field)}
    if hasattr(layer, "cell"):
        values["cell"] = type(layer.cell).__name__
    plain = {field: "×".join(map(str, value)) if isinstance(value, tuple) else value for field, value in values.items()}
    return ", ".join(
        field if value is True else f"{field} {value}"
        for field, value in plain.items()
        if value is not False and not (field == "stride" and value == 1)
    )


def outline(model: Model, inputs: Inputs, constants: dict[str, float]) -> Outline:
    """Outline a model; `constants` are those of its activation. Raises ShapeError where layers do not fit."""
    x = example_of(inputs)
    walk = _Walk(model, Scheme(constant_weights(), constant_bias(), constants))
    return Outline(inputs.shape, tuple(block for block, _ in walk.blocks(model, x)))


def repeats(blocks: tuple[Block, ...], longest: int = 4, least: int = 3) -> list[tuple[tuple[Block, ...], int]]:
    """Group blocks that repeat, up to `longest` at a time, at least `least` times: (blocks, how often) in order."""
    groups: list[tuple[tuple[Block, ...], int]] = []
    start, signs = 0, [block.signature for block in blocks]
    while start < len(blocks):
        counts = {period: _count(signs[start:], period) for period in range(1, longest + 1)}
        period = max((period for period in counts if counts[period] >= least), key=lambda p: counts[p] * p, default=1)
        count = counts[period] if counts[period] >= least else 1
        groups.append((blocks[start : start + period], count))
        start += period * count
    return groups


def _count(signs: list[tuple[object, ...]], period: int) -> int:
    """How often the first `period` signs come one after the other."""
    count = 1
    while signs[count * period : (count + 1) * period] == signs[:period]:
        count += 1
    return count if len(signs) >= period else 0
