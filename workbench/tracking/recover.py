"""Sends events left by processes whose store was away: once, however often this is run or interrupted."""

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
from workbench.tracking.client import search_all
from workbench.tracking.event_lines import line_of
from workbench.tracking.missing_database import way_out
from workbench.tracking.mlflow_sink import DONE, ERROR_TAG, MlflowSink, backend_of
from workbench.tracking.reader import SWEEP_KINDS
from workbench.tracking.store import DATABASE, Store, member_tag
from workbench.tracking.store_errors import translating_store_errors
from workbench.tracking.unsent_files import Unsent, aside, read, set_aside, unsent

MEMBER = member_tag("")
GONE = "its process "  # begins the reason that another process assumed for a run's end


@dataclass
class Sent:
    """Result of one file: numbers of runs and rows sent, and the error that stopped it.

    Lines that could not be sent are in the file `aside`, where there are any.
    """

    file: Path
    runs: int = 0
    rows: int = 0
    error: str = ""

    @property
    def aside(self) -> Path | None:
        """The file with the lines that could not be sent."""
        file = aside(self.file)
        return file if file.exists() else None

    @property
    def summary(self) -> str:
        """Line for a terminal that says what was sent, or why nothing was."""
        if self.error:
            return f"not sent: {self.file}: {self.error}"
        refused = f"; lines that could not be sent are in {self.aside}" if self.aside else ""
        return f"sent {self.rows} rows of {self.runs} runs that were kept in {self.file}{refused}"


def recover(store: Store, named: Sequence[Path] = ()) -> list[Sent]:
    """Send events left for a store by processes that are gone, and by this one, or those of the files `named`.

    Returns one `Sent` for each file. A file is removed once all its events are stored; files of living processes are
    left alone.
    """
    chosen = [file.resolve() for file in named]
    sent = []
    for abandoned in unsent(store):
        if (abandoned.file.resolve() in chosen) if chosen else abandoned.is_free:
            try:
                taken = abandoned.take(store)
            except OSError as error:
                sent.append(Sent(abandoned.file, error=f"it cannot be moved: {error}"))
                continue
            if taken is not None:
                sent.append(_send(store, taken))
    return sent


def _send(store: Store, left: Unsent) -> Sent:
    """Send one file; removes it once all its events are stored."""
    sent = Sent(left.file)
    runs: set[str] = set()
    ended: list[Ended] = []
    sweeps: set[str] = set()
    try:
        if store.file is not None and not store.file.exists():  # a new one would have none of these runs
            raise TrackingError(f"tracking: there is no database {store.file}; {way_out(store)}")
        sink = MlflowSink(store, left.head.experiment)
        with translating_store_errors(store):
            backend = backend_of(sink.client, store, sink.experiment_id, again=True)
        for batch, _ in read(left.file):
            events = _write(backend, batch, left.file)
            sent.rows += sum(map(_count, events))
            for event in events:
                runs |= set(event.runs) if isinstance(event, Rows) else {event.run}
                ended += [event] if isinstance(event, Ended) else []
                sweeps |= _joined(event)
        pages = _mend(sink, ended)
        _show(sink, sweeps, pages)
    except (TrackingError, OSError) as error:
        sent.error = str(error)
        return sent
    sent.runs = len(runs)
    left.remove()
    return sent


def _write(backend: Backend, events: Sequence[Event], file: Path) -> list[Event]:
    """Write events; set aside those that the store refuses. Returns the events written."""
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
    """Number of metric rows in an event."""
    return sum(len(event.of(place)) for place in range(len(event.runs))) if isinstance(event, Rows) else 0


def _joined(event: Event) -> set[str]:
    """Sweeps that the run of this event joined."""
    tags = event.info.tags if isinstance(event, Opened) else getattr(event, "tags", {})
    return {key.removeprefix(MEMBER) for key, value in tags.items() if key.startswith(MEMBER) and value == "run"}


def _mend(sink: MlflowSink, ended: Sequence[Ended]) -> dict[str, str]:
    """Remove the assumed reason from runs whose true end is known now.

    Returns the sweeps whose own runs have ended, by own run.
    """
    pages = {}
    with translating_store_errors(sink.store):
        for event in ended:
            run = sink.known(event.run)
            tags = sink.client.get_run(run).data.tags
            if ERROR_TAG not in event.tags and tags.get(ERROR_TAG, "").startswith(GONE):
                sink.client.delete_tag(run, ERROR_TAG)
            if tags.get("kind") in SWEEP_KINDS and tags.get("sweep"):
                pages[run] = tags["sweep"]
    return pages


def _show(sink: MlflowSink, sweeps: Collection[str], pages: Mapping[str, str]) -> None:
    """Update sweeps as if the store had not been away: one run per key, and the page of charts."""
    for sweep in sorted({*sweeps, *pages.values()}):
        with translating_store_errors(sink.store):
            runs = search_all(sink.client, [sink.experiment_id], f"tags.`{member_tag(sweep)}` = 'run'")
        newest: dict[str, Run] = {}
        for run in sorted(runs, key=lambda run: (run.data.tags.get("outcome") in DONE, run.info.start_time)):
            newest[run.data.tags.get("key") or run.info.run_id] = run
        shown = {run.info.run_id for run in newest.values()}
        sink.tag((run.info.run_id for run in runs if run.info.run_id not in shown), member_tag(sweep), "superseded")
        metrics = {name for run in newest.values() for name in run.data.metrics}
        for own_run in [own_run for own_run, of in pages.items() if of == sweep and metrics]:
            with suppress(MlflowException):
                sink.save_view(own_run, sweep, metrics)


def recovery_command(store: Store) -> str:
    """The command that sends events left for a store."""
    is_default = store.uri == os.environ.get("MLFLOW_TRACKING_URI") or store.file == Path.cwd() / DATABASE
    return "workbench recover" + ("" if is_default else f" --uri {shlex.quote(store.shown)}")
