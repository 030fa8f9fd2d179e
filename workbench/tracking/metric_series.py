"""Series of stored runs: whole from the history file of an ended run, else from the rows that MLflow has."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from workbench.core.errors import TrackingError
from workbench.tracking.artifacts import read
from workbench.tracking.history_file import HISTORY, columns_of, series_of
from workbench.tracking.mlflow_tables import rows_of
from workbench.tracking.reading import Reading
from workbench.tracking.store_errors import store_errors
from workbench.tracking.stored_run import StoredRun

Series = dict[str, list[tuple[int, float]]]


def series_of_runs(
    reading: Reading, runs: Sequence[StoredRun], wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, Series]:
    """Series of runs: run -> name -> [(step, value)], for those of their metrics that are wanted."""
    series: dict[str, Series] = {}
    names = {run.id: [name for name in run.metrics if wanted(name)] for run in runs}
    for run in runs:
        with suppress(*store_errors(), TrackingError, ValueError):  # no such file, or none that can be read
            series[run.id] = _from_file(run, read(reading, run.id, run.artifacts, HISTORY), names[run.id])
    series |= _from_store(reading, [run for run in runs if run.id not in series], names)
    return series


def _from_file(run: StoredRun, content: bytes, names: Sequence[str]) -> Series:
    columns = columns_of(content, names)
    last = max((int(step) for step in columns["step"] if step is not None), default=0)
    return {name: series_of(columns, name) or [(last, run.metrics[name])] for name in names}  # else one of the run


def _from_store(reading: Reading, runs: Sequence[StoredRun], names: dict[str, list[str]]) -> dict[str, Series]:
    engine = reading.engine
    if engine is None:
        return {
            run.id: {
                name: sorted((row.step, row.value) for row in reading.client.get_metric_history(run.id, name))
                for name in names[run.id]
            }
            for run in runs
        }
    series: dict[str, Series] = {run.id: {name: [] for name in names[run.id]} for run in runs}
    every = sorted({name for run in runs for name in names[run.id]})
    for run, name, step, value in rows_of(engine, [run.id for run in runs], every):
        if name in series[run]:
            series[run][name].append((step, value))
    return series
