"""The process that owns a run, and whether it is gone, as far as that is certain.

A run's tags name its process: `host`, `boot` (the boot of its kernel and its namespace of process numbers), `pid`, and
`started` (when it began, in the kernel's ticks after boot), so that a number which the kernel has given to another
process is not taken for the owner. Where a system tells none of these (they are empty), the number alone decides. A
process of another host, or of another namespace of the same boot, cannot be seen from here and so counts as living.
"""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from workbench.tracking.locks import locked
from workbench.tracking.store import Store

OWNER = ("host", "boot", "pid", "started")
_ENDED = "ZX"  # states in /proc: a process whose parent has not asked for its exit code yet, one that is being removed
_PROC = Path("/proc")


def owner_tags() -> dict[str, str]:
    """Tags that name this process."""
    state = _state(os.getpid())
    return dict(zip(OWNER, (platform.node(), _boot(), str(os.getpid()), state[1] if state else ""), strict=True))


def owner_is_gone(tags: Mapping[str, str]) -> bool:
    """Whether the process that these tags name has certainly ended: False for one that cannot be seen from here."""
    if sys.platform == "win32" or not _is_number(tags.get("pid", "")) or tags.get("host") != platform.node():
        return False
    boot, own_boot = tags.get("boot", ""), _boot()
    if boot and own_boot and boot != own_boot:
        return boot.partition(".")[0] != own_boot.partition(".")[0]  # one boot, two namespaces: its number says nothing
    pid = int(tags["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is another user's
        pass
    state = _state(pid)
    if state is None:
        return False
    return state[0] in _ENDED or tags.get("started", "") not in ("", state[1])


def _is_number(text: str) -> bool:
    """Whether a text may be a process number of the kernel."""
    return text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**31


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Be the only process of this host that looks for abandoned runs in a store."""
    with locked(store, "sweep"):
        yield


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        identity = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{identity}.{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _state(pid: int) -> tuple[str, str] | None:
    """State of a process and when it began; None where the kernel does not tell."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return after_name[0], after_name[19]
