"""Runs and their series as tables of pandas."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pandas as pd

from workbench.config.arms import canonical, is_number
from workbench.tracking.reader import ReadRun
from workbench.tracking.stored_run import epoch_length


def runs_frame(runs: Sequence[ReadRun], keys: Sequence[str]) -> pd.DataFrame:
    """A row for each run, by its id: arm, seed, outcome, the params named by `keys`, and its last metrics."""
    rows = [
        {
            "arm": run.arm,
            "seed": run.seed,
            "outcome": run.outcome,
            **{key: _value(run.params.get(key)) for key in keys},
            **run.metrics,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, index=pd.Index([run.id for run in runs], name="run"))


def history_frame(runs: Sequence[ReadRun], pattern: str = "*") -> pd.DataFrame:
    """A row for each run and step where a metric that matches the pattern was logged: run, arm, seed, step, epoch.

    Each metric has a column, which is NaN where a run did not log it. `epoch` counts epochs, with fractions inside one;
    it is NaN for a run that does not say how many steps an epoch has.
    """
    frames = [_series_frame(run, pattern) for run in runs]
    known = [frame for frame in frames if len(frame)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=list(_ABOUT))


_ABOUT = ("run", "arm", "seed", "step", "epoch")


def _series_frame(run: ReadRun, pattern: str) -> pd.DataFrame:
    series = {name: dict(rows) for name, rows in run.history.items() if rows and fnmatchcase(name, pattern)}
    table = pd.DataFrame(series).sort_index().rename_axis("step").reset_index()
    length = epoch_length(run.tags)
    about = {"run": run.id, "arm": run.arm, "seed": run.seed}
    for position, (name, value) in enumerate(about.items()):
        table.insert(position, name, value)
    table.insert(len(_ABOUT) - 1, "epoch", table["step"] / length if length else float("nan"))
    return table


def _value(text: str | None) -> str | float | int | None:
    """A param as a number, where it is one."""
    if text is None or not is_number(text):
        return text
    plain = canonical(text)
    return int(plain) if plain.lstrip("-").isdigit() else float(plain)
