"""Memory of this process: what it may still allocate, checked before large allocations, and what it keeps."""

import os
from collections.abc import Iterator
from ctypes import CDLL
from functools import cache
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit

from workbench.core.errors import DataError

GIB = 2**30
MOST = 10**9 * GIB  # above which a number of bytes is not spelled out
COPIES = 3  # of a data set's inputs in memory at one time: as read, split, and as tensors
CHECK_NUMBERS = 2_000_000  # parameters of the replicas whose gradients are checked together
CHECK_COPIES = 14  # of those parameters in memory at once during the check
CHECKED_IN_FLOAT32 = 16_000_000  # parameters of a net that is checked in float32, smaller ones in float64
CGROUPS = Path("/sys/fs/cgroup")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)'s parameters in malloc.h


def available() -> int:
    """Bytes free for this process: the least of the machine's, its control groups' and its own limit's."""
    if malloc_trim := getattr(CDLL(None), "malloc_trim", None):
        malloc_trim(0)  # what `keep_freed_memory` keeps is free
    return max(0, min(_bounds()))


def gib(count: float) -> str:
    """Format a number of bytes for a message."""
    if count > MOST:
        return "more than 1e9 GiB"
    return f"{count / GIB:.2g} GiB" if count < 10 * GIB else f"{count / GIB:.0f} GiB"


def require_memory(who: str, needed: int, then: str) -> None:
    """Raise DataError, which begins with `who` and ends with `then`, where `needed` bytes are not available."""
    free = available()
    if needed > free:
        raise DataError(f"{who} must fit into memory, but takes {gib(needed)} of the {gib(free)} that are free; {then}")


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed memory, for the tensors of the next step; without `mallopt`, do nothing.

    By default, blocks above M_MMAP_THRESHOLD and a free end of the heap above M_TRIM_THRESHOLD go back to the system at
    once, which zeroes each page again when it is next written. Either value, once set, stops glibc from adapting both.
    """
    mallopt = getattr(CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, GIB) or mallopt(M_MMAP_THRESHOLD, GIB // 32)  # the most before glibc 2.35
        mallopt(M_TRIM_THRESHOLD, 2 * GIB - 1)


def spot_check_bytes(parameters: int, replicas: int) -> int:
    """Estimate the bytes for comparing gradients with autograd, for `replicas` of `parameters` each."""
    width = 8 if parameters < CHECKED_IN_FLOAT32 else 4
    return CHECK_COPIES * width * min(replicas * parameters, max(CHECK_NUMBERS, parameters))


def _bounds() -> Iterator[int]:
    yield _of_machine()
    yield from _of_groups()
    limit = getrlimit(RLIMIT_AS)[0]
    if limit != RLIM_INFINITY:
        yield limit - _own_size()


def _of_machine() -> int:
    """Bytes available without swapping; half of all memory where the system does not report it."""
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _of_groups() -> Iterator[int]:
    """Limit minus use, file caches not counted, of each control group (version 2) that contains this process."""
    lines = _text(Path("/proc/self/cgroup")).splitlines()
    group_path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = CGROUPS / group_path.strip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(CGROUPS):
            return
        limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
        if limit.isdecimal() and used.isdecimal():
            cached = dict(line.split() for line in _text(group / "memory.stat").splitlines())
            yield int(limit) - int(used) + int(cached.get("inactive_file", 0))


def _own_size() -> int:
    return int((_text(Path("/proc/self/statm")) or "0").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
