"""Data sets in tables: CSV and Parquet files of the user's own, and OpenML's, read by pandas.

A column of texts or categories becomes one column of 0 and 1 for each of its values; truth values become 0 and 1.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.datasets import fetch_openml

from workbench.axes import PositiveInt
from workbench.data.datasets import Dataset
from workbench.data.files import Task, classes_of
from workbench.data.sources import finite, rows_of
from workbench.errors import DataError, unknown_name

MANY_VALUES = 50  # of a column that becomes one column for each of them
MANY_NUMBERS = 10_000_000  # of a table whose inputs are kept in float32


def table(
    path: str,
    target: str,
    task: Task = "classification",
    drop: Sequence[str] = (),
    same_unit: bool = False,
    separator: str = ",",
) -> Dataset:
    """A CSV file with a header, or a Parquet file (.parquet): the column `target`, and all others but `drop` as inputs.

    Inputs `same_unit`, like pixels, are scaled by one mean and one variance. Raises DataError where the file cannot be
    read, a value is missing, or a column cannot be made numbers.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"data.path: there is no file {file.absolute()}; write data.path=FILE.csv or FILE.parquet")
    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else _csv(file, separator)
    except (ValueError, OSError, ImportError, pd.errors.ParserWarning) as error:  # kinds of ValueError most of them
        raise DataError(
            f"data.path: {file} must be a CSV file with a header, or a Parquet file whose name ends in .parquet: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return _from_frame(file.stem, frame, target, task, drop, same_unit)


def _csv(file: Path, separator: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
        return pd.read_csv(file, sep=separator, index_col=False)


def openml(
    name: str,
    version: PositiveInt | None = None,
    target: str | None = None,
    task: Task = "classification",
    drop: Sequence[str] = (),
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
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of inactive and of several versions: the digest says which it is
            # categories of numbers, as MNIST's, break scikit-learn up to 1.9 under pandas 3.1 (scikit-learn #34902)
            head: Any = fetch_openml(name, **settings, read_csv_kwargs={"nrows": 0})
            bunch: Any = fetch_openml(name, **settings, read_csv_kwargs={"dtype": None})
    except (ValueError, OSError, KeyError) as error:  # OpenMLError and URLError are of these
        raise DataError(
            f"data.name: cannot get {name!r} from openml.org: {error}; look its name up on https://www.openml.org, "
            "and where there is no connection write data.cache=FOLDER with the folder that sklearn.datasets."
            "fetch_openml(..., data_home=FOLDER) filled elsewhere"
        ) from error
    frame = bunch.frame.astype(dict.fromkeys(head.frame.select_dtypes("category").columns, "category"))
    targets = bunch.target_names if target is None else [target]
    if len(targets) != 1:
        raise DataError(f"data.target: {name} has {len(targets)} targets of its own; write data.target=COLUMN")
    return _from_frame(name, frame, targets[0], task, drop, same_unit)


def _from_frame(
    name: str, frame: pd.DataFrame, target: str, task: Task, drop: Sequence[str] = (), same_unit: bool = False
) -> Dataset:
    """Inputs and targets of a table. Raises DataError as `table` does, with rows counted from 0 below the header."""
    frame.columns = [str(column) for column in frame.columns]
    for key, column in (("data.target", target), *(("data.drop", column) for column in drop)):
        if column not in frame.columns:
            raise unknown_name(key, column, frame.columns)
    frame = frame.drop(columns=[column for column in drop if column != target])
    inputs, targets = frame.drop(columns=[target]), frame[target]
    if inputs.empty:
        raise DataError(f"{name}: must have rows, and columns beside {target!r}, got a table of {frame.shape}")
    _refuse_missing(frame)
    columns = [_columns(column, inputs[column]) for column in inputs.columns]
    x = np.empty((len(frame), sum(map(len, columns))), np.float32 if frame.size > MANY_NUMBERS else np.float64)
    for place, values in enumerate(value for column in columns for value in column):
        x[:, place] = values
    finite(f"{name}: inputs", x)
    if task == "regression":
        if not types.is_numeric_dtype(targets):
            raise DataError(f"column {target!r}: must hold numbers for data.task=regression, got {targets.dtype}")
        y = finite(f"column {target!r}", targets.to_numpy(np.float64)[:, None])
        return Dataset(name, x, y, None, same_unit=same_unit)
    is_number = types.is_numeric_dtype(targets)
    numbers, count = classes_of(
        f"column {target!r}", targets.to_numpy() if is_number else targets.astype(str).to_numpy(dtype=str)
    )
    return Dataset(name, x, numbers, count, same_unit=same_unit)


def _refuse_missing(frame: pd.DataFrame) -> None:
    for column in frame.columns:
        rows = np.flatnonzero(frame[column].isna())
        if len(rows):
            raise DataError(
                f"column {column!r}: must have a value in each row, but has none in {rows_of(rows)}; fill them in, "
                f"drop the rows, or write 'data.drop=[{column}]'"
            )


def _columns(name: str, column: "pd.Series[Any]") -> "list[pd.Series[Any]]":
    """One column of numbers, or, of texts and categories, one for each value."""
    if types.is_numeric_dtype(column):
        return [column]
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise DataError(f"column {name!r}: must hold numbers or texts, got {column.dtype}; write 'data.drop=[{name}]'")
    texts = column.astype(str)
    wrong = np.flatnonzero(pd.to_numeric(texts, errors="coerce").isna())
    if not isinstance(column.dtype, pd.CategoricalDtype) and 0 < len(wrong) < len(column) / 2:
        raise DataError(
            f"column {name!r}: must hold numbers or texts, but {len(wrong)} of {len(column)} are no numbers, "
            f"{texts.iloc[wrong[0]]!r} the first, in {rows_of(wrong)}; correct them"
        )
    values = sorted(texts.unique())
    if len(values) > MANY_VALUES:
        raise DataError(
            f"column {name!r}: texts must have at most {MANY_VALUES} different values, each becomes an input, got "
            f"{len(values)}; write 'data.drop=[{name}]'"
        )
    return [texts == value for value in values]
