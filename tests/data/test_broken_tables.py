"""Tables that are cut, false, packed without end, or no tables: a message with the file and a way out, and no more."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.advice import read
from tests.data.test_broken_files import FUZZ, MIB, NO_FILES, mutations, outcome, peak_below
from workbench.core import memory
from workbench.data import delimited

LINES = [f"{place}.5,{'ab'[place % 2]}ü,{place // 2 % 2}" for place in range(12)]
CONTENT = "\n".join(["size,name,kind", *LINES]).encode() + b"\n"


def tar(content: bytes, names: tuple[str, ...] = ("own.csv",), mode: Any = "w:") -> bytes:
    """Return a tar archive of files with this content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zipped(content: bytes, names: tuple[str, ...] = ("own.csv",)) -> bytes:
    """Return a zip archive of files with this content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, content)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar": tar,
    "tar.gz": lambda content: tar(content, mode="w:gz"),
    "tgz": lambda content: tar(content, mode="w:gz"),
    "tar.xz": lambda content: tar(content, mode="w:xz"),
    "tar.bz2": lambda content: tar(content, mode="w:bz2"),
}


def said(file: Path, content: bytes, **given: Any) -> str:
    """Write a table with this content and return the message by which it is refused, or "" if it is read."""
    file.write_bytes(content)
    return outcome(lambda: read(path=str(file), **{"target": "kind", **given}), file.name)


@pytest.mark.parametrize("end", PACKED)
def test_packed_tables(tmp_path: Path, end: str) -> None:
    """Packed tables are read by the end of their names, and refused if cut in the middle or of another kind."""
    file = tmp_path / f"own.csv.{end}"
    assert said(file, PACKED[end](CONTENT)) == ""
    found = read(path=str(file), target="kind")
    (tmp_path / "own.csv").write_bytes(CONTENT)
    assert found.digest == read(path=str(tmp_path / "own.csv"), target="kind").digest
    packed = PACKED[end](CONTENT * 40)
    for broken in (packed[: len(packed) // 2], packed[:1], b"", CONTENT, b"\0" * 600):
        assert "must be a CSV file with a header, or " in said(file, broken) or "must hold one file, " in said(
            file, broken
        )


@pytest.mark.parametrize("end", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("names", [(), ("a.csv", "b.csv")])
def test_archives_hold_one_file(tmp_path: Path, end: str, names: tuple[str, ...]) -> None:
    """Archives of no file and of two files are refused."""
    content = zipped(CONTENT, names) if end == "zip" else tar(CONTENT, names, "w:gz" if end == "tar.gz" else "w:")
    assert f"must hold one file, got {len(names)} (" in said(tmp_path / f"own.{end}", content)


@pytest.mark.parametrize("end", ["gz", "xz", "zip", "tar.gz"])
@pytest.mark.parametrize("filling", [b"\0" * MIB, b"1.5,a,1\n" * (MIB // 8), b"a" * MIB, b'"' + b"a" * (MIB - 1)])
def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, filling: bytes) -> None:
    """A table that unpacks to hundreds of times its size is refused where it passes the bound, not where it ends."""
    monkeypatch.setattr(delimited, "LITTLE", 2 * MIB)
    content = PACKED[end](CONTENT + filling * 16)
    with peak_below(100):
        answer = said(tmp_path / f"own.csv.{end}", content)
    assert (
        "must unpack to a table that fits, but gives more than 100 times its size" in answer or "holds zeros" in answer
    )


def test_a_tar_header_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar header with a name of 8 MiB is refused within 60 MiB of memory."""
    monkeypatch.setattr(delimited, "LITTLE", 2 * MIB)
    member = tarfile.TarInfo("a" * (8 * MIB))
    member.size = len(CONTENT)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as made:
        made.addfile(member, io.BytesIO(CONTENT))
    with peak_below(60):
        assert "must unpack to a table that fits" in said(tmp_path / "own.tar.gz", file.getvalue())


@pytest.mark.parametrize("end", ["csv", "csv.gz"])
def test_tables_are_held_against_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """A table too large for the memory is refused, before it is read or while it is unpacked."""
    for module in (memory, delimited):
        monkeypatch.setattr(module, "available", lambda: 5000)
    content = b"size,kind\n" + b"1.5,1\n" * 1000
    answer = said(tmp_path / f"own.{end}", PACKED["gz"](content) if end == "csv.gz" else content)
    assert "must fit into memory, but takes " in answer or "gives more than fits into memory" in answer


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.csv", zipped(CONTENT), "is a zip archive, as .xlsx and .npz are; save the table as CSV"),
        ("own.xlsx", zipped(CONTENT), "is a zip archive, as .xlsx"),
        ("own.csv", gzip.compress(CONTENT, mtime=0), "is packed by gzip; let its name end in .gz"),
        ("own.csv", b"PAR1" + bytes(60), "is a Parquet file; let its name end in .parquet"),
        ("own.csv", b"", "its own.csv is empty"),
        ("own.csv", b"\n\n \n", "it is empty"),
        ("own.csv", b"\0" * 5000, "zeros"),
        ("own.csv", CONTENT + b"1\0,a,1\n", "holds zeros"),
        ("own.csv", b"kind," + b"a" * (delimited.HEAD + 1), "does not end within"),
        ("own.csv", b"kind," + b"a" * 200_000 + b"\n1,2\n", "field larger than field limit"),
        ("own.csv", b",".join([b"a"] * 100_001) + b"\n", "must have at most 100000 columns, got 100001"),
        ("own.csv", b"a,kind\n1,2,3\n", "Length of header or names does not match"),
        ("own.csv", b'a,kind\n"1,2\n', "EOF inside string"),
        ("own.csv", b"a,kind\n1\n", "column 'kind': must have a value in each row, but has none in row 0"),
        ("own.parquet", b"", "must be a CSV file with a header, or a Parquet file"),
        ("own.parquet", CONTENT, "must be a CSV file with a header, or a Parquet file"),
    ],
)  # fmt: skip
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """The message about a file that is no table says what the file is and how to make it readable."""
    (tmp_path / name).write_bytes(content)
    answer = outcome(
        lambda: read(path=str(tmp_path / name), target="kind"), "kind" if "column 'kind" in message else name
    )
    assert message.removeprefix("its own.csv is ") in answer


def test_a_huge_field_is_no_huge_message(tmp_path: Path) -> None:
    """Texts of 300,000 characters are valid categories, and a message about one shows its ends only."""
    lines = ["name,size,kind", *(f"{'xyz'[place % 3] * 300_000},{place}.5,{place % 2}" for place in range(12))]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    assert read(path=str(tmp_path / "own.csv"), target="kind").x.shape == (12, 4)
    answer = outcome(lambda: read(path=str(tmp_path / "own.csv"), target="name", task="regression"), "name")
    assert "...xxx" in answer


@pytest.mark.parametrize(("make", "message"), NO_FILES)
@pytest.mark.parametrize("end", ["csv", "parquet", "csv.gz"])
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], None], message: str, end: str) -> None:
    """Pipes, devices, folders and broken links are refused before they are opened, as a read might never end."""
    make(tmp_path / f"own.{end}")
    assert message in outcome(lambda: read(path=str(tmp_path / f"own.{end}"), target="kind"), f"own.{end}")


def test_parquet_that_cannot_be_learned_from(tmp_path: Path) -> None:
    """Parquet columns of lists, bytes, dates and times, equal column names and no rows are refused."""
    kind = [0, 1] * 6
    columns: dict[str, Any] = {
        "list": [[1, 2]] * 12,
        "bytes": [b"a"] * 12,
        "struct": [{"a": 1}] * 12,
        "date32[day]": pd.to_datetime(["2020-01-01"] * 12).date,
        "time": pa.array([1] * 12, pa.time64("us")),
        "span": pa.array([1] * 12, pa.duration("s")),
        "nothing": pa.nulls(12),
    }
    for name, values in columns.items():
        file = tmp_path / "own.parquet"
        pq.write_table(pa.table({name: values, "size": np.arange(12) / 8, "kind": kind}), file)
        answer = outcome(lambda file=file: read(path=str(file), target="kind"), f"column '{name}'")  # type: ignore[misc]
        assert "write 'data.drop=[" in answer
        assert outcome(lambda file=file, name=name: read(path=str(file), target="kind", drop=[name]), "own") == ""  # type: ignore[misc]
    pq.write_table(pa.Table.from_arrays([pa.array(kind)] * 3, ["kind", "a", "a"]), tmp_path / "own.parquet")
    assert "got 'a' 2 times" in outcome(lambda: read(path=str(tmp_path / "own.parquet"), target="kind"), "own")
    pq.write_table(
        pa.table({"a": pa.array([], pa.int64()), "kind": pa.array([], pa.int64())}), tmp_path / "own.parquet"
    )
    assert "must have rows" in outcome(lambda: read(path=str(tmp_path / "own.parquet"), target="kind"), "own")


def test_parquet_that_promises_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows that take a hundred bytes are counted before they are unpacked."""
    table = pa.table({"a": np.zeros(1_000_000), "kind": np.zeros(1_000_000)})
    pq.write_table(table, tmp_path / "own.parquet", compression="zstd")
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    assert "must fit into memory, but takes " in outcome(
        lambda: read(path=str(tmp_path / "own.parquet"), target="kind"), "own.parquet"
    )


@pytest.mark.slow
@FUZZ
@given(
    change=mutations(),
    end=st.sampled_from(["", *PACKED]),
    inner=st.booleans(),
    target=st.sampled_from(["kind", "size"]),
)
def test_mutated_csv(tmp_path: Path, change: Callable[[bytes], bytes], end: str, inner: bool, target: str) -> None:
    """CSV files mutated before or after packing are read or refused with one line."""
    file = tmp_path / f"own.csv.{end}".rstrip(".")
    pack = PACKED.get(end, bytes)
    file.write_bytes(pack(change(CONTENT)) if inner else change(pack(CONTENT)))
    task = "regression" if target == "size" else "classification"
    outcome(lambda: read(path=str(file), target=target, task=task), "")


@pytest.mark.slow
@FUZZ
@given(change=mutations(), compression=st.sampled_from(["none", "snappy", "gzip", "zstd"]))
def test_mutated_parquet(tmp_path: Path, change: Callable[[bytes], bytes], compression: str) -> None:
    """Parquet files with bytes changed anywhere are read or refused with one line."""
    table = pa.table({"size": np.arange(12) / 8, "name": ["a", "b"] * 6, "kind": [0, 1, 1] * 4})
    file = tmp_path / "own.parquet"
    pq.write_table(table, file, compression=compression)
    file.write_bytes(change(file.read_bytes()))
    outcome(lambda: read(path=str(file), target="kind"), "")
