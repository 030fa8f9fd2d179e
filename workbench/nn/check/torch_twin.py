"""The same model in ``torch.nn``, trained by autograd: the reference of the benchmark and of tests."""

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn

from workbench.nn.layers.activate import Activate
from workbench.nn.layers.base import Layer
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.residual import Residual
from workbench.nn.model import Model
from workbench.nn.params import Params


class Applied(nn.Module):
    """A module that applies a function to its input and to the outputs of inner modules."""

    def __init__(self, function: Callable[..., Tensor], *inner: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.inner = nn.ModuleList(inner)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to x and to each inner module's output for x."""
        return self.function(x, *(module(x) for module in self.inner))


@singledispatch
def twin(layer: Layer) -> nn.Module:
    """Make a torch module [B, I] -> [B, O] of a layer, with its own parameters; dropout draws other masks.

    Raises TypeError for a layer that has no twin.
    """
    raise TypeError(
        f"twin: no torch module for {type(layer).__name__}; register one in workbench/nn/check/torch_twin.py"
    )


@twin.register
def _(layer: Model) -> nn.Module:
    return nn.Sequential(*(twin(inner) for inner in layer.layers))


@twin.register
def _(layer: Dense) -> nn.Module:
    return nn.Linear(layer.fan_in, layer.fan_out)


@twin.register
def _(layer: Activate) -> nn.Module:
    constants = tuple(layer.activation.constants.values())
    return Applied(lambda z: layer.activation.forward(z, *constants))


@twin.register
def _(layer: BatchNorm) -> nn.Module:
    return nn.BatchNorm1d(layer.units_in, layer.eps, layer.momentum)


@twin.register
def _(layer: LayerNorm) -> nn.Module:
    return nn.LayerNorm(layer.units_in, layer.eps)


@twin.register
def _(layer: Dropout) -> nn.Module:
    return nn.Dropout(layer.rate)


@twin.register
def _(layer: Maxout) -> nn.Module:
    pieces = layer.pieces
    return nn.Sequential(twin(layer.affine), Applied(lambda z: z.view(len(z), pieces, -1).amax(1)))


@twin.register
def _(layer: Residual) -> nn.Module:
    return Applied(lambda x, inner: torch.add(x, inner, alpha=layer.scale), twin(layer.inner))


@twin.register
def _(layer: Highway) -> nn.Module:
    transform = nn.Sequential(twin(layer.transform), twin(layer.activate))
    gate = nn.Sequential(twin(layer.gate), nn.Sigmoid())
    return Applied(lambda x, h, t: x + t * (h - x), transform, gate)


def copy_into(module: nn.Module, params: Params, replica: int) -> None:
    """Copy one replica's parameters into its twin; both list them in the order of the layers."""
    with torch.no_grad():
        for name, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            parameter.copy_(params[name][replica])
