"""Data sets in tables: CSV and Parquet files of the user's own, and OpenML's, read by pandas."""

import codecs
import json
import socket
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError
from sklearn.datasets import fetch_openml

from workbench.core.axes import PositiveInt
from workbench.core.errors import ConfigError, DataError, unknown_name
from workbench.core.memory import COPIES, require_memory
from workbench.data.columns import MANY_VALUES, Asked, Column, Otherwise, column_of, refuse_leaks, written_otherwise
from workbench.data.datasets import Array, Dataset
from workbench.data.delimited import RULE, Form, read_rows
from workbench.data.files import FEWER, Task, classes_of
from workbench.data.notation import Notation
from workbench.data.sources import finite, opening, regular_file, shown

MANY_NUMBERS = 10_000_000  # of a table whose inputs are kept in float32
SECONDS = 4.0  # that openml.org may be silent
FAILURES = (ValueError, OSError, EOFError, LookupError, TypeError, AttributeError, HTTPException, zlib.error)
PARQUET = (".parquet", ".pq")
READ = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_string)


def _named(value: Any) -> Any:
    """Names of columns may be numbers."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _list(value: Any) -> Any:
    """One name is a list of one."""
    return [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _unit(text: str) -> str:
    if not text.strip() or any(sign.isdigit() or sign in "+-" for sign in text):
        raise PydanticCustomError("unit", "texts without digits and signs")
    return text


def _one_sign(text: str) -> str:
    if len(text) != 1 or text.isalnum() or text in '+-"\r\n':
        raise PydanticCustomError("sign", "one character that is no letter, digit, sign or quote")
    return text


def _separator(text: str) -> str:
    return _one_sign("\t" if text == "\\t" else text)


def _encoding(name: str) -> str:
    try:
        known = codecs.lookup(name)._is_text_encoding and "a,1\n".encode(name).decode(name) == "a,1\n"
    except (LookupError, ValueError):
        known = False
    if not known:
        raise PydanticCustomError("encoding", "the name of an encoding that Python knows")
    return name


Name = Annotated[str, BeforeValidator(_named)]
Names = Annotated[Sequence[Name], BeforeValidator(_list)]
Units = Annotated[Sequence[Annotated[str, AfterValidator(_unit)]], BeforeValidator(_list)]
Sign = Annotated[str, AfterValidator(_one_sign)]
Separator = Annotated[str, AfterValidator(_separator)]
Encoding = Annotated[str, AfterValidator(_encoding)]


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
) -> Dataset:
    """A CSV file, or a Parquet file (.parquet): the column `target`, and all others but `drop` as inputs.

    Numbers have `decimal` before their fraction, `thousands` between groups of digits, and one of `units` beside them.
    Columns to `keep` are taken as they stand where they would be refused: as an index, or as numbers written otherwise.
    Inputs `same_unit`, like pixels, are scaled by one mean and one variance. Raises DataError where the file cannot be
    read, a value is missing, or a column cannot be made numbers.
    """
    if thousands == decimal:
        raise ConfigError(
            f"data.thousands: must differ from data.decimal, got {decimal!r} twice; write data.thousands=null"
        )
    file = regular_file(path, "write data.path=FILE.csv or FILE.parquet")
    asked = Asked(target, tuple(drop), tuple(keep), Notation(decimal, thousands, tuple(units)))
    if file.suffix.lower() in PARQUET:
        return _from_frame(file.stem, _parquet(file), asked, task, same_unit)
    form = Form(separator, encoding, header, asked.notation or Notation())
    return _from_frame(
        file.stem,
        read_rows(file, form, target),
        asked,
        task,
        same_unit,
        lambda: read_rows(file, form, target, texts=True),
    )


def _parquet(file: Path) -> pd.DataFrame:
    """The columns of a Parquet file; an index that has a name is one, that without a name is none."""
    with opening(file, "make it again", RULE):
        content = pq.ParquetFile(file)
        rows, schema = content.metadata.num_rows, content.schema_arrow
        held = sum(content.metadata.row_group(group).total_byte_size for group in range(content.num_row_groups))
        require_memory(f"data.path: {shown(file)}", max(held, 8 * rows * len(schema.names)), FEWER)
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
) -> Dataset:
    """A data set of openml.org, downloaded once by scikit-learn and kept in the folder `cache`.

    None takes the oldest active version, the set's own target, and scikit-learn's own folder. Raises DataError where
    it cannot be had, and as `table` does.
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
        with warnings.catch_warnings(), _patience():
            warnings.simplefilter("ignore")  # of inactive and of several versions: the digest says which it is
            warnings.filterwarnings("error", "A network error")  # no third and fourth try where nobody answers
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
        options = ", ".join(map(shown, targets or frame.columns[:20]))
        raise DataError(
            f"data.target: {name} has {len(targets)} targets of its own; write data.target=COLUMN, one of {options}"
        )
    return _from_frame(name, frame, Asked(targets[0], tuple(drop), tuple(keep), None), task, same_unit)


@contextmanager
def _patience() -> Iterator[None]:
    """A bound for each answer of a server: scikit-learn sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_frame(
    name: str,
    frame: pd.DataFrame,
    asked: Asked,
    task: Task,
    same_unit: bool,
    as_texts: Callable[[], pd.DataFrame] | None = None,
) -> Dataset:
    """Inputs and targets of a table. Raises DataError as `table` does, with rows counted from 0 below the header."""
    frame = _chosen(name, frame, asked)
    columns = _read(frame, asked, as_texts)
    target = columns.pop(asked.target)
    inputs = list(columns.values())
    refuse_leaks(inputs, target, asked)
    for column in inputs:
        if column.width > MANY_VALUES:
            raise DataError(
                f"column {shown(column.name)!r}: texts must have at most {MANY_VALUES} different values, each becomes "
                f"an input, got {column.width}; write {asked.without(column.name)}"
            )
    x = _inputs(name, frame.size, inputs)
    y, count = _targets(target, task)
    return Dataset(name, x, y, count, same_unit=same_unit)


def _chosen(name: str, frame: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """The columns that are not dropped, each of them once."""
    frame.columns = pd.Index([str(column) for column in frame.columns])
    if asked.target in asked.drop:
        raise ConfigError(
            f"data.drop: must not name the target, got {shown(asked.target)!r}; take it out, or name another one"
        )
    for key, columns in (("data.target", (asked.target,)), ("data.drop", asked.drop), ("data.keep", asked.keep)):
        for column in columns:
            if column not in frame.columns:
                raise unknown_name(key, shown(column), [shown(one, 60) for one in frame.columns])
    frame = frame.loc[:, ~frame.columns.isin(asked.drop)]
    if len(frame.columns) < 2 or frame.empty:
        raise DataError(
            f"{name}: must have rows, and columns beside {shown(asked.target)!r}, got a table of {frame.shape}; add"
        )
    for column in frame.columns[frame.columns.duplicated()]:
        drop = "" if column == asked.target else f", or write {asked.without(column)} to leave both out"
        raise DataError(
            f"{name}: must name each column once, got {shown(column)!r} {(frame.columns == column).sum()} times; "
            f"rename or remove one in the file{drop}"
        )
    return frame


def _read(frame: pd.DataFrame, asked: Asked, as_texts: Callable[[], pd.DataFrame] | None) -> dict[str, Column]:
    """Each column's numbers or texts."""
    columns: dict[str, Column] = {}
    otherwise: list[Otherwise] = []
    for name in frame.columns:
        try:
            columns[name] = column_of(name, frame[name], asked)
        except Otherwise as error:
            otherwise.append(error)

    def others() -> list[list[str]]:
        if as_texts is None:
            return []
        texts = as_texts()
        return [[str(one) for one in texts[name].unique()] for name, one in columns.items() if one.texts is None]

    if otherwise:
        raise written_otherwise(otherwise, asked, others)
    return columns


def _inputs(name: str, size: int, columns: Sequence[Column]) -> Array:
    """x [N, I], one column after the other."""
    rows, width = len(columns[0].values), sum(column.width for column in columns)
    dtype = np.float32 if size > MANY_NUMBERS else np.float64
    require_memory(f"{name}: inputs", COPIES * rows * width * dtype().itemsize, FEWER)
    x, place = np.empty((rows, width), dtype), 0
    with np.errstate(over="ignore"):
        for column in columns:
            if column.texts is None:
                x[:, place] = column.values
            for number in range(column.width if column.texts is not None else 0):
                x[:, place + number] = column.values == number
            place += column.width
    return finite(f"{name}: inputs", x)


def _targets(column: Column, task: Task) -> tuple[Array, int | None]:
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
