"""Figures of a comparison: learning curves with bands, gradient norms and dead rates by layer.

Colors are those of Okabe and Ito, told apart with any color vision; every arm also has its own dashes.
"""

from collections.abc import Container, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.claims.adaptive_svg import INKS, adaptive, small
from workbench.claims.arm_summary import ComparedRun
from workbench.config.arms import color_of
from workbench.core.stats import mean_interval
from workbench.tracking.stored_run import epoch_length, saturates

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
STYLE: Any = {
    **INKS,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "workbench",
    "svg.fonttype": "none",  # letters as letters: a third of the size
}
CURVES = {
    "train/loss": "training loss",
    "valid/loss": "validation loss",
    "valid/accuracy": "validation accuracy (fraction)",
    "valid/r2": "validation R²",
}
NEAR_FLAT = "abs(f′) below 5 % of its largest\n(fraction of units and examples)"
ONE_SIDED = "* f may be flat on one side only: such units are inactive there, not saturated"
BY_LAYER = {
    "grad_norm": "norm of the last batch's gradient",
    "dead_rate": "dead units (fraction of the layer)",
    "saturation": NEAR_FLAT,
}
LOGARITHMIC = ("train/loss", "valid/loss", "grad_norm")
FRACTIONS = ("valid/accuracy", "dead_rate", "saturation")


def save_figures(runs: Sequence[ComparedRun], folder: Path, title: str) -> list[Path]:
    """Draw all figures the runs have numbers for; each is saved as PNG and SVG in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    with matplotlib.rc_context(STYLE):
        for name, figure in _figures(runs, title):
            saved += save(figure, folder / name)
    return saved


def save(figure: Figure, path: Path) -> list[Path]:
    """Save a figure as PNG, and as SVG that follows its reader's choice of light or dark; returns both files."""
    files = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
    figure.savefig(files[0], dpi=150)
    drawing = BytesIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    files[1].write_bytes(adaptive(small(drawing.getvalue())))
    return files


def is_drawn(metric: str) -> bool:
    """Whether there is a figure of this metric."""
    return metric in CURVES or metric.partition("/")[0] in BY_LAYER


def _figures(runs: Sequence[ComparedRun], title: str) -> Iterator[tuple[str, Figure]]:
    names = {name for run in runs for name in run.history}
    curves = {name: label for name, label in CURVES.items() if name in names}
    if curves:
        yield "learning_curves", curve_panels(runs, list(curves), list(curves.values()), title)
    for quantity, label in BY_LAYER.items():
        found = (name for name in names if name.startswith(f"{quantity}/") and not name.endswith("/all"))
        layers = sorted(found, key=lambda name: (len(name), name))  # l2 before l10
        if layers:
            labels = [label] + [""] * (len(layers) - 1)
            flat = {run.arm for run in runs if not saturates(run.params)} if quantity == "saturation" else set()
            yield f"{quantity}_by_layer", curve_panels(runs, layers, labels, title, by_layer=True, starred=flat)


def curve_panels(
    runs: Sequence[ComparedRun],
    metrics: Sequence[str],
    labels: Sequence[str],
    title: str,
    by_layer: bool = False,
    starred: Container[str] = (),
) -> Figure:
    """Draw metrics over epochs side by side: mean and 95 % interval over the runs of each arm.

    Axes are named by `labels`; with `by_layer`, panels share them and are titled by layer. Arms that are `starred` get
    the note ONE_SIDED.
    """
    figure = Figure(figsize=(1 + 3.6 * len(metrics), 3.6), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=by_layer)[0]
    arms = list(dict.fromkeys(run.arm for run in runs))
    for axes, metric, label in zip(panels, metrics, labels, strict=True):
        for number, arm in enumerate(arms):
            label_of_arm = f"{arm}{'*' * (arm in starred)}"
            _band(axes, [run for run in runs if run.arm == arm], metric, label_of_arm, number)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        if by_layer:
            axes.set_title(metric.partition("/")[2])
        if _is(metric, LOGARITHMIC):
            axes.set_yscale("log")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside right center",
        title="mean, 95 % interval",
    )
    figure.suptitle(title)
    if any(arm in starred for arm in arms):
        figure.supxlabel(ONE_SIDED, fontsize=9)
    return figure


def _is(metric: str, kinds: Sequence[str]) -> bool:
    return metric in kinds or metric.partition("/")[0] in kinds


def _band(axes: Axes, runs: Sequence[ComparedRun], metric: str, arm: str, number: int) -> None:
    """Mean and interval over seeds per epoch; on a logarithmic axis, of the logarithms."""
    values: dict[float, list[float]] = {}
    for run in runs:
        per_epoch = epoch_length(run.tags)
        if per_epoch is None:
            continue
        for step, value in run.history.get(metric, ()):
            if value > 0 or not _is(metric, LOGARITHMIC):
                values.setdefault(step / per_epoch, []).append(value)
    if not values:
        return
    epochs = sorted(values)
    if _is(metric, LOGARITHMIC):
        bands = np.exp([mean_interval(np.log(values[epoch]).tolist())[:3] for epoch in epochs])
    else:
        bands = np.array([mean_interval(values[epoch])[:3] for epoch in epochs])
    if _is(metric, FRACTIONS):
        bands = bands.clip(0, 1)
    color = color_of(number)
    axes.plot(epochs, bands[:, 0], color=color, linestyle=DASHES[number % len(DASHES)], label=arm)
    axes.fill_between(epochs, bands[:, 1], bands[:, 2], color=color, alpha=0.2, linewidth=0)
