"""Sends what was left of processes whose store was away: once, however often it is asked for and interrupted."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException

from workbench.errors import StoreAway, TrackingError
from workbench.tracking.base import Backend, Ended, Event, Opened, Rows
from workbench.tracking.client import kept_by
from workbench.tracking.lines import line_of
from workbench.tracking.missing import way_out
from workbench.tracking.mlflow import ERROR_TAG, MlflowSink, backend_of
from workbench.tracking.spool import Unsent, aside, read, set_aside, unsent
from workbench.tracking.store import Store, member_tag

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
    sweeps: dict[str, str] = {}
    try:
        if store.file is not None and not store.file.exists():  # a new one would know none of these runs
            raise TrackingError(f"tracking: there is no database {store.file}; {way_out(store)}")
        sink = MlflowSink(store, left.head.experiment)
        with kept_by(store):
            backend = backend_of(sink.client, store, sink.experiment_id, again=True)
        for some, _ in read(left.file):
            events = _write(backend, some, left.file)
            done.rows += sum(map(_count, events))
            for event in events:
                runs |= set(event.runs) if isinstance(event, Rows) else {event.run}
                ended += [event] if isinstance(event, Ended) else []
                if isinstance(event, Opened) and event.info.tags.get("kind") == "sweep":
                    sweeps[event.run] = event.info.tags.get("sweep", "")
        _mend(sink, ended)
        _show(sink, sweeps)
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


def _mend(sink: MlflowSink, ended: Sequence[Ended]) -> None:
    """Take back the reason that others gave for the end of runs whose true end is known now."""
    with kept_by(sink.store):
        for event in ended:
            if ERROR_TAG not in event.tags:
                run = sink.known(event.run)
                if sink.client.get_run(run).data.tags.get(ERROR_TAG, "").startswith(GONE):
                    sink.client.delete_tag(run, ERROR_TAG)


def _show(sink: MlflowSink, sweeps: dict[str, str]) -> None:
    """Save the chart pages that could not be saved."""
    for own, sweep in sweeps.items():
        with kept_by(sink.store), suppress(MlflowException):
            members = sink.backend.members(member_tag(sweep), "run")
            if members:
                metrics = sink.client.get_run(next(iter(members))).data.metrics
                sink.save_view(sink.known(own), sweep, metrics)
