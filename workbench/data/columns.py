"""Convert the columns of a table to numbers, and refuse numbers in another notation, row counters and leaked targets.

A column of texts or categories becomes one column of 0 and 1 for each of its values; truth values become 0 and 1.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from workbench.core.errors import DataError
from workbench.core.quoting import override
from workbench.data.datasets import Array
from workbench.data.notation import PLAIN, TRUTH, Notation, are_sizes, is_like_number, is_time, number, readings
from workbench.data.option_types import Missing
from workbench.data.sources import rows_of, shown

MANY_VALUES = 50  # distinct texts of a column at most, each of which becomes an input
ENOUGH = 8  # rows from which a column does not count them, or repeat the target, by chance
NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)?|__index_level_\d+__")  # pandas' names for an index saved without a name


class Column(NamedTuple):
    """Numbers [N] of a column, or indices [N] into its distinct `texts`, which are sorted.

    Of `blanks` rows without a value, numbers are NaN and texts are empty. With `marks_blanks`, one more input is 1 in
    these rows, else 0.
    """

    name: str
    values: Array
    texts: tuple[str, ...] | None = None
    blanks: int = 0
    marks_blanks: bool = False

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return 1 + self.marks_blanks if self.texts is None else len(self.texts)


class ColumnOptions(NamedTuple):
    """A configuration's options for columns: `keep` names those accepted as they are; `openml` has no notation."""

    target: str
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    notation: Notation | None = PLAIN
    missing: Missing = "refuse"

    def drop_override(self, name: str) -> str:
        """Write the override that drops this column too."""
        return override("data.drop", [*self.drop, name])

    def keep_override(self, name: str) -> str:
        """Write the override that accepts this column as it is."""
        return override("data.keep", [*self.keep, name])

    def remedy(self, name: str) -> str:
        """Advise what to do about a column that cannot be read; a target cannot be dropped."""
        if name == self.target:
            return "correct them, or name another target with data.target"
        return f"correct them, or write {self.drop_override(name)}"


class OtherNotation(Exception):
    """A column whose texts are numbers in another notation than the configured one."""

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        super().__init__(name)
        self.name, self.texts = name, texts


def column_of(name: str, column: "pd.Series[Any]", options: ColumnOptions) -> Column:
    """Convert a pandas column to numbers, or to distinct texts.

    Raises OtherNotation where its texts are numbers in another notation, and DataError where values are missing
    and `options` refuse that, neither numbers nor texts, dates or times, or numbers with a few exceptions.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        values = column.to_numpy()
        if values.dtype.kind != "f" or not np.isnan(values).any():
            return Column(name, values)
    blank = _blanks(column)
    if blank.all() or (blank.any() and (options.missing == "refuse" or name == options.target)):
        raise _missing_error(name, blank, options)
    rows = np.flatnonzero(~blank)
    return _with_blanks(_converted(name, column.iloc[rows], options, rows), blank, options.missing == "category")


def _converted(name: str, column: "pd.Series[Any]", options: ColumnOptions, rows: Array) -> Column:
    """Convert a column without blanks, whose values stand in these rows of the table; raises as `column_of`."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":
        return Column(name, column.to_numpy())
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _texts(name, column.astype(str).to_numpy(object))
    if types.is_complex_dtype(column) or not (types.is_numeric_dtype(column) or _is_text(column)):
        raise DataError(
            f"column {shown(name)!r}: must hold numbers or texts, got {_type_of(column)}; {options.remedy(name)}"
        )
    if types.is_numeric_dtype(column):  # pandas' nullable types
        return Column(name, column.to_numpy(bool if types.is_bool_dtype(column) else np.float64))
    return _numbers(_texts(name, column.map(str).str.strip().to_numpy(object)), options, rows)


def _with_blanks(column: Column, blank: Array, marks_blanks: bool) -> Column:
    """Insert blank rows into a column: NaN among numbers, an empty text before the other texts."""
    if not blank.any():
        return column
    if column.texts is None:
        values = np.full(len(blank), np.nan)
        values[~blank] = column.values
        return Column(column.name, values, None, int(blank.sum()), marks_blanks)
    codes = np.zeros(len(blank), np.int64)
    codes[~blank] = column.values + 1
    return Column(column.name, codes, ("", *column.texts), int(blank.sum()))


def _is_text(column: "pd.Series[Any]") -> bool:
    if not types.is_object_dtype(column):
        return bool(types.is_string_dtype(column))
    return all(isinstance(value, str | bool | int | float | Decimal) for value in column)


def _type_of(column: "pd.Series[Any]") -> str:
    """Name a column's type; for a column of objects, the type of its first value that is no text."""
    kinds = [type(value).__name__ for value in column if not isinstance(value, str)] if column.dtype == object else []
    return kinds[0] if kinds else str(column.dtype)


def _texts(name: str, values: Array) -> Column:
    """Factorize texts given as objects: in numpy's string arrays each takes the memory of the longest."""
    codes, texts = pd.factorize(values)
    order = sorted(range(len(texts)), key=lambda code: str(texts[code]))
    return Column(name, np.argsort(order)[codes], tuple(str(texts[code]) for code in order))


def _numbers(column: Column, options: ColumnOptions, rows: Array) -> Column:
    """Parse texts in these rows as numbers; return the texts where few or none of them are numbers in any notation.

    Raises OtherNotation where all are numbers in another notation, DataError for times and for a few exceptions.
    """
    texts = column.texts or ()
    if all(text in TRUTH for text in texts):
        return Column(column.name, np.array([TRUTH[text] for text in texts])[column.values])
    parsed = [number(text, options.notation or PLAIN) for text in texts]
    if None not in parsed:
        return Column(column.name, np.array(parsed, np.float64)[column.values])
    if column.name in options.keep:
        return column
    if all(map(is_time, texts)):
        first = texts[int(column.values[0])]
        drop = "" if column.name == options.target else f"{options.drop_override(column.name)}, or "
        raise DataError(
            f"column {shown(column.name)!r}: must hold numbers or texts, but holds times, {shown(first)!r} the first; "
            f"write {drop}{options.keep_override(column.name)} to take each for a name"
        )
    like = np.array([is_like_number(text) for text in texts])
    if like.all() or are_sizes(texts):
        raise OtherNotation(column.name, texts)
    wrong = np.flatnonzero(~like[column.values])
    if 2 * len(wrong) < len(column.values) or 2 * like.sum() >= len(texts):
        raise DataError(
            f"column {shown(column.name)!r}: must hold numbers or texts, but {len(wrong)} of {len(column.values)} are "
            f"no numbers, {shown(texts[int(column.values[wrong[0]])])!r} the first, in {rows_of(rows[wrong])}; "
            f"{options.remedy(column.name)}, or {options.keep_override(column.name)} to take all for names"
        )
    return column


def _blanks(column: "pd.Series[Any]") -> Array:
    """Rows [N] where a value is missing or blank."""
    missing = column.isna()
    if types.is_string_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        missing |= column.map(lambda value: isinstance(value, str) and not value.strip())
    return missing.to_numpy(bool)


def _missing_error(name: str, blank: Array, options: ColumnOptions) -> DataError:
    """Make the error for rows without a value."""
    who = f"column {shown(name)!r}: must have a value in"
    if name == options.target:
        rows = rows_of(np.flatnonzero(blank))
        return DataError(f"{who} each row, but has none in {rows}; fill them in, or take the rows out")
    if blank.all():
        return DataError(f"{who} some row, but has none at all; write {options.drop_override(name)}")
    return DataError(
        f"{who} each row, but has none in {rows_of(np.flatnonzero(blank))}; write data.missing=median to fill blanks "
        f"from the training part, or data.missing=category to mark them too, or {options.drop_override(name)}"
    )


def other_notation_error(
    columns: Sequence[OtherNotation], options: ColumnOptions, others: Callable[[], Sequence[Sequence[str]]]
) -> DataError:
    """Make the error for columns of numbers in another notation, with the overrides that read the whole table.

    `others` gives the texts of the columns that were read as numbers, which the new notation must read too.
    """
    current, texts = options.notation or PLAIN, columns[0].texts
    text = next(text for text in texts if number(text, current) is None)
    names = ", ".join(repr(shown(column.name)) for column in columns[:5])
    keep = override("data.keep", [*options.keep, *(column.name for column in columns)])
    ways = [f"{keep} to take each for a name"]
    if options.notation is not None:
        notations = readings([*(column.texts for column in columns), *others()])
        ways[:0] = [f"{_keys(new, current)} to read it as {number(text, new):.10g}" for new in notations]
    if len(ways) == 1:
        ways.append("write plain numbers into the file")
    return DataError(
        f"column{'s' if len(columns) > 1 else ''} {names}: must hold numbers as 1{current.decimal}5, or texts, got "
        f"{shown(text)!r}; write {', or '.join(ways)}"
    )


def _keys(notation: Notation, current: Notation) -> str:
    """Write the overrides that change the current notation into another."""
    pairs = zip(notation._fields, notation, current, strict=True)
    changed = [(key, list(value) if isinstance(value, tuple) else value) for key, value, old in pairs if value != old]
    return " ".join(override(f"data.{key}", value) for key, value in changed)


def refuse_leaks(inputs: Sequence[Column], target: Column, options: ColumnOptions) -> None:
    """Raise DataError where an input is an index or repeats the target."""
    for column in inputs:
        if column.name in options.keep:
            continue
        reason = ""
        if NAMELESS.fullmatch(column.name):
            reason = "must have a name, as an index that pandas wrote has none"
        elif len(column.values) < ENOUGH:
            continue
        elif len(inputs) > 1 and counts_rows(column):
            first = int(column.values.min())
            reason = f"must be a feature, but numbers the rows from {first} to {first + len(column.values) - 1}"
        elif column.texts == target.texts and np.array_equal(column.values, target.values):
            reason = f"must be a feature, but is the target {shown(options.target)!r} in each row"
        if reason:
            raise DataError(
                f"column {shown(column.name)!r}: {reason}; write {options.drop_override(column.name)}, or "
                f"{options.keep_override(column.name)} where it is an input all the same"
            )


def counts_rows(column: Column) -> bool:
    """Whether a column is a permutation of 0 to N - 1, or of 1 to N."""
    values = column.values
    if column.texts is not None or column.blanks or values.dtype.kind not in "iuf" or values.min() not in (0, 1):
        return False
    first = values.min()
    return bool(
        values.max() - first == len(values) - 1 and np.array_equal(np.sort(values), np.arange(len(values)) + first)
    )
