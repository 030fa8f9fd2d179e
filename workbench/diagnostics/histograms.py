"""Histograms of z, a and delta with fixed bins, counted on the device.

Bins of a bounded activation's a have equal width between its bounds. All others have equal width in
±ln(1 + abs(x)/scale), with the sign of x: equal near 0, logarithmic far from it; the middle bin contains 0, and the
outermost are unbounded. Numbers that are not finite are not counted.
"""

from collections.abc import Mapping
from math import copysign, expm1, inf, isfinite, log1p
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from workbench.core.axes import Units
from workbench.diagnostics.observed_step import Signal

BINS = 101
SCALE = {"z": 1e-2, "a": 1e-2, "delta": 1e-8}
REACH = 1e3  # where the outermost bins begin

Bounds = tuple[float, float]
Counts = Int64[Tensor, "R N"]


def is_even(quantity: str, bounds: Bounds) -> bool:
    """Whether the bins have equal width between bounds."""
    return quantity == "a" and all(isfinite(bound) for bound in bounds)


def places(values: Units, quantity: str, bounds: Bounds) -> Units:
    """Map numbers to positions on the axis of bins, in bin widths from the first bin's start; a fresh tensor."""
    if is_even(quantity, bounds):
        low, high = bounds
        return (values - low).mul_(BINS / (high - low))
    scale = SCALE[quantity]
    length = torch.abs(values).div_(scale).log1p_()  # asinh would be as good, and takes 20 times as long
    return length.copysign_(values).mul_((BINS - 2) / (2 * log1p(REACH / scale))).add_(BINS / 2)


def edges(quantity: str, bounds: Bounds) -> list[float]:
    """Return the BINS + 1 edges of the bins."""
    if is_even(quantity, bounds):
        low, high = bounds
        return [low + (high - low) * number / BINS for number in range(BINS + 1)]
    scale = SCALE[quantity]
    width = 2 * log1p(REACH / scale) / (BINS - 2)
    lengths = [width * (number - BINS / 2) for number in range(1, BINS)]
    return [-inf, *(copysign(scale * expm1(abs(length)), length) for length in lengths), inf]


def count(values: Units, quantity: str, bounds: Bounds) -> Counts:
    """Count each replica's numbers by bin: [R, BINS]."""
    position = places(values, quantity, bounds).clamp_(0, BINS - 1)
    position.add_(values * 0).nan_to_num_(BINS)  # numbers that are not finite go to an extra bin
    index = position.flatten(1).long()  # truncated
    counts = torch.zeros(len(index), BINS + 1, dtype=torch.int64, device=values.device)
    return counts.scatter_add_(1, index, torch.ones_like(index))[:, :BINS]


def frame(signals: Mapping[str, Signal]) -> dict[tuple[str, str], Counts]:
    """Count the z, a and delta of all signals: (layer, quantity) -> [R, BINS]."""
    return {
        (layer, quantity): count(values, quantity, signal.bounds)
        for layer, signal in signals.items()
        for quantity, values in (("z", signal.z), ("a", signal.a), ("delta", signal.delta * signal.z.shape[1]))
        if values is not None
    }


def bin_rows(step: int, layer: str, quantity: str, bounds: Bounds, counts: list[int]) -> dict[str, list[Any]]:
    """Tabulate the bins of a histogram that are not empty, as columns."""
    ends = edges(quantity, bounds)
    full = [number for number, value in enumerate(counts) if value]
    return {
        "step": [step] * len(full),
        "layer": [layer] * len(full),
        "quantity": [quantity] * len(full),
        "low": [ends[number] for number in full],
        "high": [ends[number + 1] for number in full],
        "count": [counts[number] for number in full],
    }
