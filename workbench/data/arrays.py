"""Read arrays from files with headers: IDX, and the npy members of npz. Headers are checked before they are used.

No memory is allocated for an array before its header agrees with the size of its file, and only as many bytes are read
as the header states, and one more. Sources: "The IDX file format", http://yann.lecun.com/exdb/mnist/; NumPy
Enhancement Proposal 1.
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
MOST_HEADER = 10_000  # characters of an npy header, numpy's own limit
DEFLATED = 1032  # bytes that one byte of gzip can hold at most
PIECE = 2**24  # bytes read at a time
AGAIN = "download it again"
SAVE_AGAIN = "make the file again with numpy.savez"
UNREADABLE = (ValueError, TypeError, KeyError, SyntaxError, OverflowError, RecursionError, tokenize.TokenError)


class Header(NamedTuple):
    """Shape, type and first byte of an array in a file; `fortran` where its first axis changes fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    fortran: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the array's numbers."""
        return prod(self.shape) * self.dtype.itemsize


def idx_header(file: Path) -> Header:
    """Read the header of an IDX file, gzipped where its name ends in .gz.

    Raises DataError where there is none, or one whose array does not fit the file's size.
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
    content = size - header.start
    if 0 in shape or (header.nbytes > DEFLATED * size if file.suffix == ".gz" else header.nbytes != content):
        got = f"{size} bytes of gzip" if file.suffix == ".gz" else str(content)
        raise _wrong_size(file, header, got, AGAIN)
    return header


def read_idx(file: Path) -> Array:
    """Read an IDX file in the machine's byte order; raises DataError where header and content disagree."""
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
    """Read the header of one array in an npz file; raises DataError where it is no header of numbers or texts."""
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
            warnings.simplefilter("ignore")  # about headers written by Python 2, which are read all the same
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
    """Read one array of an npz file by its header; raises DataError where the content is longer or shorter."""
    with archive.open(member) as stream:
        stream.read(header.start)
        return _read(file, stream, header, SAVE_AGAIN)


def npy_rows(file: Path, archive: ZipFile, member: ZipInfo, header: Header) -> Iterator[Array]:
    """Read an array of an npz file as blocks [n, I] of examples; a Fortran-ordered array comes as one block.

    Raises DataError where the content is longer or shorter than the header states.
    """
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
    """Read the array after its header; raises DataError where the content is longer or shorter."""
    array = np.empty(header.shape[::-1] if header.fortran else header.shape, header.dtype)
    _fill(file, stream, header, array, then)
    _end(file, stream, header, then)
    return array.T if header.fortran else array


def _fill(file: Path, stream: Any, header: Header, array: Array, then: str) -> None:
    """Fill `array` from the stream; raises DataError where it ends too early."""
    content, done = array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b""), 0
    while done < len(content):
        count = stream.readinto(content[done : done + PIECE])
        if not count:
            raise _wrong_size(file, header, str(done), then)
        done += count


def _end(file: Path, stream: Any, header: Header, then: str) -> None:
    """Raise DataError where more bytes follow; reading to the end also verifies a zip member's checksum."""
    if stream.read(1):
        raise _wrong_size(file, header, "more", then)


def _wrong_size(file: Path, header: Header, got: str, then: str) -> DataError:
    return DataError(
        f"data.path: {shown(file)} must hold {header.nbytes} bytes after its header of shape {header.shape}, "
        f"got {got}; {then}"
    )
