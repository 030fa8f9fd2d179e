"""Graph of a model: its layers as boxes from input to output, with shapes and numbers of parameters."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from workbench.claims.comparison_figures import STYLE, save
from workbench.config.arms import color_of
from workbench.config.prepare import prepare, scheme_of
from workbench.config.schema import RunSpec
from workbench.nn.outline import Block, Box, Outline, outline, repeats

WIDTH, ROW = 5.4, 0.52  # inches
LEFT, RIGHT, HALF = 0.16, 0.68, 0.3  # edges of a box across, and half of its height in rows
SKIP, SHAPE, COUNT = 0.06, 0.43, 0.71  # places across: of skip connections, shapes and numbers of parameters
KINDS = {"Dense": 0, "Conv1d": 0, "Conv2d": 0, "Recurrent": 2, "Attention": 5, "Activate": 1, "Embedding": 4}
OTHER = 3


class Row(NamedTuple):
    """A box in its row, counted from the top."""

    box: Box
    number: int


def draw_model(spec: RunSpec, name: str, path: Path) -> tuple[Outline, list[Path]]:
    """Draw the net of a configuration as PNG and SVG at `path`, without an ending; returns outline and files."""
    shared = prepare(spec)
    drawn = outline(shared.model, shared.inputs, dict(scheme_of(spec).constants))
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        return drawn, save(model_figure(drawn, name), path)


def model_figure(net: Outline, title: str) -> Figure:
    """Draw an outline; blocks that repeat are drawn once, with how often."""
    groups = repeats(net.blocks)
    rows = 1 + sum(len(block.boxes) for blocks, _ in groups for block in blocks)
    figure = Figure(figsize=(WIDTH, ROW * (rows + 1.4)), layout="constrained")
    figure.suptitle(f"{title}: {net.parameters:,} parameters", fontsize=10)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(rows - 0.3, -0.6))
    axes.axis("off")
    axes.text(SHAPE, 0, f"input {_shape(net.inputs)}", ha="center", va="center")
    number = 1
    for blocks, count in groups:
        placed = list(_placed(blocks, number))
        for block, members in placed:
            _draw_block(axes, block, members)
        last = placed[-1][1][-1].number
        if count > 1:
            axes.plot([0.97, 0.97], [number - HALF, last + HALF], color="#595959")
            axes.text(0.98, (number + last) / 2, f"× {count}", va="center", fontweight="bold")
        number = last + 1
    return figure


def _placed(blocks: tuple[Block, ...], first: int) -> Iterator[tuple[Block, list[Row]]]:
    for block in blocks:
        yield block, [Row(box, first + index) for index, box in enumerate(block.boxes)]
        first += len(block.boxes)


def _draw_block(axes: Axes, block: Block, rows: list[Row]) -> None:
    for row in rows:
        _draw_box(axes, row)
    if block.is_residual:
        start, end = rows[0].number - 0.4, rows[-1].number + 0.5
        axes.plot([SHAPE, SKIP, SKIP, SHAPE - 0.02], [start, start, end, end], color="#595959", linewidth=1)
        axes.text(SHAPE, end, "+", ha="center", va="center", bbox={"boxstyle": "circle,pad=0.1", "fc": "#ffffff"})


def _draw_box(axes: Axes, row: Row) -> None:
    box, y = row
    color = color_of(KINDS.get(box.kind, OTHER))
    axes.annotate(
        "", (SHAPE, y - HALF), (SHAPE, y - 1 + HALF), arrowprops={"arrowstyle": "->", "color": "#595959"}, zorder=0
    )
    corner, size = (LEFT, y - HALF), (RIGHT - LEFT, 2 * HALF)
    axes.add_patch(FancyBboxPatch(corner, *size, "round,pad=0,rounding_size=0.02", fc="#ffffff", ec=color, lw=1.5))
    name = f"{box.name} " if box.name else ""
    told = f"\n{box.told}" if box.told else ""
    axes.text(
        (LEFT + RIGHT) / 2, y, f"{name}{box.kind} → {_shape(box.shape)}{told}", ha="center", va="center", fontsize=9
    )
    if box.parameters:
        axes.text(COUNT, y, f"{box.parameters:,}", va="center", fontsize=9)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
