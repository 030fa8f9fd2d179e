"""Writes events while training goes on, in a thread of its own."""

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
    """Passes events to `write`, in their order, many at once.

    An error of `write` is raised by the next call of a method. The events that failed stay first in line and are tried
    once more, with later ones; where that fails too, they are dropped.
    """

    def __init__(self, write: Callable[[Sequence[Event]], None]) -> None:
        self.write = write
        self._pool = ThreadPoolExecutor(1, "tracking")  # its thread is waited for when the process ends
        self._waiting: list[Event] = []
        self._rows = 0
        self._in_work: list[Event] = []
        self._job: Future[None] | None = None
        self._hurry = threading.Event()
        self._due = 0.0
        self._has_failed = False

    def put(self, event: Event) -> None:
        """Queue an event; it is written within SECONDS_BETWEEN_WRITES, if the store is fast enough.

        Raises TrackingError of an earlier write.
        """
        self._waiting.append(event)
        self._rows += event.size if isinstance(event, Rows) else 1
        if self._rows >= ROWS_AT_ONCE:
            self._hurry.set()
        if self._job is not None and (self._job.done() or self._rows >= MOST_ROWS):
            self._collect()
        if self._job is None:
            self._job = self._pool.submit(self._work)

    def flush(self) -> None:
        """Wait until all events are written; Ctrl-C and SIGTERM are held back until then. Raises TrackingError."""
        with undivided():
            while self._job is not None or self._waiting:
                self._hurry.set()
                if self._job is None:
                    self._job = self._pool.submit(self._work)
                self._collect()

    def now(self, write: Callable[[], Result]) -> Result:
        """Call `write` after all queued events are written, and return its result; it is not tried again."""
        with undivided():
            self.flush()
            return self._pool.submit(write).result()

    def _work(self) -> None:
        """Wait until the next write is due, then write all queued events."""
        self._hurry.wait(max(0.0, self._due - monotonic()))
        self._hurry.clear()
        self._in_work = self._waiting[:]
        del self._waiting[: len(self._in_work)]  # more may have been queued
        self._rows = 0
        started = monotonic()
        self.write(self._in_work)
        took = monotonic() - started
        pause = min(took / MOST_OF_TIME, MOST_SECONDS)
        self._due = monotonic() + max(SECONDS_BETWEEN_WRITES, pause)

    def _collect(self) -> None:
        """Wait for the thread, and raise its error."""
        assert self._job is not None
        job = self._job
        try:
            job.result()
            self._has_failed = False
        except TrackingError:
            if not self._has_failed:
                self._waiting[:0] = self._in_work
            self._has_failed = not self._has_failed
            raise
        finally:
            if job.done():  # else it was the waiting that was interrupted
                self._job = None
