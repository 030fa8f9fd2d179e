"""The columns of a table as numbers: what is written otherwise, counts rows or repeats the target is refused.

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
from workbench.data.sources import rows_of, shown

MANY_VALUES = 50  # of a column that becomes one column for each of them
ENOUGH = 8  # rows from which a column that counts them, or repeats the target, does so by no chance
NAMELESS = re.compile(
    r"Unnamed: \d+(\.\d+)?|__index_level_\d+__"
)  # as pandas calls an index that a file holds without a name


class Column(NamedTuple):
    """One column: its numbers [N], or of texts their places [N] among the sorted `texts`."""

    name: str
    values: Array
    texts: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return 1 if self.texts is None else len(self.texts)


class Asked(NamedTuple):
    """What a configuration says of a table's columns; `keep` are taken as they stand. Only `table` has a notation."""

    target: str
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    notation: Notation | None = PLAIN

    def without(self, name: str) -> str:
        """The override that drops a column too."""
        return override("data.drop", [*self.drop, name])

    def kept(self, name: str) -> str:
        """The override that keeps a column too."""
        return override("data.keep", [*self.keep, name])

    def out(self, name: str) -> str:
        """What to do where a column cannot be read: the target cannot be dropped."""
        if name == self.target:
            return "correct them, or name another target with data.target"
        return f"correct them, or write {self.without(name)}"


class Otherwise(Exception):
    """A column whose texts are numbers in a notation that was not asked for."""

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        super().__init__(name)
        self.name, self.texts = name, texts


def column_of(name: str, column: "pd.Series[Any]", asked: Asked) -> Column:
    """A column's numbers, or its texts.

    Raises Otherwise where its texts are numbers that are to be read by another notation, and DataError where its values
    are neither numbers nor texts, some are missing or no numbers, or they are dates.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        values = column.to_numpy()
        if values.dtype.kind != "f" or not np.isnan(values).any():
            return Column(name, values)
    _refuse_missing(name, column, asked)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _texts(name, column.astype(str).to_numpy(object))
    if types.is_complex_dtype(column) or not (types.is_numeric_dtype(column) or _is_text(column)):
        raise DataError(
            f"column {shown(name)!r}: must hold numbers or texts, got {_type_of(column)}; {asked.out(name)}"
        )
    if types.is_numeric_dtype(column):  # of pandas' own types, which know what is missing
        return Column(name, column.to_numpy(bool if types.is_bool_dtype(column) else np.float64))
    return _numbers(_texts(name, column.map(str).str.strip().to_numpy(object)), asked)


def _is_text(column: "pd.Series[Any]") -> bool:
    if not types.is_object_dtype(column):
        return bool(types.is_string_dtype(column))
    return all(isinstance(one, str | bool | int | float | Decimal) for one in column)


def _type_of(column: "pd.Series[Any]") -> str:
    """The type of a column, or that of what stands in it first that is no text."""
    kinds = [type(one).__name__ for one in column if not isinstance(one, str)] if column.dtype == object else []
    return kinds[0] if kinds else str(column.dtype)


def _texts(name: str, values: Array) -> Column:
    """Objects, not numpy's texts, each of which takes the memory of the longest."""
    places, texts = pd.factorize(values)
    order = sorted(range(len(texts)), key=lambda place: str(texts[place]))
    return Column(name, np.argsort(order)[places], tuple(str(texts[place]) for place in order))


def _numbers(column: Column, asked: Asked) -> Column:
    """The numbers that texts are, or the texts, where none or few of them are numbers in any notation."""
    texts = column.texts or ()
    if all(text in TRUTH for text in texts):
        return Column(column.name, np.array([TRUTH[text] for text in texts])[column.values])
    read = [number(text, asked.notation or PLAIN) for text in texts]
    if None not in read:
        return Column(column.name, np.array(read, np.float64)[column.values])
    if column.name in asked.keep:
        return column
    if all(map(is_time, texts)):
        first = texts[int(column.values[0])]
        drop = "" if column.name == asked.target else f"{asked.without(column.name)}, or "
        raise DataError(
            f"column {shown(column.name)!r}: must hold numbers or texts, but holds times, {shown(first)!r} the first; "
            f"write {drop}{asked.kept(column.name)} to take each for a name"
        )
    like = np.array([is_like_number(text) for text in texts])
    if like.all() or are_sizes(texts):
        raise Otherwise(column.name, texts)
    wrong = np.flatnonzero(~like[column.values])
    if 2 * len(wrong) < len(column.values) or 2 * like.sum() >= len(texts):
        raise DataError(
            f"column {shown(column.name)!r}: must hold numbers or texts, but {len(wrong)} of {len(column.values)} are "
            f"no numbers, {shown(texts[int(column.values[wrong[0]])])!r} the first, in {rows_of(wrong)}; "
            f"{asked.out(column.name)}, or {asked.kept(column.name)} to take all for names"
        )
    return column


def _refuse_missing(name: str, column: "pd.Series[Any]", asked: Asked) -> None:
    missing = column.isna()
    if types.is_string_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        missing |= column.map(lambda one: isinstance(one, str) and not one.strip())
    rows = np.flatnonzero(missing)
    if len(rows):
        drop = "" if name == asked.target else f", or write {asked.without(name)}"
        raise DataError(
            f"column {shown(name)!r}: must have a value in each row, but has none in {rows_of(rows)}; fill them in, or "
            f"take the rows out{drop}"
        )


def written_otherwise(
    columns: Sequence[Otherwise], asked: Asked, others: Callable[[], Sequence[Sequence[str]]]
) -> DataError:
    """The error for columns of numbers in another notation, with the keys by which all of the table is read."""
    given, texts = asked.notation or PLAIN, columns[0].texts
    text = next(text for text in texts if number(text, given) is None)
    names = ", ".join(repr(shown(one.name)) for one in columns[:5])
    keep = override("data.keep", [*asked.keep, *(one.name for one in columns)])
    ways = [f"{keep} to take each for a name"]
    if asked.notation is not None:
        found = readings([*(one.texts for one in columns), *others()])
        ways[:0] = [f"{_keys(one, given)} to read it as {number(text, one):.10g}" for one in found]
    if len(ways) == 1:
        ways.append("write plain numbers into the file")
    return DataError(
        f"column{'s' if len(columns) > 1 else ''} {names}: must hold numbers as 1{given.decimal}5, or texts, got "
        f"{shown(text)!r}; write {', or '.join(ways)}"
    )


def _keys(notation: Notation, given: Notation) -> str:
    pairs = zip(notation._fields, notation, given, strict=True)
    changed = [(key, list(value) if isinstance(value, tuple) else value) for key, value, old in pairs if value != old]
    return " ".join(override(f"data.{key}", value) for key, value in changed)


def refuse_leaks(inputs: Sequence[Column], target: Column, asked: Asked) -> None:
    """Raise DataError where an input is no feature: an index, or the target once more."""
    for column in inputs:
        if column.name in asked.keep:
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
            reason = f"must be a feature, but is the target {shown(asked.target)!r} in each row"
        if reason:
            raise DataError(
                f"column {shown(column.name)!r}: {reason}; write {asked.without(column.name)}, or "
                f"{asked.kept(column.name)} where it is an input all the same"
            )


def counts_rows(column: Column) -> bool:
    """Whether a column holds each of 0 to N - 1, or of 1 to N, once, in whatever order."""
    values = column.values
    if column.texts is not None or values.dtype.kind not in "iuf" or values.min() not in (0, 1):
        return False
    first = values.min()
    return bool(
        values.max() - first == len(values) - 1 and np.array_equal(np.sort(values), np.arange(len(values)) + first)
    )
