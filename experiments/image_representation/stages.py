"""Stages of a convolutional net: what comes out of each pool, and how much of it tells the classes apart."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.nn.layers.base import EVALUATION, forward_at
from workbench.nn.layers.pool import MaxPool
from workbench.nn.model import Model
from workbench.nn.params import Params

Array = NDArray[np.float64]
CHUNK = 256  # examples whose maps are in memory at once


def outputs(model: Model, params: Params, x: Tensor) -> list[Array]:
    """Maps [R, N, M, M', C] after each pool of pictures x [R, N, I], running statistics in the place of batches'."""
    chunks = zip(*(_maps(model, params, chunk) for chunk in torch.split(x, CHUNK, 1)), strict=True)
    return [torch.cat(several, 1).double().numpy() for several in chunks]


def _maps(model: Model, params: Params, x: Tensor) -> Iterator[Tensor]:
    for layer in model.layers:
        x, _ = forward_at(layer, params, x, EVALUATION)
        if isinstance(layer, MaxPool):
            yield x


def between_classes(maps: Array, labels: NDArray[np.int64]) -> float:
    """Share of a channel's variance over pictures that lies between classes, a mean over the channels that vary.

    A channel's value for a picture is its mean over positions; maps are [N, M, M', C], labels [N]. It is η² of an
    analysis of variance: 0 where all classes have one mean, 1 where a channel knows nothing but the class.
    """
    values = maps.mean((1, 2))
    varying = values[:, values.var(0) > 0]
    _, numbers = np.unique(labels, return_inverse=True)
    means = np.stack([varying[numbers == number].mean(0) for number in range(numbers.max() + 1)])[numbers]
    return float((means.var(0) / varying.var(0)).mean()) if varying.size else 0.0
