"""Tables of diagnostics as Parquet files."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import pyarrow
import pyarrow.parquet

Columns = Mapping[str, Sequence[object]]

KINDS = {
    pyarrow.string(): ("layer", "quantity"),
    pyarrow.bool_(): ("born_dead", "dead_at_end"),
    pyarrow.float64(): ("low", "high", "q_expected", "q_measured", "chi", "delta_expected", "delta_measured"),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}  # other columns: int64


def table_bytes(columns: Columns) -> bytes:
    """The content of a Parquet file with these columns, where None is null."""
    arrays = {name: pyarrow.array(values, KIND_OF.get(name, pyarrow.int64())) for name, values in columns.items()}
    file = BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), file, compression="zstd")
    return file.getvalue()


def table_files(tables: Mapping[str, Columns]) -> dict[str, bytes]:
    """A file ``<name>.parquet`` for each table."""
    return {f"{name}.parquet": table_bytes(columns) for name, columns in tables.items()}
