"""A backend that outlasts its store's absence: events go to a file meanwhile, and are sent when it is back."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

from workbench.core.errors import StoreAway
from workbench.tracking.base import Backend, Event, Opened
from workbench.tracking.sqlite import let_go
from workbench.tracking.unsent_files import UnsentFile

SHORTEST, LONGEST = 1.0, 30.0  # seconds between two attempts


class ResilientBackend:
    """Writes through a backend: raises TrackingError for refused events, not for a store that is away.

    `unsent` is the file for events while the store is away, and `file` the store's database, where that is one file.
    """

    def __init__(self, backend: Backend, unsent: UnsentFile, file: Path | None) -> None:
        self.backend, self.unsent, self.file = backend, unsent, file
        self._inode = _inode(file)
        self._begun_unsent: set[str] = set()
        self._pause, self._next = SHORTEST, 0.0

    def identity(self, run: str) -> str | None:
        """Id of a run that the last `write` began, in the store or in the file; None where it was not begun."""
        return self.backend.identity(run) or (run if run in self._begun_unsent else None)

    def begin(self, events: Sequence[Event], known: Collection[str]) -> bool:
        """Begin runs as the backend does; while the store is away, other runs are unknown, and all go to the file."""
        done = True

        def begin() -> None:
            nonlocal done
            done = self.backend.begin(events, known)

        self.write(events, begin)
        return done

    def write(self, events: Sequence[Event], send: Callable[[], None] | None = None) -> None:
        """Write events in their order, by `send` where it is given, or append them to the file.

        Raises TrackingError where neither succeeds.
        """
        self._begun_unsent.clear()
        if self.unsent.is_empty:
            try:
                self._send(send or partial(self.backend.write, events))
            except StoreAway as away:
                self._append(events)
                logging.getLogger(__name__).warning(
                    "%s; training goes on, and what is to be kept waits in %s", away, self.unsent.file
                )
                self._back_off()
            return
        self._append(events)
        if monotonic() >= self._next:
            self.send_waiting()

    def send_waiting(self) -> None:
        """Try once to send all events of the file."""
        try:
            for events in self.unsent.waiting():
                self._send(partial(self.backend.write, events))
        except StoreAway:
            self._back_off()
            return
        self.unsent.remove()
        self._pause = SHORTEST
        logging.getLogger(__name__).warning("tracking: the store is back, and has everything")

    def _append(self, events: Sequence[Event]) -> None:
        self.unsent.append(events)
        self._begun_unsent |= {event.run for event in events if isinstance(event, Opened)}

    def _back_off(self) -> None:
        self._next = monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST)

    def _send(self, send: Callable[[], None]) -> None:
        """Call `send`; raises StoreAway where the database file is gone."""
        now = _inode(self.file)
        if now != self._inode:  # open connections would still write to the file that is gone, without a word
            with suppress(Exception):
                let_go()
            if now is None:
                raise StoreAway(f"tracking: the database {self.file} is gone; put it back")
            self._inode = now
        send()


def _inode(file: Path | None) -> tuple[int, int] | None:
    """Device and inode of a file; None where there is none."""
    if file is not None:
        with suppress(OSError):
            status = file.stat()
            return status.st_dev, status.st_ino
    return None
