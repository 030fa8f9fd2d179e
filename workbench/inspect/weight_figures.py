"""Figures of a trained net: regions of 2-D data, the curve of 1-D data, first weights of pictures, positions."""

from collections.abc import Iterator
from math import isqrt

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from workbench.config.arms import PALETTE
from workbench.config.prepare import prepare
from workbench.config.schema import RunSpec
from workbench.data.datasets import Array, Dataset
from workbench.engine.replicas import Pack
from workbench.inspect.export import Standalone, standalone
from workbench.inspect.figure_style import canvas, legend
from workbench.inspect.position_figures import has_position_figure, position_figures
from workbench.inspect.receptive_field import field_figure, has_field
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.dense import Dense
from workbench.nn.params import Params

SIDE = 240  # points of a grid along one axis
MOST_POINTS = 600  # of the data that are drawn
MOST_FILTERS = 64
LEAST_PIXELS = 16
LIGHT = 0.45  # how much of a class's color its region has


def has_weight_figure(spec: RunSpec) -> bool:
    """Whether there is a figure that needs the run's weights."""
    model = prepare(spec).model
    return bool(_kind(prepare(spec).dataset)) or has_position_figure(model) or has_field(model)


def weight_figures(spec: RunSpec, pack: Pack, params: Params, title: str) -> Iterator[tuple[str, Figure]]:
    """Yield the figures that suit the data and the net, if any, with their names."""
    dataset = prepare(spec).dataset
    kind = _kind(dataset)
    yield from position_figures(dataset, pack, params, title)
    yield from field_figure(pack, params, dataset.padding, title)
    if kind == "filters":
        first = next(layer for layer in pack.objective.model.layers if not layer.is_view)
        if isinstance(first, Dense | Conv2d):
            W = params[f"{first.name}.W"][0].cpu().numpy()
            height, width = first.kernel if isinstance(first, Conv2d) else _height_and_width(dataset)
            yield "first_weights", _filters(W.reshape(len(W), height, width, -1), title)
    elif kind:
        module, _, _ = standalone(spec, pack, params)
        draw = {"boundary": _boundary, "function": _function}[kind]
        yield f"decision_{kind}" if kind == "boundary" else "fitted_function", draw(dataset, module, title)


def _kind(dataset: Dataset) -> str:
    if dataset.vocabulary is not None:
        return ""
    features = dataset.x.shape[1]
    if features == 2 and dataset.n_classes is not None:
        return "boundary"
    if features == 1 and dataset.n_classes is None:
        return "function"
    height, width = _height_and_width(dataset)
    is_picture = len(dataset.shape) == 3 or height * width == features >= LEAST_PIXELS
    return "filters" if dataset.same_unit and is_picture else ""


def _height_and_width(dataset: Dataset) -> tuple[int, int]:
    """Pixels of a picture, a square one where the data set does not say."""
    side = isqrt(dataset.x.shape[1])
    return (dataset.shape[0], dataset.shape[1]) if len(dataset.shape) == 3 else (side, side)


def _outputs(module: Standalone, x: Array) -> Array:
    with torch.no_grad():
        outputs: Array = module(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))).numpy()
    return outputs


def _boundary(dataset: Dataset, module: Standalone, title: str) -> Figure:
    """Draw the predicted class at every point, the data, and the line z = 0 of each unit of the first layer."""
    figure, (axes,) = canvas(title)
    low, high = np.nanmin(dataset.x, 0), np.nanmax(dataset.x, 0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    grid_x, grid_y = (np.linspace(low[axis], high[axis], SIDE) for axis in (0, 1))
    outputs = _outputs(module, np.stack(np.meshgrid(grid_x, grid_y), -1).reshape(-1, 2))
    predicted = (outputs[:, 0] > 0.5).astype(int) if outputs.shape[1] == 1 else outputs.argmax(1)
    colors = [PALETTE[number % len(PALETTE)] for number in range(dataset.n_classes or 2)]
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(
        predicted.reshape(SIDE, SIDE),
        extent=extent,
        origin="lower",
        aspect="auto",
        cmap=ListedColormap(colors),
        vmin=-0.5,
        vmax=len(colors) - 0.5,
        alpha=LIGHT,
        interpolation="nearest",
    )
    for number, color in enumerate(colors):
        points = dataset.x[dataset.y == number][: MOST_POINTS // len(colors)]
        axes.scatter(
            points[:, 0], points[:, 1], s=12, color=color, edgecolors="white", linewidths=0.4, label=f"class {number}"
        )
    _unit_lines(axes, module, grid_x)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="x₁", ylabel="x₂")
    axes.grid(visible=False)
    legend(figure, axes)
    return figure


def _unit_lines(axes: Axes, module: Standalone, x: Array) -> None:
    """Draw w₁ x₁ + w₂ x₂ + b = 0 in raw coordinates, where units are applied to z itself."""
    layers = module.objective.model.layers
    if len(layers) < 2 or not (isinstance(layers[0], Dense) and isinstance(layers[1], Activate)):
        return
    parts = dict(zip(module.names, (module.get_buffer(f"p{n}")[0] for n in range(len(module.names))), strict=True))
    shift, scale = (module.get_buffer(f"x_{part}").numpy() for part in ("shift", "scale"))
    W = parts[f"{layers[0].name}.W"].numpy() / scale
    b = parts[f"{layers[0].name}.b"].numpy() - W @ shift
    for number, (w, c) in enumerate(zip(W, b, strict=True)):
        label = "z = 0 of a unit of layer 1" if number == 0 else None
        if abs(w[1]) > 1e-12:
            axes.plot(x, -(w[0] * x + c) / w[1], color="black", linewidth=0.6, alpha=0.6, label=label)
        elif abs(w[0]) > 1e-12:
            axes.axvline(-c / w[0], color="black", linewidth=0.6, alpha=0.6, label=label)


def _function(dataset: Dataset, module: Standalone, title: str) -> Figure:
    """Draw the net's output along x, over the data."""
    figure, (axes,) = canvas(title)
    x = np.linspace(np.nanmin(dataset.x), np.nanmax(dataset.x), 4 * SIDE)[:, None]
    axes.scatter(dataset.x[:, 0], dataset.y[:, 0], s=9, color=PALETTE[5], label="data")
    axes.plot(x[:, 0], _outputs(module, x)[:, 0], color=PALETTE[1], label="network")
    axes.set(xlabel="x", ylabel="y")
    legend(figure, axes)
    return figure


def _filters(W: Array, title: str) -> Figure:
    """Draw weights [O, H, W, C] of the first layer's units, a picture for each channel; one scale, white is 0."""
    shown = np.moveaxis(W, 3, 1).reshape(-1, *W.shape[1:3])[:MOST_FILTERS]
    columns = min(16, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(0.5 * columns + 1.2, 0.5 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    largest = float(np.abs(shown).max()) or 1.0
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, w in zip(panels.flat, shown, strict=False):
        image = axes.imshow(w, cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(image, ax=panels.ravel().tolist(), label="weight (scaled inputs)", shrink=0.9)
    figure.suptitle(title)
    return figure
