"""Survey of a table before training: columns, blanks, traps, and the command that trains on it.

The form of the file, the target and the task are guessed; the command says what was guessed, and is tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.core.errors import DataError, WorkbenchError, unknown_name
from workbench.core.quoting import override
from workbench.data.columns import (
    ENOUGH,
    MANY_VALUES,
    NAMELESS,
    Column,
    ColumnOptions,
    OtherNotation,
    column_of,
    counts_rows,
)
from workbench.data.delimited import Form, read_rows
from workbench.data.notation import PLAIN, readings
from workbench.data.sniffing import sniff
from workbench.data.sources import regular_file, shown
from workbench.data.splits import split
from workbench.data.tables import PARQUET, parquet_rows, table

MOST_CLASSES = 20  # distinct whole numbers of a target above which it is taken for a quantity
RARE = 10  # times fewer examples of the rarest class than of the most frequent one
MOST_SHOWN = 5  # values of a column
Read = Mapping[str, Column | DataError | OtherNotation]


class Profile(NamedTuple):
    """One column: what it holds, rows without a value, distinct values, and its role: input, target or dropped."""

    name: str
    holds: str
    blanks: int
    distinct: int
    values: str
    role: str
    remarks: tuple[str, ...]


class Survey(NamedTuple):
    """A table of `rows`, and the command that trains on it; `refused` is why it does not, or empty."""

    file: str
    rows: int
    target: str
    task: str
    columns: tuple[Profile, ...]
    command: str
    refused: str


def survey(path: str, target: str | None = None) -> Survey:
    """Survey a CSV or Parquet file; without a `target`, its last column is the target.

    Raises DataError where the file cannot be read, UnknownNameError for a target that it lacks.
    """
    file = regular_file(path, "name a CSV or Parquet file")
    form, frame, read = _read(file)
    names = list(read)
    if target is not None and target not in read:
        raise unknown_name("data --target", shown(target), [shown(name, 60) for name in names])
    target = names[-1] if target is None else target
    task = _task(read[target])
    drops = {name: reason for name in names if name != target and (reason := _unusable(name, read[name], read, target))}
    settings = {"path": path, "target": target, **_written(form), **_of_task(task)}
    if drops:
        settings["drop"] = list(drops)
    if any(
        isinstance(column, Column) and column.blanks and name not in {target, *drops} for name, column in read.items()
    ):
        settings["missing"] = "median"
    columns = tuple(
        _profile(name, frame.iloc[:, number], read, target, drops.get(name, "")) for number, name in enumerate(names)
    )
    return Survey(str(file), len(frame), target, task, columns, _command(settings), _refusal(settings))


def _read(file: Path) -> tuple[Form, pd.DataFrame, Read]:
    """Read a table, its numbers in the first notation in which all columns of numbers are some."""
    if file.suffix.lower() in PARQUET:
        frame = parquet_rows(file)
        return Form(), frame, _columns(frame, Form())
    form = sniff(file)
    frame = read_rows(file, form, None)
    read = _columns(frame, form)
    misread = [column.texts for column in read.values() if isinstance(column, OtherNotation)]
    if misread:
        texts = read_rows(file, form, None, texts=True)
        plain = [name for name, column in read.items() if isinstance(column, Column) and column.texts is None]
        others = [[str(text) for text in texts[name].dropna().unique()] for name in plain]
        form = form._replace(notation=next(iter(readings([*misread, *others])), PLAIN))
        frame = read_rows(file, form, None)
        read = _columns(frame, form)
    return form, frame, read


def _columns(frame: pd.DataFrame, form: Form) -> Read:
    """Convert each column, with blanks, to numbers or texts, or to the error that tells why it is neither."""
    options = ColumnOptions("", notation=form.notation, missing="median")
    read: dict[str, Column | DataError | OtherNotation] = {}
    for number, name in enumerate(map(str, frame.columns)):
        try:
            read[name] = column_of(name, frame.iloc[:, number], options)
        except (DataError, OtherNotation) as error:
            read[name] = error
    return read


def _task(target: Column | DataError | OtherNotation) -> str:
    """Guess the task: regression for fractions and for many distinct whole numbers."""
    if not isinstance(target, Column) or target.texts is not None:
        return "classification"
    values = np.unique(target.values[~np.isnan(target.values.astype(np.float64))])
    return "regression" if len(values) > MOST_CLASSES or (values != np.floor(values)).any() else "classification"


def _unusable(name: str, column: Column | DataError | OtherNotation, read: Read, target: str) -> str:
    """Why a column cannot be an input, or is a trap; empty where it can."""
    if not isinstance(column, Column):
        return "numbers in several notations" if isinstance(column, OtherNotation) else _reason(column)
    rows, distinct, learned = len(column.values), _distinct(column), read[target]
    if NAMELESS.fullmatch(name):
        return "index without a name"
    if rows >= ENOUGH and len(read) > 2 and counts_rows(column):
        return "numbers the rows"
    if rows >= ENOUGH and isinstance(learned, Column) and _equals(column, learned):
        return "equals the target"
    if column.texts is not None and distinct > max(ENOUGH, rows - column.blanks - 1):
        return "all values differ, as of names"
    if column.texts is not None and column.width > MANY_VALUES:
        return f"more than {MANY_VALUES} different texts"
    return ""


def _reason(error: DataError) -> str:
    """The rule and what came of an error about a column, without its name and what to do."""
    return str(error).partition(": ")[2].partition(";")[0]


def _remarks(column: Column | DataError | OtherNotation, learned: Column | DataError | OtherNotation) -> Iterator[str]:
    """Doubts about an input that may train all the same."""
    if not isinstance(column, Column):
        return
    known, distinct = len(column.values) - column.blanks, _distinct(column)
    if distinct == 1:
        yield "one value only"
    if column.texts is None and known >= ENOUGH and distinct == known and _is_whole(column):
        yield "all values differ: an id?"
    if isinstance(learned, Column) and known >= ENOUGH and _determines(column, learned):
        yield "determines the target: known before it?"


def _of_target(column: Column | DataError | OtherNotation, task: str) -> Iterator[str]:
    """Doubts about the target."""
    if isinstance(column, DataError | OtherNotation):
        yield _reason(column) if isinstance(column, DataError) else "numbers in several notations"
    elif column.blanks:
        yield "must have a value in each row"
    elif _distinct(column) < 2:
        yield "one value only: nothing to learn"
    elif task == "classification":
        counts = np.unique(column.values, return_counts=True)[1]
        if counts.max() >= RARE * counts.min():
            yield f"rarest class {counts.min()}, most frequent {counts.max()} examples: loss=weighted_nll?"


def _distinct(column: Column) -> int:
    if column.texts is not None:
        return len(column.texts) - (column.blanks > 0)
    return len(np.unique(column.values[~np.isnan(column.values.astype(np.float64))]))


def _is_whole(column: Column) -> bool:
    values = column.values[~np.isnan(column.values.astype(np.float64))]
    return bool((values == np.floor(values)).all())


def _equals(column: Column, target: Column) -> bool:
    return column.texts == target.texts and np.array_equal(column.values, target.values)


def _determines(column: Column, target: Column) -> bool:
    """Whether each value, most of which repeat, goes with one target, or the target is the value times a constant."""
    if 2 * _distinct(column) <= len(column.values) and _distinct(target) > 1 < _distinct(column):
        return bool(pd.Series(target.values).groupby(column.values).nunique().max() == 1)
    if column.texts is not None or target.texts is not None or column.blanks or target.blanks:
        return False
    x, y = (values.values.astype(np.float64) - values.values.mean() for values in (column, target))
    return bool((x @ y) ** 2 > (1 - 1e-12) * (x @ x) * (y @ y) > 0)


def _profile(name: str, column: "pd.Series[Any]", read: Read, target: str, dropped: str) -> Profile:
    converted = read[name]
    task = _task(converted)
    role = "target" if name == target else "dropped" if dropped else "input"
    remarks = _of_target(converted, task) if name == target else _remarks(converted, read[target])
    blanks = converted.blanks if isinstance(converted, Column) else int(column.isna().sum())
    distinct = _distinct(converted) if isinstance(converted, Column) else int(column.nunique())
    values = _values(converted) if isinstance(converted, Column) else _listed(column.dropna().astype(str).tolist())
    return Profile(name, _holds(converted), blanks, distinct, values, role, (dropped,) if dropped else tuple(remarks))


def _holds(column: Column | DataError | OtherNotation) -> str:
    if not isinstance(column, Column):
        return "unusable"
    return "texts" if column.texts is not None else "whole numbers" if _is_whole(column) else "numbers"


def _values(column: Column) -> str:
    """The range of numbers; the most frequent texts with their counts."""
    if column.texts is None:
        return f"{np.nanmin(column.values):g} to {np.nanmax(column.values):g}"
    counts = np.bincount(column.values, minlength=len(column.texts))
    order = [code for code in np.argsort(-counts, kind="stable") if column.texts[code] or not column.blanks]
    return _listed([f"{shown(column.texts[code], 20)} {counts[code]}" for code in order])


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(shown(text, 30) for text in texts[:MOST_SHOWN]) + ", ..." * (len(texts) > MOST_SHOWN)


def _written(form: Form) -> dict[str, Any]:
    """The form's values that are not the defaults, as values of `table`."""
    separator = "\\t" if form.separator == "\t" else form.separator
    given = {"separator": separator, "encoding": form.encoding, "header": form.header, **form.notation._asdict()}
    usual = {**Form()._asdict(), **PLAIN._asdict()}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value != usual[key]
    }


def _of_task(task: str) -> dict[str, Any]:
    return {"task": task} if task == "regression" else {}


def _command(settings: Mapping[str, Any]) -> str:
    overrides = [override(f"data.{key}", value) for key, value in settings.items()]
    loss = ["loss=squared_error"] if "task" in settings else []
    return " ".join(["workbench train data=table", *overrides, *loss])


def _refusal(settings: Mapping[str, Any]) -> str:
    """Why these settings do not give data that can be split; empty where they do."""
    separator = {"separator": "\t"} if settings.get("separator") == "\\t" else {}
    try:
        split(table(**{**settings, **separator}), 0, 0.1, 0.1, standardize=False)
    except WorkbenchError as error:
        return str(error)
    return ""
