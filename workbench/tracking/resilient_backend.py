"""A store that goes away while runs are trained: what it does not take is spooled, and sent when it is back."""

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
    """Writes through a backend: raises TrackingError for what is refused, not for a store that is away.

    `file` is the store's database, if it is one file.
    """

    def __init__(self, backend: Backend, spool: UnsentFile, file: Path | None) -> None:
        self.backend, self.spool, self.file = backend, spool, file
        self._inode = _inode(file)
        self._spooled: set[str] = set()
        self._pause, self._next = SHORTEST, 0.0

    def identity(self, run: str) -> str | None:
        """The id of a run that the last `write` began, in the store or in the spool; None where it did not."""
        return self.backend.identity(run) or (run if run in self._spooled else None)

    def begin(self, events: Sequence[Event], known: Collection[str]) -> bool:
        """Begin runs as the backend does; while the store is away nobody knows the others, and all is spooled."""
        done = True

        def begin() -> None:
            nonlocal done
            done = self.backend.begin(events, known)

        self.write(events, begin)
        return done

    def write(self, events: Sequence[Event], send: Callable[[], None] | None = None) -> None:
        """Write events in their order, by `send` if it is given, or spool them.

        Raises TrackingError where neither can be.
        """
        self._spooled.clear()
        if self.spool.is_empty:
            try:
                self._send(send or partial(self.backend.write, events))
            except StoreAway as away:
                self._keep(events)
                logging.getLogger(__name__).warning(
                    "%s; training goes on, and what is to be kept waits in %s", away, self.spool.file
                )
                self._back_off()
            return
        self._keep(events)
        if monotonic() >= self._next:
            self.send_waiting()

    def send_waiting(self) -> None:
        """Try once to send all that is spooled."""
        try:
            for events in self.spool.waiting():
                self._send(partial(self.backend.write, events))
        except StoreAway:
            self._back_off()
            return
        self.spool.remove()
        self._pause = SHORTEST
        logging.getLogger(__name__).warning("tracking: the store is back, and has everything")

    def _keep(self, events: Sequence[Event]) -> None:
        self.spool.append(events)
        self._spooled |= {event.run for event in events if isinstance(event, Opened)}

    def _back_off(self) -> None:
        self._next = monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST)

    def _send(self, send: Callable[[], None]) -> None:
        now = _inode(self.file)
        if now != self._inode:  # open connections would still write to the file that is gone, without a word
            with suppress(Exception):
                let_go()
            if now is None:
                raise StoreAway(f"tracking: the database {self.file} is gone; put it back")
            self._inode = now
        send()


def _inode(file: Path | None) -> tuple[int, int] | None:
    """Which file it is; None for one that is not there."""
    if file is not None:
        with suppress(OSError):
            found = file.stat()
            return found.st_dev, found.st_ino
    return None
