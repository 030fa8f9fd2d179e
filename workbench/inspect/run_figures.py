"""``workbench figures``: every figure that a run's store has the numbers for, as PNG and SVG, stored with the run."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from workbench.claims.comparison_figures import STYLE, save
from workbench.config.prepare import prepare, scheme_of
from workbench.config.schema import RunSpec
from workbench.core.errors import WorkbenchError, unknown_name
from workbench.diagnostics.signal import FixedPoint, fixed_points
from workbench.inspect.class_scores import (
    MOST_CLASSES,
    class_table,
    confusion_figure,
    names_of,
    printed,
    truth_and_guesses,
)
from workbench.inspect.logged_figures import logged_figures
from workbench.inspect.logged_run import RunSeries
from workbench.inspect.rebuild import final_weights, spec_of
from workbench.inspect.weight_figures import has_weight_figure, weight_figures
from workbench.tracking.artifact_writes import attach
from workbench.tracking.find_run import FullRun
from workbench.tracking.reader import artifact
from workbench.tracking.store import Store

TABLES = ("histograms", "signal", "unit_life")
FOLDER = "figures"  # in the run's artifacts
MOST_RUNS = 6  # of a sweep


def draw(store: Store, full_run: FullRun, folder: Path, console: Console) -> list[Path]:
    """Draw all figures of a run into a folder, of classes also a table, and store them with it; returns the files."""
    files: list[Path] = []
    with matplotlib.rc_context(STYLE):
        tables: dict[str, pd.DataFrame] = {}
        figures = list(_figures(store, full_run, console, tables))  # what cannot be drawn leaves no folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            files.append(folder / f"{name}.csv")
            table.to_csv(files[-1], index=False)
        for name, figure in figures:
            files += save(figure, folder / name)
    attach(store, full_run.run.id, files, FOLDER)
    return files


def figure_of(store: Store, full_run: FullRun, name: str, console: Console) -> Figure:
    """Draw one figure of a run; raises UnknownNameError, with those that can be drawn, for another name."""
    names = []
    with matplotlib.rc_context(STYLE):
        for drawn, figure in _figures(store, full_run, console, {}):
            if drawn == name:
                return figure
            names.append(drawn)
    raise unknown_name("figure", name, names)


def _figures(
    store: Store, full_run: FullRun, console: Console, written: dict[str, pd.DataFrame]
) -> Iterator[tuple[str, Figure]]:
    """Yield every figure with its name; adds tables that are kept beside them to `written`."""
    title, spec = full_run.run.name, spec_of(full_run)
    try:
        tables = {
            name: pd.read_parquet(BytesIO(artifact(store, full_run.run.id, f"{name}.parquet")))
            for name in TABLES
            if f"{name}.parquet" in full_run.files
        }
        deep = _deep(spec) if "signal" in tables else None
        logged = list(logged_figures(RunSeries(full_run.run), tables, title, deep))
    except (LookupError, OSError, TypeError, ValueError) as error:  # somebody has changed them
        names = ", ".join(f"{name}.parquet" for name in TABLES)
        message = f"{title}: not drawn, as one cannot be read: {names}: {type(error).__name__}: {error}"
        console.print(message, soft_wrap=True)
        logged = list(logged_figures(RunSeries(full_run.run), {}, title))
    yield from logged
    needed, has_classes = has_weight_figure(spec), 0 < (prepare(spec).n_classes or 0) <= MOST_CLASSES
    if not (needed or has_classes):
        return
    try:
        pack, params, how = final_weights(store, full_run)
    except WorkbenchError as error:
        if needed:
            raise
        console.print(f"{title}: not drawn by class: {error}", soft_wrap=True)
        return
    console.print(how, highlight=False, markup=False, soft_wrap=True)
    if has_classes:
        classes, results = names_of(prepare(spec).dataset), truth_and_guesses(pack, params)
        written["class_scores"] = class_table(classes, *results)
        console.print(printed(written["class_scores"]))
        yield "confusion_matrix", confusion_figure(classes, *results, title)
    yield from weight_figures(spec, pack, params, title)


def _deep(spec: RunSpec) -> dict[str, FixedPoint | None]:
    """Fixed points of deep nets of this run's layers, computed without a pack, which would need the run's device."""
    return fixed_points(prepare(spec).model, scheme_of(spec))
