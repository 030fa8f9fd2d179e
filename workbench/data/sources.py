"""The files that data sets are read from: what may be opened, how much may be read of it, and what it may take."""

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

LARGEST = {"f4": 1e38, "f8": 1e150}  # whose squares can be summed in float64, and differences taken in their own type
BLOCK = 2**22  # numbers looked at in one go
BROKEN = (lzma.LZMAError, tarfile.TarError, OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)


def regular_file(path: str | Path, then: str) -> Path:
    """The file of this path, which can be opened and read to an end.

    Raises DataError, which says `then`, where there is none: a pipe or a device has no end, a folder no content.
    """
    try:
        file = Path(os.path.expanduser(path))
        mode = file.stat().st_mode
    except FileNotFoundError as error:
        broken = f"a link to {shown(file.readlink())}, which is not there" if file.is_symlink() else ""
        state = f"{shown(file.absolute())} is {broken}" if broken else f"there is no file {shown(file.absolute())}"
        raise DataError(f"data.path: {state}; {then}") from error
    except (OSError, ValueError) as error:  # too long, with a zero
        raise DataError(f"data.path: {shown(path)} cannot be looked up: {_reason(error)}; {then}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise DataError(f"data.path: must be a file, but {shown(file)} is {kind}; {then}")
    with opening(file), file.open("rb"):
        return file


@contextmanager
def opening(file: Path, then: str = "make it again", rule: str = "must be a file that can be read") -> Iterator[None]:
    """Errors of reading a file as DataError, which says what must hold and what to do."""
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
    """A name from outside for a message: on one line, and not too long."""
    text = str(name)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def finite(who: str, values: NDArray[Any], first: int = 0) -> NDArray[Any]:
    """The values [N, K] themselves; raises DataError with the rows, counted from `first`, that are not all finite."""
    if values.dtype.kind != "f":
        return values
    largest = LARGEST.get(values.dtype.str[1:], float(np.finfo(values.dtype).max))
    step = max(1, BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        bad = np.flatnonzero(~(np.abs(block) <= largest).all(1))
        if not len(bad):
            continue
        rows, worst = rows_of(bad + first + start), block[bad]
        if np.isfinite(worst).all():
            raise DataError(f"{who} must be at most {largest:g} in size, but is more in {rows}; divide the numbers")
        raise DataError(f"{who} must be finite, but is not in {rows}; drop or fill them")
    return values


def rows_of(rows: NDArray[Any]) -> str:
    """Numbers of rows, from 0, the first five and how many more."""
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(row) for row in rows[:5])}{more}"
