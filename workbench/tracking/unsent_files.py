"""Events that a store could not take, in files that outlive the process: one for each process and experiment.

They lie in ``.workbench/unsent`` beside an sqlite database, else in the current folder, and are named for their
process. The first line names the store and the experiment, each other line is an event. A process that sends another's
file first renames it for itself, which one of several can do. A line that is no event, or that the store refuses, is
moved to a file beside, and the others are sent.
"""

import json
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from workbench.core.errors import TrackingError
from workbench.tracking.base import Event, Rows
from workbench.tracking.event_lines import event_of, line_of
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags
from workbench.tracking.store import Store

UNSENT = "unsent"
SUFFIX = ".jsonl"
EVENTS_AT_ONCE = 1000
ROWS_AT_ONCE = 50_000
REFUSED = ".refused"
LONGEST_HEAD = 10_000  # bytes
used: set[Store] = set()  # the stores that this process has written to


@dataclass(frozen=True)
class Head:
    """First line of a file: the store's name, the experiment's name and id."""

    store: str
    experiment: str
    experiment_id: str


_HEAD = TypeAdapter(Head)


class UnsentFile:
    """Events of this process for one experiment of a store; the file exists only while it holds some."""

    def __init__(self, store: Store, head: Head) -> None:
        self.head, self.file = head, _new_file(store)
        self.done = 0  # bytes of the file that are sent
        used.add(store)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self.file.exists()

    def append(self, events: Sequence[Event]) -> None:
        """Add events, which are on the disk when this returns. Raises TrackingError where they cannot be."""
        try:
            new = self.is_empty
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as file:
                start = file.tell()
                try:
                    lines = [json.dumps(vars(self.head))] if new else []
                    file.write("".join(f"{line}\n" for line in (*lines, *map(line_of, events))).encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), start)
                    if new:
                        self.remove()
                    raise
        except OSError as error:
            raise TrackingError(
                f"tracking: the store is away, and what it was to keep cannot be written to {self.file} either: "
                f"{error}; make room there, and give the same command again"
            ) from error
        self.done = 0 if new else self.done

    def waiting(self) -> Iterator[list[Event]]:
        """Yield events that are not sent yet, in batches; asking for the next batch marks the last as sent."""
        for events, position in read(self.file, self.done):
            yield events
            self.done = position

    def remove(self) -> None:
        """Delete the file: everything is sent."""
        _remove(self.file)


def read(file: Path, start: int = 0) -> Iterator[tuple[list[Event], int]]:
    """Yield a file's events from position `start` on, in batches, with the position after each.

    A last line cut off by a kill is skipped; a line that is no event is set aside.
    """
    with file.open("rb") as lines:
        lines.seek(start)
        if start == 0:
            lines.readline()
        events: list[Event] = []
        rows = 0
        while (line := lines.readline()).endswith(b"\n"):
            try:
                event = event_of(line.decode())
            except (TrackingError, UnicodeDecodeError) as error:
                set_aside(file, line, str(error))
                continue
            events.append(event)
            rows += event.size if isinstance(event, Rows) else 0
            if len(events) >= EVENTS_AT_ONCE or rows >= ROWS_AT_ONCE:
                yield events, lines.tell()
                events, rows = [], 0
        if events:
            yield events, lines.tell() - len(line)


def aside(file: Path) -> Path:
    """Name of the file beside a file of events for lines that cannot be sent."""
    return file.with_name(f"{file.name}{REFUSED}")


def set_aside(file: Path, line: bytes, reason: str) -> None:
    """Copy a line that cannot be sent to the file beside, once."""
    refused_file = aside(file)
    with refused_file.open("ab+") as lines:
        lines.seek(0)
        if line in lines:
            return
        lines.write(line)
    logging.getLogger(__name__).warning(
        "tracking: a line of %s is set aside in %s: %s", file.name, refused_file, reason[:200]
    )


@dataclass(frozen=True)
class Unsent:
    """A file left by the process with the tags `owner`; `is_free` where that is gone, or is this one."""

    file: Path
    head: Head
    owner: dict[str, str]
    is_free: bool

    def take(self, store: Store) -> "Unsent | None":
        """Rename the file as this process's own; None where another process was faster."""
        own_file = _new_file(store)
        try:
            self.file.rename(own_file)
        except FileNotFoundError:
            return None
        return Unsent(own_file, self.head, owner_tags(), True)

    def remove(self) -> None:
        """Delete the file: everything is sent."""
        _remove(self.file)


def unsent(store: Store) -> list[Unsent]:
    """Files left for a store, the oldest first."""
    files = []
    for file in _files(store, SUFFIX):
        head = _head(file)
        if head is not None and head.store == store.name:
            owner = dict(zip(OWNER, file.name.split("~"), strict=False))
            files.append(Unsent(file, head, owner, owner == owner_tags() or owner_is_gone(owner)))
    return files


def refused(store: Store) -> list[Path]:
    """Files with lines that were set aside."""
    return _files(store, SUFFIX + REFUSED)


def damaged(store: Store) -> list[Path]:
    """Files whose first line cannot be read; an empty list where there are none."""
    return [file for file in _files(store, SUFFIX) if _head(file) is None and file.exists()]


def _files(store: Store, ending: str) -> list[Path]:
    return sorted((store.home / UNSENT).glob(f"*{ending}"), key=_modified)


def _head(file: Path) -> Head | None:
    with suppress(OSError, ValueError), file.open("rb") as lines:
        return _HEAD.validate_json(lines.readline(LONGEST_HEAD))
    return None


def _new_file(store: Store) -> Path:
    return store.home / UNSENT / f"{'~'.join((*owner_tags().values(), secrets.token_hex(4)))}{SUFFIX}"


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    for empty in (file.parent, file.parent.parent):
        with suppress(OSError):
            empty.rmdir()


def _modified(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_mtime
    return 0.0
