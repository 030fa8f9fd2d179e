"""``workbench figures``: every figure that a run's store has the numbers for, as PNG and SVG, kept with the run."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from workbench.claims.comparison_figures import STYLE
from workbench.config.prepare import prepare, scheme_of
from workbench.config.schema import RunSpec
from workbench.diagnostics.signal import FixedPoint, fixed_points
from workbench.inspect.logged_figures import logged_figures
from workbench.inspect.logged_run import Course
from workbench.inspect.rebuild import final_weights, spec_of
from workbench.inspect.weight_figures import has_weight_figure, weight_figures
from workbench.tracking.artifacts import attach
from workbench.tracking.find_run import FullRun
from workbench.tracking.reader import artifact
from workbench.tracking.store import Store

TABLES = ("histograms", "signal", "unit_life")
FOLDER = "figures"  # in the run's artifacts
MOST_RUNS = 6  # of a sweep


def draw(store: Store, kept: FullRun, folder: Path, console: Console) -> list[Path]:
    """Draw all figures of a run into a new or old folder, and keep them with it; the files."""
    files: list[Path] = []
    with matplotlib.rc_context(STYLE):
        figures = list(_figures(store, kept, console))  # what cannot be drawn leaves no folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures:
            for kind in ("png", "svg"):
                files.append(folder / f"{name}.{kind}")
                figure.savefig(files[-1], dpi=150, metadata={"Date": None} if kind == "svg" else None)
    attach(store, kept.run.id, files, FOLDER)
    return files


def _figures(store: Store, kept: FullRun, console: Console) -> Iterator[tuple[str, Figure]]:
    title, spec = kept.run.name, spec_of(kept)
    try:
        tables = {
            name: pd.read_parquet(BytesIO(artifact(store, kept.run.id, f"{name}.parquet")))
            for name in TABLES
            if f"{name}.parquet" in kept.files
        }
        deep = _deep(spec) if "signal" in tables else None
        logged = list(logged_figures(Course(kept.run), tables, title, deep))
    except (LookupError, OSError, TypeError, ValueError) as error:  # somebody has changed them
        names = ", ".join(f"{name}.parquet" for name in TABLES)
        said = f"{title}: not drawn, as one cannot be read: {names}: {type(error).__name__}: {error}"
        console.print(said, soft_wrap=True)
        logged = list(logged_figures(Course(kept.run), {}, title))
    yield from logged
    if has_weight_figure(spec):
        pack, params, how = final_weights(store, kept)
        console.print(how, highlight=False, markup=False, soft_wrap=True)
        yield from weight_figures(spec, pack, params, title)


def _deep(spec: RunSpec) -> dict[str, FixedPoint | None]:
    """Without a pack, which would need the run's device."""
    return fixed_points(prepare(spec).model, scheme_of(spec))
