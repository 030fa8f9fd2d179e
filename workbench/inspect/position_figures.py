"""Figures of nets of positions: what attention takes from where, and gradients through time.

Both are of test examples at the final weights. Attention is drawn for the first examples, each head by itself, without
the padding. The gradient is that of an example's cost at its last target alone, C, with respect to the state h after
each step of a recurrent layer. Where C is d steps from the state on the layer's way, the norm of dC/dh would be c γ^d
if each step shrank it alike (Pascanu et al. 2013, section 2); this line is fitted to the logarithms.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from workbench.data.datasets import Array, Dataset
from workbench.data.sources import shown
from workbench.engine.replicas import Pack
from workbench.inspect.figure_style import canvas, legend, line
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import Recorder, contains, within
from workbench.nn.layers.recurrent import Recurrent
from workbench.nn.model import Model
from workbench.nn.params import Params

SEQUENCES = 2  # whose attention is drawn
MOST_HEADS = 4
EXAMPLES = 256  # over which gradients are averaged
INCHES_PER_POSITION, LEAST_INCHES, MOST_INCHES = 0.16, 1.8, 5.0  # side of a map
POINTS_PER_INCH, LARGEST_LETTERS = 72, 8


def has_position_figure(model: Model) -> bool:
    """Whether a net has attention or recurrent layers."""
    return contains(model, Attention, Recurrent)


def position_figures(dataset: Dataset, pack: Pack, params: Params, title: str) -> Iterator[tuple[str, Figure]]:
    """Yield a figure of each attention layer's maps, and one of gradients through time, with their names."""
    model = pack.objective.model
    if contains(model, Attention):
        yield from _attention(dataset, pack, params, title)
    if contains(model, Recurrent):
        yield "gradient_through_time", _through_time(gradient_norms(pack, params, dataset.padding), title)


def _attention(dataset: Dataset, pack: Pack, params: Params, title: str) -> Iterator[tuple[str, Figure]]:
    x, _ = pack.data.chunk(pack.data.test, 0, SEQUENCES)
    _, tape = pack.objective.model.forward(params, x)
    tokens = x[0].cpu().numpy()
    for name, maps in pack.objective.model.maps(tape):
        yield f"attention_{name}", _maps(dataset, tokens, maps[0, :, :MOST_HEADS].cpu().numpy(), f"{title}, {name}")


def _maps(dataset: Dataset, tokens: Array, maps: Array, title: str) -> Figure:
    """Draw weights [B, H, T, T] of tokens [B, T]: an example in each row, a head in each column."""
    examples, heads, positions, _ = maps.shape
    side = float(np.clip(INCHES_PER_POSITION * positions, LEAST_INCHES, MOST_INCHES))
    figure, panels = canvas(title, heads, (side * heads + 1.6, side * examples + 1.0), rows=examples)
    for number, axes in enumerate(panels):
        example, head = divmod(number, heads)
        names = _names(dataset, tokens[example])
        count = len(names)
        image = axes.imshow(maps[example, head, :count, :count], cmap="Blues", vmin=0, vmax=1)
        size = min(LARGEST_LETTERS, 0.8 * POINTS_PER_INCH * side / count)
        axes.set_xticks(range(count), names, rotation=90, fontsize=size)
        axes.set_yticks(range(count), names if head == 0 else [""] * count, fontsize=size)
        axes.grid(visible=False)
        axes.set_title(f"head {head + 1}" if example == 0 else "", fontsize=9)
    figure.supylabel("position", fontsize=10)
    figure.supxlabel("what it takes from", fontsize=10)
    figure.colorbar(image, ax=panels, label="weight", shrink=0.8)
    return figure


def _names(dataset: Dataset, tokens: Array) -> list[str]:
    """Names of an example's tokens, or their numbers, without the padding at the end."""
    return [
        shown(dataset.tokens[token], 12) if dataset.tokens else str(token)
        for token in tokens
        if token != dataset.padding
    ]


@torch.no_grad()
def gradient_norms(pack: Pack, params: Params, padding: int | None = None) -> dict[str, Array]:
    """Norm of dC/dh by recurrent layer and steps from the last target, a mean over test examples: [T] or shorter."""
    objective = pack.objective
    x, y = pack.data.chunk(pack.data.test, 0, EXAMPLES)
    at = None
    if objective.loss.at_positions:
        at = last(y.any(-1)[0])
        y = y * (numbers(y.shape[2], at) == at.unsqueeze(1)).to(y.dtype).unsqueeze(2)
    recorder = Recorder()
    objective.gradients(params, Params.zeros(params.layout.trained, 1, params.flat), x, y, recorder=recorder)
    norms = {}
    for layer in within(objective.model):
        if isinstance(layer, Recurrent):
            of_example = recorder.states[layer.name][:, 0].norm(dim=2).T * y.shape[1]  # C is a mean over examples
            t = numbers(of_example.shape[1], of_example)
            present = torch.ones_like(of_example, dtype=torch.bool) if padding is None else x[0].ne(padding)
            end = (t[0] if layer.reverse else last(present)) if at is None else at
            steps = ((t - end.view(-1, 1)) * (1 if layer.reverse else -1)).expand_as(of_example)
            there = present & (steps >= 0)
            norms[layer.name] = by_steps(of_example[there], steps[there])
    return norms


def numbers(count: int, like: Tensor) -> Int64[Tensor, " T"]:
    """Count positions from 0, on the device of a tensor."""
    return torch.arange(count, device=like.device)


def last(there: Tensor) -> Int64[Tensor, " B"]:
    """Number the last position of each row [B, T] that is there; 0 where none is."""
    return (there * numbers(there.shape[1], there)).amax(1)


def by_steps(norms: Float[Tensor, " N"], steps: Int64[Tensor, " N"]) -> Array:
    """Average the norms of each number of steps, from 0 on."""
    counts = torch.bincount(steps)
    means: Array = (norms.new_zeros(len(counts)).index_add_(0, steps, norms) / counts.clamp(min=1)).cpu().numpy()
    return means


class Decay(NamedTuple):
    """The line c γ^d."""

    gamma: float
    c: float


def decay(norms: Array) -> Decay | None:
    """Fit c γ^d by least squares to the logarithms of norms that are not 0; None for fewer than two of them."""
    steps = np.flatnonzero(norms > 0)
    if len(steps) < 2:
        return None
    slope, height = np.polyfit(steps, np.log(norms[steps]), 1)
    return Decay(float(np.exp(slope)), float(np.exp(height)))


def _through_time(norms: dict[str, Array], title: str) -> Figure:
    figure, (axes,) = canvas(title)
    for number, (name, of_layer) in enumerate(norms.items()):
        steps, style = np.arange(len(of_layer)), line(number)
        axes.plot(steps, np.where(of_layer > 0, of_layer, np.nan), ".-", color=style["color"], label=name)
        if fitted := decay(of_layer):
            label = f"{name}: × {fitted.gamma:.3g} a step"
            axes.plot(steps, fitted.c * fitted.gamma**steps, ":", color=style["color"], label=label)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="steps from an example's last target", ylabel="norm of ∂C/∂h, mean over examples")
    legend(figure, axes)
    return figure
