"""Receptive field of a temporal convolutional net: the positions that its output at T depends on, and by how much.

Of causal convolutions with kernels k and dilations d one after the other, the output at T sees the last

    1 + Σ (k - 1) d

positions up to T (Bai, Kolter and Koltun 2018, section 3.1). By how much it depends on each is measured at the final
weights: the Frobenius norm of the Jacobian of the output o at an example's last target with respect to the vector of
the token at each position before it, a mean over test examples. Before the field it is exactly 0.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from workbench.config.arms import PALETTE
from workbench.data.datasets import Array
from workbench.engine.replicas import Pack
from workbench.inspect.figure_style import canvas, legend, line
from workbench.inspect.position_figures import by_steps, last, numbers
from workbench.nn.layers.base import EVALUATION, Layer, contains, forward_at, within
from workbench.nn.layers.conv1d import Conv1d
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import Masked
from workbench.nn.layers.readout import Last
from workbench.nn.model import Model
from workbench.nn.params import Params

EXAMPLES = 64  # over which norms are averaged


def has_field(model: Model) -> bool:
    """Whether a net is an embedding, causal convolutions, and an affine output of single positions."""
    layers = _layers(model)
    return isinstance(layers[0], Embedding) and isinstance(layers[-1], Dense) and contains(model, Conv1d)


def field(model: Model) -> int:
    """Count the positions that the output at one of them sees: 1 + Σ (k - 1) d."""
    return 1 + sum((layer.kernel - 1) * layer.dilation for layer in within(model) if isinstance(layer, Conv1d))


def field_figure(pack: Pack, params: Params, padding: int | None, title: str) -> Iterator[tuple[str, Figure]]:
    """Yield the figure of a net that has a field, with its name."""
    if has_field(pack.objective.model):
        yield "receptive_field", _drawn(jacobian_norms(pack, params, padding), field(pack.objective.model), title)


@torch.no_grad()
def jacobian_norms(pack: Pack, params: Params, padding: int | None = None) -> Array:
    """Norm of ∂o/∂x by steps from the last target, a mean over test examples: [T] or shorter."""
    x, y = pack.data.chunk(pack.data.test, 0, EXAMPLES)
    present = torch.ones_like(x[0], dtype=torch.bool) if padding is None else x[0].ne(padding)
    at = last(y.any(-1)[0] if pack.objective.loss.at_positions else present)
    norms = _norms(_layers(pack.objective.model), params, x, at)
    steps = at.unsqueeze(1) - numbers(x.shape[2], x)
    there = present & (steps >= 0)
    return by_steps(norms[there], steps[there])


def _layers(model: Model) -> Sequence[Layer]:
    """Layers of a net, of one with padding those that are told of it."""
    inner = model.layers[0].inner if isinstance(model.layers[0], Masked) else model
    return inner.layers if isinstance(inner, Model) else (inner,)


def _norms(layers: Sequence[Layer], params: Params, x: Tensor, at: Tensor) -> Float[Tensor, "B T"]:
    """Norm of the Jacobian of each example's output at position `at` with respect to each position's vector."""
    body = Model(tuple(layer for layer in layers[1:-1] if not isinstance(layer, Last)))
    h, tape = body.forward(params, forward_at(layers[0], params, x, EVALUATION)[0])
    grads, of_units = Params.zeros(params.layout.trained, 1, params.flat), []
    for unit in range(h.shape[3]):
        grad = torch.zeros_like(h)
        grad[0, numbers(len(at), at), at, unit] = 1
        of_unit = body.backward(params, tape, grad, grads)
        assert of_unit is not None
        of_units.append(of_unit[0])
    output = layers[-1]
    assert isinstance(output, Dense)
    R = torch.linalg.qr(params[f"{output.name}.W"][0]).R  # ‖V J‖ = ‖R J‖, and R is small where there are many outputs
    norms: Tensor = torch.tensordot(R, torch.stack(of_units), 1).square().sum((0, 3)).sqrt()
    return norms


def _drawn(norms: Array, seen: int, title: str) -> Figure:
    """Draw norms by steps back, zeros at the bottom, over the positions that the formula names."""
    figure, (axes,) = canvas(title)
    steps, style = np.arange(len(norms)), line(0)
    formula = f"seen: 1 + Σ (k − 1) d = {seen}"
    axes.axvspan(-0.5, min(seen, len(norms)) - 0.5, color=PALETTE[5], alpha=0.15, linewidth=0, label=formula)
    axes.plot(steps, np.where(norms > 0, norms, np.nan), ".-", color=style["color"], label="measured")
    if zeros := [*np.flatnonzero(norms == 0)]:
        place = axes.get_xaxis_transform()
        axes.plot(zeros, [0.02] * len(zeros), "x", color=PALETTE[1], transform=place, label="exactly 0")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="steps from an example's last target", ylabel="norm of ∂o/∂x, mean over examples")
    legend(figure, axes)
    return figure
