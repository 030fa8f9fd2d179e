"""Random nets on random lines: deviations from affine functions between breakpoints, and numbers of breakpoints."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import workbench.proofs.regions as regions
from workbench.proofs.regions import Pieces, PiecewiseLinearNet

Line = tuple[Tensor, Tensor]


def random_lines(unit: str, nets: Sequence[int]) -> Iterator[tuple[PiecewiseLinearNet, Line, Pieces]]:
    """Yield (net, line, pieces on it), with depth, widths, inputs, weights, biases and line drawn by seed."""
    for seed in nets:
        net = regions.random_net(unit, seed)
        line = regions.random_line(net, seed)
        yield net, line, net.pieces(*line)


def deviations(unit: str, nets: Sequence[int]) -> list[float]:
    """Measure the deviation from affine in every cell between breakpoints.

    It is the larger of the net's second difference and its distance to the cell's affine function, both relative to the
    net's largest value.
    """
    found: list[float] = []
    for net, line, pieces in random_lines(unit, nets):
        curve = net.curve(*line)
        found += torch.maximum(regions.second_differences(curve, pieces), regions.distances(curve, pieces)).tolist()
    return found


def bends(unit: str, output: str, nets: Sequence[int], moves: float) -> list[float]:
    """Return the largest second difference in a cell of every net whose logits change by more than `moves`."""
    found = []
    for net, line, pieces in random_lines(unit, nets):
        logits = net.curve(*line)(torch.linspace(0, 1, 50, dtype=torch.float64))
        if (logits.amax(0) - logits.amin(0)).max() > moves:
            found.append(float(regions.second_differences(net.curve(*line, output), pieces).max()))
    return found


def is_sawtooth(depth: int, pieces: int) -> bool:
    """Whether the constructed net has this many pieces on [0, 1], all with slopes ±2^depth exactly."""
    start, direction = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    found = regions.sawtooth(depth).pieces(start, direction)
    return bool((found.slopes.abs() == 2**depth).all()) and regions.count(found) == pieces


def initial_pieces(shapes: Sequence[Sequence[int]], seeds: Sequence[int]) -> NDArray[np.int64]:
    """Count pieces on the real line of relu nets of one input with normal weights and biases: [seeds, shapes]."""
    count = regions.regions_of_the_input
    return np.array([[count(regions.gaussian_relu_net(shape, seed)) for shape in shapes] for seed in seeds])


def trends(pieces: NDArray[np.int64], shapes: Sequence[Sequence[int]]) -> tuple[list[float], list[float]]:
    """Fit trends to `initial_pieces` by seed: pieces per unit at equal depth, and breakpoints per unit by layer.

    Both are slopes of least squares over the shapes.
    """
    units, depths = np.array([sum(shape) for shape in shapes]), np.array([len(shape) for shape in shapes])
    columns = np.stack([np.ones(len(shapes)), units, depths], 1)
    per_unit = np.linalg.lstsq(columns, pieces.T, rcond=None)[0][1]
    per_layer = np.polyfit(depths, ((pieces - 1) / units).T, 1)[0]
    return per_unit.tolist(), per_layer.tolist()


def breakpoints_per_unit(net: PiecewiseLinearNet, x: Tensor, pairs: Sequence[Sequence[int]]) -> float:
    """Count breakpoints per hidden unit on the segment from x[a] to x[b], x [N, I]; mean over pairs (a, b), a ≠ b."""
    found = [regions.count(net.pieces(x[a], x[b] - x[a])) - 1 for a, b in pairs if a != b]
    return float(np.mean(found)) / sum(fan_out for fan_out, _ in [*net.model.products()][:-1])
