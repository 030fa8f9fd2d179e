"""A run's full history as a Parquet file; the rows in a store are thinned, these are not."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import pyarrow
import pyarrow.parquet

HISTORY = "history.parquet"
WHOLE = ("step", "epoch", "time_ms")  # columns of whole numbers, then one for each metric

Columns = Mapping[str, Sequence[float | None]]


def parquet_of(columns: Columns) -> bytes:
    """Content of HISTORY: one row for each record, null where it lacks a metric."""
    kinds = {name: pyarrow.int64() if name in WHOLE else pyarrow.float64() for name in columns}
    table = pyarrow.table({name: pyarrow.array(values, kinds[name]) for name, values in columns.items()})
    file = BytesIO()
    pyarrow.parquet.write_table(  # such files are small: what is left out here takes most of the time
        table, file, compression="none", use_dictionary=False, write_statistics=False, store_schema=False
    )
    return file.getvalue()


def columns_of(content: bytes, names: Sequence[str] | None = None) -> dict[str, list[float | None]]:
    """Columns of a file that `parquet_of` made: all, or the steps and those of these names that it has.

    Raises ValueError for any other file.
    """
    try:
        file = pyarrow.parquet.ParquetFile(BytesIO(content))
        available = file.schema_arrow.names
        chosen = None if names is None else [name for name in ("step", *names) if name in available]
        columns: dict[str, list[float | None]] = file.read(columns=chosen, use_threads=False).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{HISTORY}: must be a Parquet file, got {error}") from error
    if "step" not in columns:
        raise ValueError(f"{HISTORY}: must have the column step, got {', '.join(columns)}")
    return columns


def series_of(columns: Columns, name: str) -> list[tuple[int, float]]:
    """[(step, value)] of one metric, over the records that have it."""
    pairs = zip(columns["step"], columns.get(name, ()), strict=False)
    return [(int(step), value) for step, value in pairs if step is not None and value is not None]
