"""Read delimited text files such as CSV, compressed or not, with the names of their columns.

A file is decompressed piece by piece, up to the free memory and to RATIO times its size.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pandas as pd

from workbench.core.errors import DataError
from workbench.core.memory import available, gib, require_memory
from workbench.core.quoting import override
from workbench.data.notation import PLAIN, Notation, number
from workbench.data.sources import opening, shown

HEAD = 2**24  # characters in which the header must end
HEAD_BYTES = 4096  # of a file, by which its format is known
MOST_COLUMNS = 100_000
LITTLE = 2**26  # bytes that any file may decompress to
RATIO = 100  # of decompressed to compressed size, allowed above LITTLE
IN_MEMORY = 5  # bytes that pandas takes for a byte of text, at most, about
SEPARATORS = (",", ";", "\t", "|", " ")
STREAMS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
KINDS = {  # first bytes of files that are no text, with a place for what to do
    b"PK\x03\x04": "a zip archive, as .xlsx and .npz are; {}, or read arrays with data=npz",
    b"PAR1": "a Parquet file; let its name end in .parquet",
    b"\x1f\x8b": "packed by gzip; let its name end in .gz",
    b"BZh": "packed by bzip2; let its name end in .bz2",
    b"\xfd7zXZ": "packed by xz; let its name end in .xz",
    b"\xd0\xcf\x11\xe0": "an old Excel file; {}",
    b"\x89HDF": "an HDF5 file; {}",
    b"SQLite": "a database; {}",
    b"%PDF": "a PDF; {}",
}
RULE = "must be a CSV file with a header, or a Parquet file whose name ends in .parquet"
SAVE = "save the table as CSV"


class Form(NamedTuple):
    """Format of a text file; with a header of None, the first row decides whether it is one."""

    separator: str = ","
    encoding: str = "utf-8"
    header: bool | None = None
    notation: Notation = PLAIN


class _Unpacked(io.RawIOBase):
    """A decompressed stream that stops at a size too large for memory or for the compressed file."""

    def __init__(self, stream: Any, file: Path) -> None:
        self._stream, self._file, self._seen = stream, file, 0
        self._most = max(LITTLE, RATIO * file.stat().st_size)
        self._memory = available() // IN_MEMORY

    def readable(self) -> bool:
        """Return True, as `io.BufferedReader` requires."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into the buffer; raises DataError once the stream is longer than allowed."""
        count: int = self._stream.readinto(buffer) or 0
        self._seen += count
        if self._seen > min(self._most, self._memory):
            reason = f"more than {RATIO} times its size" if self._memory > self._most else "more than fits into memory"
            raise DataError(
                f"data.path: {shown(self._file)} must unpack to a table that fits, but gives {reason}, "
                f"{gib(self._seen)} and more; unpack it yourself and name the file that comes of it"
            )
        return count


@contextmanager
def unpacked(file: Path) -> Iterator[Any]:
    """Open a file, decompressed according to its name; raises DataError for an archive of other than one file."""
    name = file.name.lower()
    with file.open("rb") as opened:
        if name.endswith(".zip"):
            with ZipFile(opened) as archive, archive.open(_only(file, archive.namelist())) as stream:
                yield io.BufferedReader(_Unpacked(stream, file))
        elif name.endswith(TARS):
            with STREAMS.get(_packing(name), io.BufferedReader)(opened) as inner:
                yield from _of_tar(file, io.BufferedReader(_Unpacked(inner, file)))
        elif Path(name).suffix in STREAMS:
            with STREAMS[Path(name).suffix](opened) as stream:
                yield io.BufferedReader(_Unpacked(stream, file))
        else:
            yield opened


def _packing(name: str) -> str:
    return ".gz" if name.endswith(".tgz") else Path(name).suffix


def _of_tar(file: Path, stream: Any) -> Iterator[Any]:
    """Open the only file in a tar archive; raises DataError where there are none or several."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                yield io.BufferedReader(_Unpacked(content, file))
                _only(file, [member.name for member in archive.getmembers() if member.isreg()])
                return
    _only(file, [])


def _only(file: Path, names: list[str]) -> str:
    """Return an archive's only member; raises DataError where there are none or several."""
    if len(names) == 1:
        return names[0]
    members = ", ".join(map(shown, names[:3])) or "none"
    raise DataError(
        f"data.path: {shown(file)} must hold one file, got {len(names)} ({members}); unpack the one to read"
    )


class _Text:
    """Decoded text of a stream for pandas, which would silently end a number at a zero byte."""

    def __init__(self, stream: Any, file: Path, encoding: str) -> None:
        self._stream, self._file = io.TextIOWrapper(stream, encoding, newline=""), file

    def read(self, size: int = -1) -> str:
        """Read up to `size` characters; raises DataError where a zero byte is among them."""
        text = self._stream.read(size)
        if "\0" in text:
            raise DataError(f"data.path: {shown(self._file)} must be text, but holds zeros; {SAVE}")
        return text

    def __iter__(self) -> Iterator[str]:
        return iter(lambda: self.read(HEAD), "")


@contextmanager
def reading(file: Path, form: Form) -> Iterator[_Text]:
    """Open a file as text; raises DataError where it cannot be read or decoded."""
    encoding = "utf-8-sig" if codecs.lookup(form.encoding).name == "utf-8" else form.encoding
    with opening(file, "make it again", RULE), unpacked(file) as stream:
        try:
            yield _Text(stream, file, encoding)
        except UnicodeError as error:
            raise wrong_encoding(file, form.encoding, error) from error


def wrong_encoding(file: Path, encoding: str, error: UnicodeError) -> DataError:
    """Make the error for text in another encoding; it names the first usual encoding that decodes the file."""
    possible = [name for name in ("utf-8", "cp1252", "latin-1") if name != encoding and decodes(file, name)]
    then = f"write {override('data.encoding', possible[0])}, or whatever it was written in"
    reason = f"byte {error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else str(error)
    return DataError(
        f"data.path: {shown(file)} must be text in {encoding} (data.encoding), but holds {shown(reason)}; {then}"
    )


def decodes(file: Path, encoding: str) -> bool:
    """Whether a file's bytes are text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with unpacked(file) as stream:
        try:
            while block := stream.read(2**20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True


def read_rows(file: Path, form: Form, target: str | None, texts: bool = False) -> pd.DataFrame:
    """Read a file's columns under their names, which may repeat; numbers in other notations stay texts.

    A `target` that the header lacks may tell of another separator. With `texts`, all columns are texts. Raises
    DataError for a file that is no such table or too large for memory.
    """
    if file.suffix.lower() in (".csv", ".txt", ".tsv", ".dat", ".data", ""):
        require_memory(f"data.path: {shown(file)}", IN_MEMORY * file.stat().st_size, "keep fewer rows or columns in it")
    names, header = _names(file, form, target)
    with reading(file, form) as text, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
        try:
            frame: pd.DataFrame = pd.read_csv(
                text,  # type: ignore[call-overload]
                sep=r"\s+" if form.separator == " " else form.separator,
                header=0 if header else None,
                index_col=False,
                dtype=str if texts or form.notation != PLAIN else None,
                low_memory=False,
            )
        except pd.errors.ParserWarning as error:
            raise ValueError(str(error)) from error
        if len(frame.columns) != len(names):
            raise ValueError(f"its header has {len(names)} names for {len(frame.columns)} columns")
    frame.columns = names
    return frame


def _names(file: Path, form: Form, target: str | None) -> tuple[list[str], bool]:
    """Return the columns' names, their numbers where there is no header, and whether there is a header.

    Raises DataError for binary files, another separator, too many columns, or a header that seems to be an example;
    ValueError, which `opening` converts, for an empty file or a first row longer than HEAD.
    """
    with opening(file, "make it again", RULE), unpacked(file) as stream:
        refuse_binary(file, stream.read(HEAD_BYTES), form.encoding, RULE, SAVE)
    with reading(file, form) as text:
        head = text.read(HEAD)
        first = next((line for line in io.StringIO(head, newline=None) if line.strip()), "")
        if len(first) >= HEAD or not first:
            raise ValueError(f"its first row does not end within {HEAD} characters" if first else "it is empty")
        names = header_of(head, form.separator)
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"data.path: {shown(file)} must have at most {MOST_COLUMNS} columns, got {len(names)}; drop some"
        )
    if form.header is False:
        return [str(number) for number in range(len(names))], False
    _refuse_separator(file, form, target, head, names)
    if form.header is None and are_an_example(names):
        raise DataError(
            f"data.path: {shown(file)} must begin with the names of its columns, got {shown(first.strip())}; "
            f"write {override('data.header', False)} {override('data.target', str(len(names) - 1))} where this is an "
            f"example and the last column the target (they are named by their numbers, from 0), or "
            f"{override('data.header', True)} where these are names"
        )
    return [name or f"Unnamed: {index}" for index, name in enumerate(names)], True


def header_of(head: str, separator: str) -> list[str]:
    """Split the first row that is not empty; raises ValueError where it is no CSV."""
    if separator == " ":
        return next((line.split() for line in io.StringIO(head, newline=None) if line.strip()), [])
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    try:
        return [name.strip() for name in next((row for row in rows if row), [])]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def are_an_example(names: list[str]) -> bool:
    """Whether most names are numbers in no order; wavelengths or years, which are names, would rise or fall."""
    values = [value for value in map(number, names) if value is not None]
    ordered = values == sorted(set(values)) or values[::-1] == sorted(set(values))
    return 2 * len(values) > len(names) and not ordered


def _refuse_separator(file: Path, form: Form, target: str | None, head: str, names: list[str]) -> None:
    """Raise DataError where the target's name appears with another separator, and not with this one."""
    if target is None or target in names:
        return
    for separator in SEPARATORS:
        if separator != form.separator and target in header_of(head, separator):
            raise DataError(
                f"data.path: {shown(file)} must be separated by {form.separator!r} (data.separator), but is by "
                f"{separator!r}; write {override('data.separator', separator.replace(chr(9), chr(92) + 't'))}"
            )


def refuse_binary(file: Path, head: bytes, encoding: str, rule: str, save: str) -> None:
    """Raise DataError where the first bytes are those of another format, or of UTF-16; `save` says what to do then."""
    kind = next((kind for begins, kind in KINDS.items() if head.startswith(begins)), None)
    if kind:
        raise DataError(f"data.path: {shown(file)} {rule}, but is {kind.format(save)}")
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    seen = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}.get(head[:2])
    first, second = head[::2].count(0), head[1::2].count(0)  # zeros among the first and second bytes of characters
    if not seen and 3 * max(first, second) > len(head[1::2]) and 4 * min(first, second) < max(first, second):
        seen = "utf-16-le" if first < second else "utf-16-be"
    if seen and not wide:
        raise DataError(
            f"data.path: {shown(file)} must be text in {encoding} (data.encoding), but is in UTF-16; "
            f"write {override('data.encoding', seen)}"
        )
