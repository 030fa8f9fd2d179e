"""Arrays in files that say first what follows: IDX, and the npy members of npz. A header is believed where it can be.

Nothing is allocated for an array before its header has been held against the size of its file, and nothing is read of
it but what the header says, and one byte more. Sources: "The IDX file format", http://yann.lecun.com/exdb/mnist/;
NumPy Enhancement Proposal 1.
"""

import gzip
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zipfile import ZipFile, ZipInfo

import numpy as np

from workbench.core.errors import DataError
from workbench.data.datasets import Array
from workbench.data.sources import opening, shown

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 32
MOST_HEADER = 10_000  # characters of an npy header, which numpy believes too
DEFLATED = 1032  # bytes that one byte of gzip can hold at most
PIECE = 2**24  # bytes read in one go
AGAIN = "download it again"
SAVE_AGAIN = "make the file again with numpy.savez"
UNREADABLE = (ValueError, TypeError, KeyError, SyntaxError, OverflowError, RecursionError, tokenize.TokenError)


class Header(NamedTuple):
    """What an array is, before it is read; `fortran` where its first axis changes fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    fortran: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        return prod(self.shape) * self.dtype.itemsize


def idx_header(file: Path) -> Header:
    """The header of an IDX file, gzipped where its name ends in .gz.

    Raises DataError where there is none, or one that promises what the file cannot hold.
    """
    with opening(file, AGAIN), _unpacked(file) as stream:
        head = stream.read(4)
        kind, axes = (head[2], head[3]) if len(head) == 4 and head[:2] == b"\0\0" else (-1, 0)
        sizes = stream.read(4 * axes)
    if kind not in IDX_TYPES or not 0 < axes <= MOST_AXES or len(sizes) < 4 * axes:
        raise DataError(
            f"data.path: {shown(file)} must begin as an IDX file does, 00 00, type, number of axes and their sizes, "
            f"got {head.hex(' ') or 'nothing'}; {AGAIN}"
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    header = Header(shape, np.dtype(IDX_TYPES[kind]), 4 + 4 * axes)
    size = file.stat().st_size
    held = size - header.start
    if 0 in shape or (header.nbytes > DEFLATED * size if file.suffix == ".gz" else header.nbytes != held):
        got = f"{size} bytes of gzip" if file.suffix == ".gz" else str(held)
        raise _wrong_size(file, header, got, AGAIN)
    return header


def read_idx(file: Path) -> Array:
    """The array in an IDX file, in the machine's own byte order. Raises DataError where its bytes are no such array."""
    header = idx_header(file)
    with opening(file, AGAIN), _unpacked(file) as stream:
        stream.read(header.start)
        array = _read(file, stream, header, AGAIN)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


@contextmanager
def _unpacked(file: Path) -> Iterator[BinaryIO]:
    with file.open("rb") as opened:
        if file.suffix == ".gz":
            with gzip.GzipFile(fileobj=opened) as stream:
                yield stream  # type: ignore[misc]
        else:
            yield opened


def npy_header(file: Path, archive: ZipFile, member: ZipInfo) -> Header:
    """The header of one array of an npz file. Raises DataError where it is none, or not that of numbers or texts."""
    then = SAVE_AGAIN
    who = f"data.path: {shown(file)}: {shown(member.filename)}"
    if member.flag_bits & 1:
        raise DataError(f"{who} must not be encrypted; unpack it with its password, and {then}")
    with archive.open(member) as stream:
        head = stream.read(8)
        version = head[6:8]
        if head[:6] != b"\x93NUMPY" or version not in (b"\x01\0", b"\x02\0"):
            raise DataError(f"{who} must begin as an array of numbers does, got {head.hex(' ') or 'nothing'}; {then}")
        width = 2 if version == b"\x01\0" else 4
        length = stream.read(width)
        wanted = int.from_bytes(length, "little")
        text = stream.read(wanted) if wanted <= MOST_HEADER else b""
    if len(text) < wanted:
        raise DataError(f"{who} must have a header of at most {MOST_HEADER} bytes, got one of {wanted}; {then}")
    parse = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's numbers, which are read all the same
            shape, fortran, dtype = parse(BytesIO(length + text))
    except (*UNREADABLE, MemoryError) as error:
        raise DataError(
            f"{who} must have a header that numpy reads, got {shown(text[:80].decode('latin-1'))}; {then}"
        ) from error
    header = Header(tuple(int(size) for size in shape), dtype, 8 + width + wanted, fortran)
    if dtype.hasobject:
        raise DataError(
            f"data.path: {shown(file)} must be made by numpy.savez of numbers or texts, without pickled objects, got "
            f"{dtype} in {shown(member.filename)}; make it again so"
        )
    if len(shape) > MOST_AXES or any(size < 0 for size in shape) or header.nbytes != member.file_size - header.start:
        raise _wrong_size(file, header, str(member.file_size - header.start), then)
    return header


def read_npy(file: Path, archive: ZipFile, member: ZipInfo, header: Header) -> Array:
    """One array of an npz file, whose header has been read."""
    with archive.open(member) as stream:
        stream.read(header.start)
        return _read(file, stream, header, SAVE_AGAIN)


def npy_rows(file: Path, archive: ZipFile, member: ZipInfo, header: Header) -> Iterator[Array]:
    """The examples [n, I] of such an array, some at a time where they lie one after the other."""
    rows, width = header.shape[0], prod(header.shape[1:])
    if header.fortran:
        yield read_npy(file, archive, member, header).reshape(rows, width)
        return
    step = max(1, PIECE // (width * header.dtype.itemsize))
    with archive.open(member) as stream:
        stream.read(header.start)
        for start in range(0, rows, step):
            block = np.empty((min(step, rows - start), width), header.dtype)
            _fill(file, stream, header, block, SAVE_AGAIN)
            yield block
        _end(file, stream, header, SAVE_AGAIN)


def _read(file: Path, stream: Any, header: Header, then: str) -> Array:
    """What a header says, read from behind it; raises DataError where there is less or more."""
    array = np.empty(header.shape[::-1] if header.fortran else header.shape, header.dtype)
    _fill(file, stream, header, array, then)
    _end(file, stream, header, then)
    return array.T if header.fortran else array


def _fill(file: Path, stream: Any, header: Header, array: Array, then: str) -> None:
    content, done = array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b""), 0
    while done < len(content):
        count = stream.readinto(content[done : done + PIECE])
        if not count:
            raise _wrong_size(file, header, str(done), then)
        done += count


def _end(file: Path, stream: Any, header: Header, then: str) -> None:
    """Look for the end, which also lets the checksum be compared."""
    if stream.read(1):
        raise _wrong_size(file, header, "more", then)


def _wrong_size(file: Path, header: Header, got: str, then: str) -> DataError:
    return DataError(
        f"data.path: {shown(file)} must hold {header.nbytes} bytes after its header of shape {header.shape}, "
        f"got {got}; {then}"
    )
