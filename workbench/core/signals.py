"""Signals that end a command: Ctrl-C (SIGINT), SIGTERM, and SIGHUP where a terminal is closed.

The first signal raises KeyboardInterrupt or Terminated in the main thread. Later ones must not disturb the cleanup:
they raise nothing once it has begun (`ending`), nor shortly after the first. An exception that Python dropped in a
finalizer is raised again.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType
from typing import Any

from workbench.core.errors import Terminated

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SECONDS_TO_UNWIND = 2.0  # from the first exception to the code that calls `ending`
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
SAID = "workbench: already ending, and closing its runs first; kill -9 {pid} would leave them to workbench doctor\n"


class _State:
    """Signals received so far: the first one's number and time, whether cleanup began, whether SAID was printed."""

    number = 0
    raised_at = 0.0
    is_ending = False
    is_said = False


_state = _State()


def received() -> int:
    """Return the number of the first signal received; 0 before that."""
    return _state.number


def ending(error: BaseException | None = None) -> None:
    """Mark that cleanup has begun, because of `error`: from now on signals raise nothing, if one was received."""
    if isinstance(error, KeyboardInterrupt | Terminated) and not _state.number:
        _state.number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
    _state.is_ending = _state.is_ending or bool(_state.number)


def done() -> None:
    """Mark that the command is done: from now on signals raise nothing."""
    _state.is_ending = _state.is_said = True


def code() -> int:
    """Return the exit code of a command that a signal ended: 128 + its number."""
    return 128 + (_state.number or signal.SIGINT)


def word() -> str:
    """Return the participle for a command that a signal ended, such as ``interrupted``."""
    return WORDS.get(signal.Signals(_state.number or signal.SIGINT), "ended, as its terminal was closed")


def end(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raises KeyboardInterrupt for SIGINT and Terminated for others, unless cleanup is under way."""
    now = monotonic()
    if _state.is_ending or (_state.number and now - _state.raised_at < SECONDS_TO_UNWIND):
        if not _state.is_said and number == signal.SIGINT:
            _state.is_said = True
            with suppress(OSError):
                os.write(2, SAID.format(pid=os.getpid()).encode())
        return
    _state.number, _state.raised_at = number, now
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _after_a_loss(unraisable: Any) -> None:
    """Send the signal again whose exception was dropped in a finalizer."""
    if unraisable.exc_type in (KeyboardInterrupt, Terminated) and _state.number:
        number = _state.number
        _state.number = 0
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(unraisable)


def listen(*numbers: int) -> None:
    """Handle these signals from now on, and forget those received before."""
    _state.number, _state.raised_at, _state.is_ending, _state.is_said = 0, 0.0, False, False
    for number in numbers:
        signal.signal(number, end)


@contextmanager
def listening(for_good: bool) -> Iterator[None]:
    """Handle SIGNALS while a command runs; afterwards ignore them `for_good`, or restore the previous handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = sys.unraisablehook
    sys.unraisablehook = _after_a_loss
    listen(*(number for number, handler in before.items() if handler is not signal.SIG_IGN))  # nohup ignores SIGHUP
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)
        sys.unraisablehook = hook


def end_with_parent() -> None:
    """End this worker process by SIGTERM once its parent is gone: a killed parent cannot say so.

    Training on would disturb whoever takes over its work.
    """

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def going_on(how: Callable[[], str]) -> Iterator[None]:
    """Note on an exception raised by a signal in the block how the command goes on; an outer block's note counts."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        error.__notes__ = [how()]
        raise


@contextmanager
def held_back() -> Iterator[None]:
    """Block SIGINT and SIGHUP until the block ends; processes started in it never receive them: their parent does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
