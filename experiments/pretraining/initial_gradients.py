"""Factors of gradients and singular values of Jacobians at initial weights.

With z = W a + b and a = f(z), a gradient's square grows per layer toward the input by n Var W · E f'(z)², which Glorot
and Bengio 2010 (eq. 15) take as n Var W, the slope being 1 near 0. A layer's Jacobian is diag(f'(z)) W.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.core.axes import Units
from workbench.nn import activations, initializers
from workbench.nn.builders import mlp
from workbench.nn.initializers import Initializer, Scheme, constant
from workbench.nn.layers.activate import Activate
from workbench.nn.model import Model
from workbench.nn.params import Params

Array = NDArray[np.float64]
EXAMPLES = 32
WEIGHTS_AT_ONCE = 2**25  # a quarter of a gigabyte


def initializer(name: str) -> Initializer:
    """Make the option `name` of ``init`` with its defaults."""
    made: Initializer = getattr(initializers, name)()
    return made


def weight_factor(name: str, width: int) -> float:
    """Compute n Var W of a square layer."""
    return float(width * initializer(name).std(width, width) ** 2)


def gradient_factors(activation: str, init: str, seeds: Sequence[int], width: int, depth: int) -> Array:
    """Compute ln of the squared gradient's factor from a hidden layer's z to the z below, mean over layers, by seed.

    Inputs and the gradient at the last hidden layer's z are standard normal, with `width` entries; biases are 0. Nets
    are made a few at a time: hundreds of 50 layers would take tens of gigabytes.
    """
    block = max(1, WEIGHTS_AT_ONCE // (depth * width**2))
    parts = [seeds[start : start + block] for start in range(0, len(seeds), block)]
    return np.concatenate([_factors(activation, init, part, width, depth) for part in parts])


def _factors(activation: str, init: str, seeds: Sequence[int], width: int, depth: int) -> Array:
    model, params, x = _nets(activation, init, seeds, width, depth)
    _, tape = model.forward(params, x)
    grads = Params.zeros(params.layout.trained, len(seeds), params.flat)
    delta, squares = _normal(seeds, width, 1), []
    hidden = list(zip(model.layers, tape, strict=True))[:-2]  # without the last activation and the output
    for layer, own in reversed(hidden):
        if not isinstance(layer, Activate):
            squares.append(delta.square().sum((1, 2)))
        below = layer.backward(params, own, delta, grads)
        assert below is not None
        delta = below
    falls = torch.stack(squares).log()  # at z, from the last layer on
    return np.asarray((falls[1:] - falls[:-1]).mean(0))


def mean_singular_values(activation: str, init: str, seeds: Sequence[int], width: int, depth: int) -> Array:
    """Compute the mean singular value of the Jacobians between hidden layers at one example, by seed."""
    model, params, x = _nets(activation, init, seeds, width, depth)
    _, tape = model.forward(params, x[:, :1])
    found = []
    for number, units in enumerate(model.units(tape), start=1):
        if number > 1:
            jacobian = units.slope()[:, 0].unsqueeze(2) * params[f"l{number}.W"]
            found.append(torch.linalg.svdvals(jacobian).mean(1))
    return np.asarray(torch.stack(found).mean(0))


def _nets(activation: str, init: str, seeds: Sequence[int], width: int, depth: int) -> tuple[Model, Params, Units]:
    model = mlp([width] * depth, width, width, getattr(activations, activation)())
    scheme = Scheme(initializer(init), constant(0.0))
    rows = [model.init(seed, scheme) for seed in seeds]
    return model, Params.stack(rows, torch.float64, torch.device("cpu")), _normal(seeds, width, 0)


def _normal(seeds: Sequence[int], width: int, use: int) -> Tensor:
    draws = [np.random.default_rng([seed, use]).standard_normal((EXAMPLES, width)) for seed in seeds]
    return torch.as_tensor(np.stack(draws))
