"""Data sets in tables: users' CSV and Parquet files, and those of openml.org, read by pandas."""

import json
import socket
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.datasets import fetch_openml

from workbench.core.axes import PositiveInt
from workbench.core.errors import ConfigError, DataError, unknown_name
from workbench.core.memory import COPIES, require_memory
from workbench.core.quoting import override
from workbench.data.columns import (
    MANY_VALUES,
    Column,
    ColumnOptions,
    OtherNotation,
    column_of,
    other_notation_error,
    refuse_leaks,
)
from workbench.data.datasets import Array, Dataset
from workbench.data.delimited import RULE, Form, read_rows
from workbench.data.files import FEWER, Task, classes_of
from workbench.data.notation import Notation
from workbench.data.option_types import Encoding, Missing, Name, Names, Separator, Sign, Units
from workbench.data.sources import finite, opening, regular_file, shown

MANY_NUMBERS = 10_000_000  # in a table, above which its inputs become float32
SECONDS = 4.0  # without an answer of openml.org before giving up
FAILURES = (ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, HTTPException, zlib.error)
PARQUET = (".parquet", ".pq")


def table(
    path: Name,
    target: Name,
    task: Task = "classification",
    drop: Names = (),
    keep: Names = (),
    same_unit: bool = False,
    separator: Separator = ",",
    decimal: Sign = ".",
    thousands: Sign | None = None,
    units: Units = (),
    encoding: Encoding = "utf-8",
    header: bool | None = None,
    missing: Missing = "refuse",
) -> Dataset:
    """A CSV file, or a Parquet file (.parquet): the column `target`, and all others but `drop` as inputs.

    Numbers have `decimal` before their fraction, `thousands` between groups of digits, and one of `units` beside them.
    Columns in `keep` are accepted as they are: an index as an input, numbers in other notations as texts.
    With `same_unit`, as for pixels, inputs are scaled by one mean and one variance. With `missing`, blanks of numbers
    become the ``mean`` or ``median`` of the training part, with ``category`` the mean beside an input that marks them;
    blanks of texts become a text of their own. Raises DataError where the file cannot be read, a value is missing, or
    a column cannot be made numbers; ConfigError where `thousands` is `decimal`.
    """
    if thousands == decimal:
        raise ConfigError(
            f"data.thousands: must differ from data.decimal, got {decimal!r} twice; write data.thousands=null"
        )
    file = regular_file(path, "write data.path=FILE.csv or FILE.parquet")
    options = ColumnOptions(target, tuple(drop), tuple(keep), Notation(decimal, thousands, tuple(units)), missing)
    if file.suffix.lower() in PARQUET:
        return _from_frame(file.stem, parquet_rows(file), options, task, same_unit)
    form = Form(separator, encoding, header, options.notation or Notation())
    return _from_frame(
        file.stem,
        read_rows(file, form, target),
        options,
        task,
        same_unit,
        lambda: read_rows(file, form, target, texts=True),
    )


def parquet_rows(file: Path) -> pd.DataFrame:
    """Read a Parquet file's columns: a named index becomes a column, an index without a name is dropped."""
    with opening(file, "make it again", RULE):
        content = pq.ParquetFile(file)
        rows, schema = content.metadata.num_rows, content.schema_arrow
        size = sum(content.metadata.row_group(group).total_byte_size for group in range(content.num_row_groups))
        require_memory(f"data.path: {shown(file)}", max(size, 8 * rows * len(schema.names)), FEWER)
        index = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
        nameless = [name for name in index if isinstance(name, str) and name.startswith("__index_level_")]
        frame: pd.DataFrame = content.read(use_threads=False).to_pandas(ignore_metadata=True)
    return frame.drop(columns=[name for name in nameless if name in frame.columns])


def openml(
    name: Name,
    version: PositiveInt | None = None,
    target: Name | None = None,
    task: Task = "classification",
    drop: Names = (),
    keep: Names = (),
    same_unit: bool = False,
    cache: str | None = None,
    missing: Missing = "refuse",
) -> Dataset:
    """A data set of openml.org, downloaded once by scikit-learn into the folder `cache`.

    Defaults: the oldest active version, the data set's default target, and scikit-learn's folder. Raises DataError
    where the data set cannot be downloaded, and as `table` does.
    """
    settings = {
        "version": version or "active",
        "target_column": "default-target" if target is None else None,
        "data_home": cache,
        "as_frame": True,
        "parser": "pandas",
        "n_retries": 1,
    }
    try:
        with warnings.catch_warnings(), _timeout():
            warnings.simplefilter("ignore")  # about inactive and several versions: the digest identifies the data
            warnings.filterwarnings("error", "A network error")  # no third and fourth try without a connection
            # categories of numbers, as MNIST's, break scikit-learn up to 1.9 under pandas 3.1 (scikit-learn #34902)
            head: Any = fetch_openml(name, **settings, read_csv_kwargs={"nrows": 0})
            bunch: Any = fetch_openml(name, **settings, read_csv_kwargs={"dtype": None})
    except (*FAILURES, UserWarning) as error:
        reason = error.__context__ if isinstance(error, UserWarning) else error
        raise DataError(  # OpenMLError and URLError are of these
            f"data.name: cannot get {shown(name)!r} from openml.org: {shown(reason)}; look its name up on "
            "https://www.openml.org, and where there is no connection write data.cache=FOLDER with the folder that "
            "sklearn.datasets.fetch_openml(..., data_home=FOLDER) filled elsewhere"
        ) from error
    frame = bunch.frame.astype(dict.fromkeys(head.frame.select_dtypes("category").columns, "category"))
    targets = bunch.target_names if target is None else [target]
    if len(targets) != 1:
        names = [shown(column) for column in targets or frame.columns[:20]]
        raise DataError(
            f"data.target: must name one column, as {name} names {len(targets)} targets; write for example "
            f"{override('data.target', names[0])}; options: {', '.join(names)}"
        )
    options = ColumnOptions(targets[0], tuple(drop), tuple(keep), None, missing)
    return _from_frame(name, frame, options, task, same_unit)


@contextmanager
def _timeout() -> Iterator[None]:
    """Set a timeout for each answer of a server, as scikit-learn sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_frame(
    name: str,
    frame: pd.DataFrame,
    options: ColumnOptions,
    task: Task,
    same_unit: bool,
    as_texts: Callable[[], pd.DataFrame] | None = None,
) -> Dataset:
    """Make a data set of a table; raises DataError as `table` does, with rows counted from 0 below the header."""
    frame = _select_columns(name, frame, options)
    columns = _read(frame, options, as_texts)
    target = columns.pop(options.target)
    inputs = list(columns.values())
    refuse_leaks(inputs, target, options)
    for column in inputs:
        if column.width > MANY_VALUES:
            raise DataError(
                f"column {shown(column.name)!r}: texts must have at most {MANY_VALUES} different values, each becomes "
                f"an input, got {column.width}; write {options.drop_override(column.name)}"
            )
    x = _inputs(name, frame.size, inputs)
    y, count = _targets(target, task)
    fill: Literal["", "mean", "median"] = ""
    if any(column.blanks and column.texts is None for column in inputs):
        fill = "median" if options.missing == "median" else "mean"
    blanks = {column.name: column.blanks for column in inputs if column.blanks}
    classes = target.texts or tuple(f"{value:g}" for value in np.unique(target.values)) if count else ()
    return Dataset(name, x, y, count, same_unit=same_unit, fill=fill, blanks=blanks, classes=classes)


def _select_columns(name: str, frame: pd.DataFrame, options: ColumnOptions) -> pd.DataFrame:
    """Drop columns; raises ConfigError for wrong names in `options`, DataError for repeated columns or empty tables."""
    frame.columns = pd.Index([str(column) for column in frame.columns])
    if options.target in options.drop:
        raise ConfigError(
            f"data.drop: must not name the target, got {shown(options.target)!r}; take it out, or name another one"
        )
    for key, columns in (("data.target", (options.target,)), ("data.drop", options.drop), ("data.keep", options.keep)):
        for column in columns:
            if column not in frame.columns:
                raise unknown_name(key, shown(column), [shown(name, 60) for name in frame.columns])
    frame = frame.loc[:, ~frame.columns.isin(options.drop)]
    if len(frame.columns) < 2 or frame.empty:
        raise DataError(
            f"{name}: must have rows, and columns beside {shown(options.target)!r}, got a table of {frame.shape}; add"
        )
    for column in frame.columns[frame.columns.duplicated()]:
        drop = "" if column == options.target else f", or write {options.drop_override(column)} to leave both out"
        raise DataError(
            f"{name}: must name each column once, got {shown(column)!r} {(frame.columns == column).sum()} times; "
            f"rename or remove one in the file{drop}"
        )
    return frame


def _read(
    frame: pd.DataFrame, options: ColumnOptions, as_texts: Callable[[], pd.DataFrame] | None
) -> dict[str, Column]:
    """Convert each column to numbers or texts; raises DataError as `column_of`, and for numbers in other notations."""
    columns: dict[str, Column] = {}
    misread: list[OtherNotation] = []
    for name in frame.columns:
        try:
            columns[name] = column_of(name, frame[name], options)
        except OtherNotation as error:
            misread.append(error)

    def others() -> list[list[str]]:
        if as_texts is None:
            return []
        texts = as_texts()
        numeric = (name for name, column in columns.items() if column.texts is None)
        return [[str(text) for text in texts[name].unique()] for name in numeric]

    if misread:
        raise other_notation_error(misread, options, others)
    return columns


def _inputs(name: str, size: int, columns: Sequence[Column]) -> Array:
    """Concatenate columns to x [N, I], texts one-hot; raises DataError where it is not finite or exceeds memory."""
    rows, width = len(columns[0].values), sum(column.width for column in columns)
    dtype = np.float32 if size > MANY_NUMBERS else np.float64
    require_memory(f"{name}: inputs", COPIES * rows * width * dtype().itemsize, FEWER)
    x, start = np.empty((rows, width), dtype), 0
    with np.errstate(over="ignore"):
        for column in columns:
            if column.texts is None:
                x[:, start] = column.values
            if column.marks_blanks:
                x[:, start + 1] = np.isnan(column.values)
            for number in range(column.width if column.texts is not None else 0):
                x[:, start + number] = column.values == number
            start += column.width
    return finite(f"{name}: inputs", x, may_lack=any(column.blanks for column in columns))


def _targets(column: Column, task: Task) -> tuple[Array, int | None]:
    """Return targets and the number of classes; raises DataError where the column does not fit the task."""
    who = f"column {shown(column.name)!r}"
    if task == "classification" and column.texts is not None:
        classes_of(who, np.array(column.texts[:2]))  # at least two
        return column.values.astype(np.int64), len(column.texts)
    if task == "classification":
        return classes_of(who, column.values)
    if column.texts is not None:
        raise DataError(
            f"{who}: must hold numbers for data.task=regression, got {shown(column.texts[0])!r}; "
            "write data.task=classification loss=softmax_nll to learn classes"
        )
    return finite(who, column.values.astype(np.float64)[:, None]), None
