"""The same model in ``torch.nn``, trained by autograd: the reference of the benchmark and of tests."""

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.nn.layers.activate import Activate
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Layer
from workbench.nn.layers.batch_norm import BatchNorm
from workbench.nn.layers.cells import GRU, LSTM, Elman
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.dropout import Dropout
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.highway import Highway
from workbench.nn.layers.layer_norm import LayerNorm
from workbench.nn.layers.maxout import Maxout
from workbench.nn.layers.pool import MaxPool, MeanPool
from workbench.nn.layers.positions import Positions, sinusoids
from workbench.nn.layers.readout import Last, Mean
from workbench.nn.layers.recurrent import Bidirectional, Recurrent
from workbench.nn.layers.residual import Residual
from workbench.nn.layers.views import Flatten, Unflatten
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
    """Make a torch module [B, *P, I] -> [B, *Q, O] of a layer, with its own parameters; dropout draws other masks.

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


class _BatchNorm(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.ndim == 2 else super().forward(x.flatten(0, -2)).view_as(x)


@twin.register
def _(layer: BatchNorm) -> nn.Module:
    return _BatchNorm(layer.units_in, layer.eps, layer.momentum)


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


class ChannelsFirst(nn.Module):
    """A module of torch's that takes channels before positions, for a tensor with features last."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        """Move the features to the front and back."""
        out: Tensor = self.inner(x.movedim(-1, 1))
        return out.movedim(1, -1)


@twin.register
def _(layer: Conv2d) -> nn.Module:
    top, bottom, left, right = layer.padding
    pad, sizes = nn.ZeroPad2d((left, right, top, bottom)), (layer.channels_in, layer.channels_out, layer.kernel)
    if (top, left) == (bottom, right):
        return ChannelsFirst(nn.Conv2d(*sizes, layer.stride, (top, left), layer.dilation))
    return ChannelsFirst(pad, nn.Conv2d(*sizes, layer.stride, dilation=layer.dilation))


@twin.register
def _(layer: Conv1d) -> nn.Module:
    pad = nn.ZeroPad1d((layer.dilation * (layer.kernel - 1), 0))
    return ChannelsFirst(pad, nn.Conv1d(layer.units_in, layer.units_out, layer.kernel, dilation=layer.dilation))


@twin.register
def _(layer: MaxPool) -> nn.Module:
    return ChannelsFirst(Applied(lambda x: (F.max_pool1d if x.ndim == 3 else F.max_pool2d)(x, layer.size)))


@twin.register
def _(layer: MeanPool) -> nn.Module:
    return ChannelsFirst(Applied(lambda x: (F.avg_pool1d if x.ndim == 3 else F.avg_pool2d)(x, layer.size)))


@twin.register
def _(layer: Unflatten) -> nn.Module:
    return nn.Unflatten(1, layer.shape)


@twin.register
def _(layer: Flatten) -> nn.Module:
    return nn.Flatten()


FUSED: dict[Callable[..., Tensor], Callable[..., tuple[Tensor, ...]]] = {
    torch.tanh: torch.rnn_tanh,
    torch.relu: torch.rnn_relu,
}


class RecurrentTwin(nn.Module):
    """A layer of `nn.RNN`, `nn.GRU` or `nn.LSTM` on x [B, T, I], with parameters in the order of the layer's own."""

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer = layer
        shapes = [(layer.rows, layer.fan_in), (layer.rows,), (layer.rows, layer.width)]
        shapes += [(layer.width,)] if layer.cell.has_c else []
        self.arrays = nn.ParameterList([nn.init.normal_(torch.empty(shape), std=layer.width**-0.5) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        """Compute h [B, T, U] from state 0."""
        W, b, U, *c = self.arrays
        x = x.flip(1) if self.layer.reverse else x
        zeros = x.new_zeros(1, len(x), self.layer.width)
        gates = b.new_zeros(len(b) - sum(map(len, c)))
        weights, options = [W, U, b, torch.cat((gates, *c))], (True, 1, 0.0, False, False, True)
        match self.layer.cell:
            case LSTM():
                h = torch.lstm(x, [zeros, zeros], weights, *options)[0]
            case GRU():
                h = torch.gru(x, zeros, weights, *options)[0]
            case Elman(activation):
                h = FUSED[activation.forward](x, zeros, weights, *options)[0]
        return h.flip(1) if self.layer.reverse else h


@twin.register
def _(layer: Recurrent) -> nn.Module:
    fused = not isinstance(layer.cell, Elman) or layer.cell.activation.forward in FUSED
    if layer.truncate is not None or not fused:
        raise TypeError(f"twin: torch has no truncated backpropagation and no other units than tanh and relu: {layer}")
    return RecurrentTwin(layer)


@twin.register
def _(layer: Bidirectional) -> nn.Module:
    return Applied(lambda x, ahead, back: torch.cat((ahead, back), 2), twin(layer.ahead), twin(layer.back))


@twin.register
def _(layer: Last) -> nn.Module:
    return Applied(lambda x: torch.cat((x[:, -1, : x.shape[2] - layer.back], x[:, 0, x.shape[2] - layer.back :]), 1))


@twin.register
def _(layer: Mean) -> nn.Module:
    return Applied(lambda x: x.mean(1))


def in_torch_order(W: Tensor, shape: torch.Size) -> Tensor:
    """Reorder a kernel [O, h·w·I] to torch's shape [O, I, h, w] or [O, I, k]; other parameters stay as they are."""
    return W if len(shape) < 3 else W.view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


class _Scaled(nn.Embedding):
    scale = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = super().forward(tokens)
        return vectors if self.scale == 1 else vectors * self.scale


@twin.register
def _(layer: Embedding) -> nn.Module:
    module = _Scaled(layer.vocabulary, layer.width, layer.padding)
    module.scale = layer.scale
    return module


class _Positions(nn.Module):
    def __init__(self, layer: Positions) -> None:
        super().__init__()
        if layer.learned:
            self.table = nn.Parameter(torch.randn(layer.length, layer.width))
        else:
            self.register_buffer("table", sinusoids(layer.length, layer.width).to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[-2]]


@twin.register
def _(layer: Positions) -> nn.Module:
    return _Positions(layer)


class _Attention(nn.Module):
    def __init__(self, layer: Attention) -> None:
        super().__init__()
        self.causal = layer.causal
        self.inner = nn.MultiheadAttention(layer.width, layer.heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], x.device, x.dtype) if self.causal else None
        out, _ = self.inner(x, x, x, attn_mask=mask, is_causal=self.causal, need_weights=False)
        assert isinstance(out, Tensor)
        return out


@twin.register
def _(layer: Attention) -> nn.Module:
    return _Attention(layer)


def copy_into(module: nn.Module, params: Params, replica: int) -> None:
    """Copy one replica's parameters into its twin; both list them in the order of the layers."""
    with torch.no_grad():
        for name, parameter in zip(params.layout.shapes, module.parameters(), strict=True):
            parameter.copy_(in_torch_order(params[name][replica], parameter.shape))
