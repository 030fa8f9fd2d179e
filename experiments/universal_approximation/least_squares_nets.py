"""Networks with random hidden weights and output weights fitted by least squares.

A unit is σ(w (x - c)) with c uniform on [0, 1] and w normal with standard deviation N, so that steepness grows with the
density of units, for every σ alike. Where σ is the monomial z^p, every such network is a polynomial of degree p.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from workbench.data.batches import DataPart
from workbench.nn.activations import Activation
from workbench.nn.model import Model
from workbench.nn.params import Params

from . import polynomials
from .approximation import TARGETS, Array, Function, Network, make

GRID = np.linspace(0, 1, 4097)
FITTED = slice(None, None, 4)  # the points of the grid that are fitted; errors are measured on all
RIDGE = 1e-10  # penalty, relative to the squared norm of a unit's values


def network(rng: np.random.Generator, activation: Activation, size: int, fs: Sequence[Function]) -> list[Network]:
    """Draw `size` random units, and fit a network of them to each function."""
    w, center = rng.normal(0, size, size), rng.uniform(0, 1, size)
    hidden = Network(activation, np.ones(size), w, -w * center)
    y = np.stack([f(GRID[FITTED]) for f in fs], axis=1)
    alphas = outer_weights(hidden.values(GRID[FITTED]), y)
    return [Network(activation, alpha, hidden.w, hidden.b) for alpha in alphas.T]


def outer_weights(columns: Array, y: Array) -> Array:
    """Fit outer weights [N, K] to values y [M, K] by least squares, from the units' values [M, N], which are scaled."""
    length = np.linalg.norm(columns, axis=0)
    length[length == 0] = 1.0
    columns /= length
    gram = columns.T @ columns
    gram[np.diag_indices(len(length))] += RIDGE
    alphas: Array = np.linalg.solve(gram, columns.T @ y) / length[:, None]
    return alphas


def largest_errors(networks: Sequence[Network], fs: Sequence[Function], x: Array = GRID) -> Array:
    """Compute max abs(F - f) over the points x, for networks that share their hidden units."""
    hidden = networks[0].values(x)
    outputs = hidden @ np.stack([one.alpha for one in networks], axis=1)
    worst: Array = np.abs(outputs - np.stack([f(x) for f in fs], axis=1)).max(0)
    return worst


def largest_trained_errors(model: Model, params: Params, data: DataPart, f: Function, x: Array = GRID) -> Array:
    """Compute max abs(F - f) [R] of trained nets over the points x.

    `data` are f's values at equidistant points of [0, 1] with the scaling of the training, which is undone.
    """
    inputs, targets = data.x[0, :, 0].double(), data.y[0, :, 0].double()
    places = torch.from_numpy(x) * (inputs[-1] - inputs[0]) + inputs[0]
    outputs, _ = model.forward(params, places.to(data.x.dtype).expand(len(params.flat), 1, -1).transpose(1, 2))
    known = f(np.linspace(0, 1, len(inputs)))
    scale = np.ptp(known) / float(targets.max() - targets.min())
    F = known.min() + (outputs[:, :, 0].double() - targets.min()).numpy() * scale
    worst: Array = np.abs(F - f(x)).max(1)
    return worst


class Fitted(NamedTuple):
    """Largest error on the grid of a network for a target; the networks of a seed share their hidden units."""

    activation: str
    units: int
    seed: int
    target: str
    error: float


def random_networks(
    draws: Callable[[], np.random.Generator], activations: Sequence[str], sizes: Sequence[int], seeds: Sequence[int]
) -> Iterator[Fitted]:
    """Fit networks of every activation and size, all from the same draws, one after the other for each seed."""
    fs = [target.f for target in TARGETS.values()]
    for name, size in product(activations, sizes):
        rng, activation = draws(), make(name)
        for seed in seeds:
            errors = largest_errors(network(rng, activation, size, fs), fs)
            for target, error in zip(TARGETS, errors.tolist(), strict=True):
                yield Fitted(name, size, seed, target, error)


def against_polynomials(networks: Iterable[Fitted], degree: int) -> tuple[list[float], str]:
    """Divide errors of z^degree's networks by the least error of a polynomial on the grid; return ratios and proof."""
    least = {name: polynomials.best(GRID, target.f(GRID), degree).least for name, target in TARGETS.items()}
    proof = ", ".join(f"{name} ≥ {error:.4g}" for name, error in least.items())
    ratios = [one.error / least[one.target] for one in networks if one.activation == f"z^{degree}"]
    return ratios, f"alternation: {proof}"
