"""Open the files of data sets, word the errors of reading them, and check that their numbers are finite."""

import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from workbench.core.errors import DataError

LARGEST = {"f4": 1e38, "f8": 1e150}  # differences fit the type itself, and sums of squares fit float64
BLOCK = 2**22  # numbers checked at a time
BROKEN = (lzma.LZMAError, tarfile.TarError, OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)


def regular_file(path: str | Path, then: str) -> Path:
    """Return the path of a regular file that can be opened.

    Raises DataError, which ends with `then`, for a path that is missing, unreadable, a folder, a pipe or a device.
    """
    try:
        file = Path(os.path.expanduser(path))
        mode = file.stat().st_mode
    except FileNotFoundError as error:
        broken = f"a link to {shown(file.readlink())}, which is not there" if file.is_symlink() else ""
        state = f"{shown(file.absolute())} is {broken}" if broken else f"there is no file {shown(file.absolute())}"
        raise DataError(f"data.path: {state}; {then}") from error
    except (OSError, ValueError) as error:  # too long, or with a null byte
        raise DataError(f"data.path: {shown(path)} cannot be looked up: {_reason(error)}; {then}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise DataError(f"data.path: must be a file, but {shown(file)} is {kind}; {then}")
    with opening(file), file.open("rb"):
        return file


@contextmanager
def opening(file: Path, then: str = "make it again", rule: str = "must be a file that can be read") -> Iterator[None]:
    """Raise DataError for errors of reading a file in the block, with the `rule` it breaks and what to do `then`."""
    try:
        yield
    except PermissionError as error:
        raise DataError(f"data.path: {shown(file)} may not be read by you; chmod u+r it, or ask its owner") from error
    except (*BROKEN, MemoryError) as error:
        raise DataError(f"data.path: {shown(file)} {rule}, but: {_reason(error)}; {then}") from error


def _reason(error: BaseException) -> str:
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    return shown(lines[0]) if lines else type(error).__name__


def shown(name: object, most: int = 200) -> str:
    """Format a foreign name for a message: on one line, and at most `most` characters, about."""
    text = str(name)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def finite(who: str, values: NDArray[Any], first: int = 0, may_lack: bool = False) -> NDArray[Any]:
    """Return the values [N, K] themselves, among which NaN stands for a blank where some `may_lack`.

    Raises DataError with the rows, counted from `first`, that hold infinities, NaN, or numbers above LARGEST.
    """
    if values.dtype.kind != "f":
        return values
    largest = LARGEST.get(values.dtype.str[1:], float(np.finfo(values.dtype).max))
    step = max(1, BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        bad = np.flatnonzero((~(np.abs(block) <= largest) & ~(may_lack & np.isnan(block))).any(1))
        if not len(bad):
            continue
        rows, worst = rows_of(bad + first + start), block[bad]
        if not np.isinf(worst).any() and (may_lack or np.isfinite(worst).all()):
            raise DataError(f"{who} must be at most {largest:g} in size, but is more in {rows}; divide the numbers")
        raise DataError(f"{who} must be finite, but is not in {rows}; drop or fill them")
    return values


def rows_of(rows: NDArray[Any]) -> str:
    """Format row numbers for a message: the first five, and how many more."""
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(row) for row in rows[:5])}{more}"
