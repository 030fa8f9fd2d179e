"""``workbench compare``: a sweep by arm, or two sweeps side by side, as a table, figures, or a file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.table import Table

from workbench.claims.arm_summary import arms_table, as_text, columns_for, written
from workbench.core.errors import unknown_name
from workbench.core.json_output import print_json
from workbench.core.places import check_file, check_folder, writing
from workbench.inspect import paired_sweeps
from workbench.inspect.regroup import by_params, in_common
from workbench.inspect.table_export import as_bytes, format_of
from workbench.tracking.reader import ReadRun, ReadSweep, read_sweep
from workbench.tracking.safe_names import segment
from workbench.tracking.store import Store, find_store, sweep_link, ui_base

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAY = "write for example --out figures"


@dataclass(frozen=True)
class ComparisonRequest:
    """A request: up to two sweeps (none: the newest), parameters that define arms, metrics, and outputs to write.

    Figures are drawn where there is a folder `out` for them.
    """

    sweeps: Sequence[str] = ()
    uri: str | None = None
    by: Sequence[str] = ()
    metrics: Sequence[str] = ()
    kind: str | None = None
    file: str | None = None
    out: str | None = None
    as_json: bool = False

    @property
    def is_export(self) -> bool:
        """Whether only the table is wanted, as a file or as text for other programs."""
        return self.kind is not None or self.file is not None

    @property
    def is_drawn(self) -> bool:
        """Whether figures of the one sweep are wanted."""
        return self.out is not None and len(self.sweeps) < 2 and not self.is_export


@dataclass(frozen=True)
class Compared:
    """Tables of a comparison: `numbers` for programs, `text` for files, `shown` for a terminal."""

    numbers: pd.DataFrame
    text: pd.DataFrame
    shown: Table


def compare(request: ComparisonRequest, console: Console) -> list[Path]:
    """Print the table, and draw figures and store both with the sweep's run; or write the table alone.

    Returns the files written. Raises UnknownNameError for unknown sweeps, parameters, metrics and formats.
    """
    kind = format_of(request.kind, request.file) if request.is_export else ""
    if request.file is not None:
        check_file("compare --table", request.file, f"write for example -o table.{kind}")
    elif request.is_drawn:
        check_folder("compare --out", request.out or "", WAY)
    store = find_store(request.uri)
    names: Sequence[str | None] = request.sweeps or [None]
    if not request.is_drawn:
        sweeps = [read_sweep(store, name, histories=False) for name in names]
    else:
        from workbench.claims.comparison_figures import is_drawn

        sweeps = [read_sweep(store, names[0], wanted=is_drawn)]
    tables = compared(sweeps, request)
    if request.is_export:
        return _export(tables, kind, request.file, console)
    doubts = list(dict.fromkeys(line for sweep in sweeps for line in sweep.doubts))
    if request.as_json:
        named = [{"id": sweep.id, "name": sweep.name, "link": _link(sweep, store)} for sweep in sweeps]
        print_json({"sweeps": named, "arms": tables.numbers.to_dict("records"), "doubts": doubts})
        return []
    console.print(tables.shown)
    for doubt in doubts:
        console.print(doubt, highlight=False, markup=False, soft_wrap=True)
    if len(sweeps) > 1:
        return []
    files = _log_comparison(_grouped(sweeps[0], request), tables, store, request, console) if request.is_drawn else []
    lines = [] if files else [f"figures: workbench compare {sweeps[0].id} --out figures/{segment(sweeps[0].id)}"]
    served = "" if store.is_server else "workbench ui serves "
    for line in (*lines, f"runs and charts: {served}{_link(sweeps[0], store)}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return files


def compared(sweeps: Sequence[ReadSweep], request: ComparisonRequest) -> Compared:
    """Compare the arms of one sweep, or two sweeps; raises UnknownNameError as `compare`."""
    grouped = [_grouped(sweep, request) for sweep in sweeps]
    return _two(grouped, request) if len(grouped) > 1 else _one(grouped[0], request)


def curves(runs: Sequence[ReadRun], metric: str, title: str) -> "Figure":
    """Draw a metric of runs over epochs, mean and 95 % interval by arm."""
    import matplotlib

    from workbench.claims.comparison_figures import CURVES, STYLE, curve_panels

    with matplotlib.rc_context(STYLE):
        return curve_panels(runs, [metric], [CURVES.get(metric, metric)], title)


def _link(sweep: ReadSweep, store: Store) -> str:
    return sweep_link(ui_base(store), sweep.experiment_id, sweep.id, sweep.saved_view)


def _grouped(sweep: ReadSweep, request: ComparisonRequest) -> ReadSweep:
    known = {name for run in sweep.runs for name in run.metrics}
    for metric in request.metrics:
        if metric not in known:
            raise unknown_name("compare --metric", metric, known)
    return replace(sweep, runs=by_params(sweep.runs, request.by)) if request.by else sweep


def _one(sweep: ReadSweep, request: ComparisonRequest) -> Compared:
    table = arms_table(sweep.runs)
    if request.metrics:
        table = table[table["metric"].isin([*request.metrics, ""])]
    over = "seeds" if not request.by else "runs: seeds, and all that varies beside what the arms are named for"
    shown = as_text(table, _title(sweep), request.metrics, over)
    return Compared(table, written(table, columns_for(table, request.metrics)), shown)


def _two(sweeps: Sequence[ReadSweep], request: ComparisonRequest) -> Compared:
    keys = request.by or [key for sweep in sweeps for key in sweep.keys]
    first, second = in_common([sweep.runs for sweep in sweeps], list(dict.fromkeys(keys)))
    metrics = request.metrics
    table = paired_sweeps.differences(first, second, metrics)
    text = paired_sweeps.written(table, columns_for(table, metrics), [sweep.id for sweep in sweeps])
    return Compared(table, text, paired_sweeps.as_text(text, " and ".join(map(_title, sweeps))))


def _title(sweep: ReadSweep) -> str:
    return f"{sweep.name} ({sweep.id})"


def _export(compared: Compared, kind: str, file: str | None, console: Console) -> list[Path]:
    content = as_bytes(kind, compared.numbers, compared.text)
    if file is None:
        sys.stdout.write(content.decode())
        return []
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(content)
    console.print(f"table: {file}", highlight=False, markup=False, soft_wrap=True)
    return [Path(file)]


def _log_comparison(
    sweep: ReadSweep, compared: Compared, store: Store, request: ComparisonRequest, console: Console
) -> list[Path]:
    from workbench.claims.comparison_figures import save_figures
    from workbench.tracking.artifact_writes import attach

    folder = Path(request.out or "")
    with writing("compare --out", "a folder", folder, WAY):
        files = save_figures(sweep.runs, folder, _title(sweep))
        files.append(folder / "arms.csv")
        files[-1].write_text(compared.numbers.to_csv(index=False))  # pandas itself would expand a ~
    if not sweep.run:
        also = "the sweep's own run is gone from the store"
    elif attach(store, sweep.run, files, "compare"):
        also = "also with the sweep's run"
    else:
        also = "not with the sweep's run: the store may only be read"
    console.print(f"figures and table: {folder}/ ({also})", highlight=False, markup=False, soft_wrap=True)
    return files
