"""Sends what was left of processes whose store was away: once, however often it is asked for and interrupted."""

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from workbench.core.errors import StoreAway, TrackingError
from workbench.tracking.base import Backend, Ended, Event, Opened, Rows
from workbench.tracking.client import search_all, translating_store_errors
from workbench.tracking.event_lines import line_of
from workbench.tracking.missing_database import way_out
from workbench.tracking.mlflow_sink import DONE, ERROR_TAG, MlflowSink, backend_of
from workbench.tracking.store import DATABASE, Store, member_tag
from workbench.tracking.unsent_files import Unsent, aside, read, set_aside, unsent

MEMBER = member_tag("")
GONE = "its process "  # how the reason begins that others gave for the end of such a run


@dataclass
class Sent:
    """What came of one file: the runs and rows that were sent, and the error that ended it.

    Lines that could not be sent are in the file `aside`, if there are any.
    """

    file: Path
    runs: int = 0
    rows: int = 0
    error: str = ""

    @property
    def aside(self) -> Path | None:
        """The file with the lines that could not be sent."""
        kept = aside(self.file)
        return kept if kept.exists() else None

    @property
    def said(self) -> str:
        """One line for people."""
        if self.error:
            return f"not sent: {self.file}: {self.error}"
        others = f"; lines that could not be sent are in {self.aside}" if self.aside else ""
        return f"sent {self.rows} rows of {self.runs} runs that were kept in {self.file}{others}"


def recover(store: Store, named: Sequence[Path] = ()) -> list[Sent]:
    """Send what processes that are gone have left for a store, this process too, and the files that are named.

    A file is removed after all of it is there. What a living process keeps is left to that.
    """
    chosen = [file.resolve() for file in named]
    sent = []
    for left in unsent(store):
        if (left.file.resolve() in chosen) if chosen else left.is_free:
            try:
                mine = left.take(store)
            except OSError as error:
                sent.append(Sent(left.file, error=f"it cannot be moved: {error}"))
                continue
            if mine is not None:
                sent.append(_send(store, mine))
    return sent


def _send(store: Store, left: Unsent) -> Sent:
    done = Sent(left.file)
    runs: set[str] = set()
    ended: list[Ended] = []
    sweeps: set[str] = set()
    try:
        if store.file is not None and not store.file.exists():  # a new one would know none of these runs
            raise TrackingError(f"tracking: there is no database {store.file}; {way_out(store)}")
        sink = MlflowSink(store, left.head.experiment)
        with translating_store_errors(store):
            backend = backend_of(sink.client, store, sink.experiment_id, again=True)
        for some, _ in read(left.file):
            events = _write(backend, some, left.file)
            done.rows += sum(map(_count, events))
            for event in events:
                runs |= set(event.runs) if isinstance(event, Rows) else {event.run}
                ended += [event] if isinstance(event, Ended) else []
                sweeps |= _joined(event)
        pages = _mend(sink, ended)
        _show(sink, sweeps, pages)
    except (TrackingError, OSError) as error:
        done.error = str(error)
        return done
    done.runs = len(runs)
    left.remove()
    return done


def _write(backend: Backend, events: Sequence[Event], file: Path) -> list[Event]:
    """Write events, and set those aside that the store refuses by themselves; the others."""
    try:
        backend.write(events)
    except StoreAway:
        raise
    except TrackingError as error:
        if len(events) > 1:
            half = len(events) // 2
            return _write(backend, events[:half], file) + _write(backend, events[half:], file)
        set_aside(file, f"{line_of(events[0])}\n".encode(), str(error))
        return []
    return list(events)


def _count(event: Event) -> int:
    """How many rows an event is."""
    return sum(len(event.of(place)) for place in range(len(event.runs))) if isinstance(event, Rows) else 0


def _joined(event: Event) -> set[str]:
    """The sweeps that a run became a member of."""
    tags = event.info.tags if isinstance(event, Opened) else getattr(event, "tags", {})
    return {key.removeprefix(MEMBER) for key, value in tags.items() if key.startswith(MEMBER) and value == "run"}


def _mend(sink: MlflowSink, ended: Sequence[Ended]) -> dict[str, str]:
    """Take back the reason that others gave for the end of runs whose true end is known now.

    The sweeps whose own runs have ended, by own run.
    """
    pages = {}
    with translating_store_errors(sink.store):
        for event in ended:
            run = sink.known(event.run)
            tags = sink.client.get_run(run).data.tags
            if ERROR_TAG not in event.tags and tags.get(ERROR_TAG, "").startswith(GONE):
                sink.client.delete_tag(run, ERROR_TAG)
            if tags.get("kind") != "run" and tags.get("sweep"):
                pages[run] = tags["sweep"]
    return pages


def _show(sink: MlflowSink, sweeps: Collection[str], pages: Mapping[str, str]) -> None:
    """Do for sweeps what could not be done while the store was away: each key once, and the page of charts."""
    for sweep in sorted({*sweeps, *pages.values()}):
        with translating_store_errors(sink.store):
            runs = search_all(sink.client, [sink.experiment_id], f"tags.`{member_tag(sweep)}` = 'run'")
        newest: dict[str, Run] = {}
        for run in sorted(runs, key=lambda run: (run.data.tags.get("outcome") in DONE, run.info.start_time)):
            newest[run.data.tags.get("key") or run.info.run_id] = run
        shown = {run.info.run_id for run in newest.values()}
        sink.tag((run.info.run_id for run in runs if run.info.run_id not in shown), member_tag(sweep), "superseded")
        metrics = {name for run in newest.values() for name in run.data.metrics}
        for own in [own for own, of in pages.items() if of == sweep and metrics]:
            with suppress(MlflowException):
                sink.save_view(own, sweep, metrics)


def recovery_command(store: Store) -> str:
    """The command that sends what was left for a store."""
    is_default = store.uri == os.environ.get("MLFLOW_TRACKING_URI") or store.file == Path.cwd() / DATABASE
    return "workbench recover" + ("" if is_default else f" --uri {shlex.quote(store.shown)}")
