"""Writes events while training goes on, in one thread of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from workbench.core.errors import TrackingError
from workbench.tracking.base import Event, Rows
from workbench.tracking.client import undivided

Result = TypeVar("Result")
SECONDS_BETWEEN_WRITES = 5.0
MOST_OF_TIME = 0.1  # that writing may take before a flush, however slow the store is
MOST_SECONDS = 60.0  # between writes, also where the last one waited long for a store that was away
ROWS_AT_ONCE = 50_000  # are not kept waiting
MOST_ROWS = 200_000  # that wait while others are written: then training waits too


class Writer:
    """Hands events to `write`, in their order, many at once.

    What `write` raises is raised by the next call of a method. What it could not write then stays first in line and is
    tried once more, with what has come since; where that fails too, it is left out of what is written from then on.
    """

    def __init__(self, write: Callable[[Sequence[Event]], None]) -> None:
        self.write = write
        self._pool = ThreadPoolExecutor(1, "tracking")  # its thread is waited for when the process ends
        self._waiting: list[Event] = []
        self._rows = 0
        self._going: list[Event] = []
        self._job: Future[None] | None = None
        self._hurry = threading.Event()
        self._due = 0.0
        self._has_failed = False

    def put(self, event: Event) -> None:
        """Take an event; it is written in SECONDS_BETWEEN_WRITES at the latest, if the store is fast enough."""
        self._waiting.append(event)
        self._rows += event.size if isinstance(event, Rows) else 1
        if self._rows >= ROWS_AT_ONCE:
            self._hurry.set()
        if self._job is not None and (self._job.done() or self._rows >= MOST_ROWS):
            self._collect()
        if self._job is None:
            self._job = self._pool.submit(self._work)

    def flush(self) -> None:
        """Wait until all events are written; Ctrl-C and SIGTERM are held back until then."""
        with undivided():
            while self._job is not None or self._waiting:
                self._hurry.set()
                if self._job is None:
                    self._job = self._pool.submit(self._work)
                self._collect()

    def now(self, write: Callable[[], Result]) -> Result:
        """Write something after all others, and wait; it is not tried again."""
        with undivided():
            self.flush()
            return self._pool.submit(write).result()

    def _work(self) -> None:
        """What the thread does: wait until it is time, then write all there is."""
        self._hurry.wait(max(0.0, self._due - monotonic()))
        self._hurry.clear()
        self._going = self._waiting[:]
        del self._waiting[: len(self._going)]  # others may have come
        self._rows = 0
        started = monotonic()
        self.write(self._going)
        took = monotonic() - started
        pause = min(took / MOST_OF_TIME, MOST_SECONDS)
        self._due = monotonic() + max(SECONDS_BETWEEN_WRITES, pause)

    def _collect(self) -> None:
        """Wait for the thread, and raise what it met."""
        assert self._job is not None
        job = self._job
        try:
            job.result()
            self._has_failed = False
        except TrackingError:
            if not self._has_failed:
                self._waiting[:0] = self._going
            self._has_failed = not self._has_failed
            raise
        finally:
            if job.done():  # else it was the waiting that was interrupted
                self._job = None
