"""What ends a command from outside: Ctrl-C (SIGINT), SIGTERM, and SIGHUP where a terminal is closed.

The first one is raised where the main thread stands, as KeyboardInterrupt or Terminated. What follows must not disturb
how the command ends: it is not raised any more once somebody ends things (`ending`), nor shortly after the first. Where
the first was lost in a finalizer, which Python lets no exception leave, a later one is raised again.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType
from typing import Any

from workbench.core.errors import Terminated

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SECONDS_TO_UNWIND = 2.0  # from where the first was raised to whoever ends things
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
SAID = "workbench: it ends already, and closes its runs first; kill -9 {pid} would leave them to workbench doctor\n"


class _Ends:
    """What has come so far."""

    number = 0
    raised_at = 0.0
    is_ending = False
    is_said = False


_ends = _Ends()


def received() -> int:
    """The number of the first signal that came; 0 before that."""
    return _ends.number


def ending(error: BaseException | None = None) -> None:
    """From now on nothing is raised any more, if something was: whoever calls this ends things, for this error."""
    if isinstance(error, KeyboardInterrupt | Terminated) and not _ends.number:
        _ends.number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
    _ends.is_ending = _ends.is_ending or bool(_ends.number)


def done() -> None:
    """From now on nothing is raised: all is done."""
    _ends.is_ending = _ends.is_said = True


def code() -> int:
    """The exit code of a command that a signal ended."""
    return 128 + (_ends.number or signal.SIGINT)


def word() -> str:
    """What happened to a command that a signal ended."""
    return WORDS.get(signal.Signals(_ends.number or signal.SIGINT), "ended, as its terminal was closed")


def end(number: int, frame: FrameType | None) -> None:
    """The handler of these signals."""
    now = monotonic()
    if _ends.is_ending or (_ends.number and now - _ends.raised_at < SECONDS_TO_UNWIND):
        if not _ends.is_said and number == signal.SIGINT:
            _ends.is_said = True
            with suppress(OSError):
                os.write(2, SAID.format(pid=os.getpid()).encode())
        return
    _ends.number, _ends.raised_at = number, now
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _after_a_loss(unraisable: Any) -> None:
    """Raise once more what was lost in a finalizer, where the main thread stands in a moment."""
    if unraisable.exc_type in (KeyboardInterrupt, Terminated) and _ends.number:
        again = _ends.number
        _ends.number = 0
        threading.Timer(0.02, os.kill, (os.getpid(), again)).start()
    else:
        sys.__unraisablehook__(unraisable)


def listen(*numbers: int) -> None:
    """Handle these signals from now on; nothing has come so far."""
    _ends.number, _ends.raised_at, _ends.is_ending, _ends.is_said = 0, 0.0, False, False
    for number in numbers:
        signal.signal(number, end)


@contextmanager
def listening(for_good: bool) -> Iterator[None]:
    """Handle SIGNALS while a command runs; afterwards ignore them `for_good`, else have the handlers of before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = sys.unraisablehook
    sys.unraisablehook = _after_a_loss
    listen(*(number for number, handler in before.items() if handler is not signal.SIG_IGN))  # as nohup lets it be
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)
        sys.unraisablehook = hook


@contextmanager
def held_back() -> Iterator[None]:
    """Let SIGINT and SIGHUP wait, also for good in the processes that are begun meanwhile: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
