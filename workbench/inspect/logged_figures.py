"""Figures of a run's logged numbers: gradients by depth, signals beside theory, saturation, life of units.

Sources: Glorot and Bengio 2010, figure 2 (activations over time by layer); Schoenholz et al. 2017 (signals by depth).
"""

from collections.abc import Iterator, Mapping
from math import isinf, sqrt

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.claims.comparison_figures import NEAR_FLAT, ONE_SIDED
from workbench.diagnostics.signal import FixedPoint
from workbench.inspect.figure_style import INCHES, MOMENTS, canvas, legend, line, spread
from workbench.inspect.histogram_figures import densities, shares_over_time
from workbench.inspect.logged_run import RunSeries, in_order
from workbench.tracking.stored_run import epoch_length

DECADE = 10.0  # the least ratio that a logarithmic axis is for
FATES = ("born dead", "died, and stayed dead", "died, and came back", "always alive")
FATE_COLORS = ("#262626", "#D55E00", "#E69F00", "#009E73")
Tables = Mapping[str, pd.DataFrame]
Deep = Mapping[str, FixedPoint | None]


def logged_figures(
    series: RunSeries, tables: Tables, title: str, deep: Deep | None = None
) -> Iterator[tuple[str, Figure]]:
    """Yield every figure that the run has numbers for, with its name.

    `tables` are its Parquet files by their stem, `deep` the limits of deep nets of its layers, as from
    ``fixed_points``.
    """
    if series.layers("grad_norm"):
        yield "gradient_flow", _gradient_flow(series, title)
    if "signal" in tables and tables["signal"]["q_measured"].notna().any():
        yield "signal_propagation", _signal(tables["signal"], deep or {}, title)
    if series.layers("saturation"):
        yield "saturation_over_time", _over_time(series, title)
    if len(tables.get("histograms", ())):
        if "a" in {*tables["histograms"]["quantity"]}:
            yield "activation_histograms", densities(tables["histograms"], title)
        yield "histograms_over_time", shares_over_time(tables["histograms"], title)
    if len(tables.get("unit_life", ())):
        yield "unit_life", _life(series, tables["unit_life"], title)


def _gradient_flow(series: RunSeries, title: str) -> Figure:
    """Draw the norm of each layer's gradient, from the first layer to the last, at a few steps."""
    layers = series.layers("grad_norm")
    rows = [dict(series.run.history[f"grad_norm/{layer}"]) for layer in layers]
    steps = sorted(set.intersection(*({*row} for row in rows)))
    figure, (axes,) = canvas(title)
    for number, step in enumerate(spread(steps, MOMENTS)):
        values = [row[step] for row in rows]
        axes.plot(layers, values, **line(number), marker="o", label=_moment(series, step))
    axes.set_yscale("log" if any(value > 0 for row in rows for value in row.values()) else "linear")
    axes.set_xlabel("layer, from the input to the output")
    axes.set_ylabel("norm of the layer's gradient dJ/d(W, b)")
    legend(figure, axes, "after")
    return figure


def _signal(table: pd.DataFrame, deep: Deep, title: str) -> Figure:
    """Draw second moments of a and delta by layer before the first update, expected by theory and measured."""
    figure, panels = canvas(title, 2, (INCHES[0] * 1.7, INCHES[1]))
    labels = {"q": "mean of a²", "delta": "mean of delta² (output layer: 1)"}
    for axes, (quantity, label) in zip(panels, labels.items(), strict=True):
        for number, kind in enumerate(("expected", "measured")):
            known = table.dropna(subset=[f"{quantity}_{kind}"])
            if len(known):
                marker = "o" if kind == "measured" else ""
                values = known[f"{quantity}_{kind}"].astype(float)
                axes.plot(known["layer"], values, **line(number), marker=marker, label=kind)
        low, high = axes.dataLim.intervaly
        if 0 < DECADE * low < high:
            axes.set_yscale("log")
        elif high > 0:
            axes.set_ylim(0, 1.05 * high)
        axes.set(xlabel="layer, from the input to the output", ylabel=label)
    if deep:
        layer, last = [*deep.items()][-1]
        figure.supxlabel(f"deep nets of layers like {layer}: {_deep(last)}", fontsize=9)
    legend(figure, panels[1], "at the first step")
    return figure


def _deep(point: FixedPoint | None) -> str:
    if point is None:
        return "signals grow for ever"
    if point.depth is None:
        return f"chi {point.chi:.3g} is above 1, gradients explode: no depth scale"
    return f"chi {point.chi:.3g}, depth scale {'∞' if isinf(point.depth) else f'{point.depth:.3g} layers'}"


def _over_time(series: RunSeries, title: str) -> Figure:
    """Draw saturation by layer over time; where logged, also mean and standard deviation of the activations."""
    layers = series.layers("saturation")
    with_values = bool(series.layers("act_mean") and series.layers("act_var"))
    size = (INCHES[0] * (1.7 if with_values else 1), INCHES[1])
    figure, panels = canvas(title, 2 if with_values else 1, size)
    for number, layer in enumerate(layers):
        _curve(panels[0], series, f"saturation/{layer}", number, layer)
        if with_values:
            _mean_and_deviation(panels[1], series, layer, number)
    panels[0].set_ylim(-0.02, 1.02)
    panels[0].set_ylabel(NEAR_FLAT)
    if not series.saturates:
        figure.supxlabel(ONE_SIDED.removeprefix("* "), fontsize=9)
    if with_values:
        panels[1].set_ylabel("activation a: mean ± standard deviation")
    for axes in panels:
        axes.set_xlabel(_time(series))
    legend(figure, panels[0], "layer")
    return figure


def _curve(axes: Axes, series: RunSeries, name: str, number: int, label: str) -> None:
    steps, values = zip(*series.run.history[name], strict=True)
    axes.plot([_epoch(series, step) for step in steps], values, **line(number), label=label)


def _mean_and_deviation(axes: Axes, series: RunSeries, layer: str, number: int) -> None:
    means, variances = (dict(series.run.history.get(f"{name}/{layer}", ())) for name in ("act_mean", "act_var"))
    steps = sorted(means.keys() & variances.keys())
    epochs, mean = [_epoch(series, step) for step in steps], np.array([means[step] for step in steps])
    deviation = np.array([sqrt(max(variances[step], 0.0)) for step in steps])
    axes.plot(epochs, mean, **line(number))
    axes.fill_between(epochs, mean - deviation, mean + deviation, color=line(number)["color"], alpha=0.07, linewidth=0)


def _life(series: RunSeries, table: pd.DataFrame, title: str) -> Figure:
    """Draw the number of dead units of each layer over time, and the fate of its units at the end."""
    layers = in_order(table["layer"])
    curves = [layer for layer in series.layers("dead_rate") if layer in layers]
    figure, panels = canvas(title, 2 if curves else 1, (INCHES[0] * (1.7 if curves else 1), INCHES[1]))
    for number, layer in enumerate(curves):
        _curve(panels[0], series, f"dead_rate/{layer}", number, layer)
    if curves:
        panels[0].set(xlabel=_time(series), ylabel="dead units (fraction of the layer)", ylim=(-0.02, 1.02))
        panels[0].legend(title="layer")
    axes, base = panels[-1], np.zeros(len(layers))
    for fate, color in zip(FATES, FATE_COLORS, strict=True):
        counts = np.array([(_fates(table[table["layer"] == layer]) == fate).sum() for layer in layers], dtype=float)
        axes.bar(layers, counts, bottom=base, color=color, width=0.6, label=fate)
        base += counts
    axes.set_xlabel("layer")
    axes.set_ylabel("units (number)")
    legend(figure, axes, "fate on the training part")
    return figure


def _fates(units: pd.DataFrame) -> pd.Series:
    dead, born, died = units["dead_at_end"].astype(bool), units["born_dead"].astype(bool), units["deaths"] > 0
    fates = np.select([born & dead & ~died, dead, died | born], FATES[:3], FATES[3])
    return pd.Series(fates, index=units.index)


def _moment(series: RunSeries, step: int) -> str:
    """Label of a step: the end of an epoch, or a step within one."""
    epoch = _epoch(series, step)
    return f"{_time(series)} {epoch:.0f}" if epoch.is_integer() else f"step {step}"


def _time(series: RunSeries) -> str:
    """Unit of time in figures: steps, where the run does not tell how many make an epoch."""
    return "epoch" if epoch_length(series.run.tags) else "step"


def _epoch(series: RunSeries, step: int) -> float:
    return step / (epoch_length(series.run.tags) or 1)
