"""Euclidean norm of dJ/d(W, b), per layer and over all parameters."""

import torch

from workbench.axes import PerReplicaTensor
from workbench.nn.params import Params, layer_of


def grad_norm(grads: Params) -> dict[str, PerReplicaTensor]:
    """``grad_norm/<layer>`` for each layer, W and b together, and ``grad_norm/all``."""
    squares: dict[str, PerReplicaTensor] = {}
    for name, gradient in grads.items():
        layer = layer_of(name)
        square = gradient.double().square().flatten(1).sum(1)
        squares[layer] = squares[layer] + square if layer in squares else square
    squares = dict(sorted(squares.items()))
    squares["all"] = torch.stack(list(squares.values())).sum(0)
    return {f"grad_norm/{layer}": square.sqrt() for layer, square in squares.items()}
