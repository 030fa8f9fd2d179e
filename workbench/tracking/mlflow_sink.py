"""Runs in MLflow, as events that a thread writes while training goes on; never through MLflow's global state."""

import json
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from time import time
from uuid import uuid4

import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from workbench.core.credentials import bare, without_credentials
from workbench.core.errors import KeyTaken, StoreAway, TrackingError
from workbench.tracking.artifacts import bring_along, location
from workbench.tracking.base import (
    STATUS,
    Backend,
    ClaimedKey,
    Ended,
    Event,
    File,
    Opened,
    Outcome,
    Reopened,
    Rows,
    RunInfo,
    Tagged,
    outcome_of,
)
from workbench.tracking.bulk_backend import Bulk
from workbench.tracking.client import connect, search_all, translating_store_errors, undivided
from workbench.tracking.client_backend import Calls, found
from workbench.tracking.history_file import HISTORY, Columns, parquet_of
from workbench.tracking.liveness import owner_is_gone
from workbench.tracking.missing_database import refuse_another
from workbench.tracking.mlflow_limits import check_experiment, check_name, shortened
from workbench.tracking.mlflow_tables import engine_of
from workbench.tracking.resilient_backend import ResilientBackend
from workbench.tracking.saved_view import share
from workbench.tracking.store import Store, member_tag
from workbench.tracking.unsent_files import Head, UnsentFile
from workbench.tracking.writer_thread import Writer

DONE = {outcome.value for outcome, status in STATUS.items() if status == "FINISHED"}
VIEW_TAG = "view"  # of a sweep's own run
ERROR_TAG = "error"
CONFIG = "config.yaml"
NOTE_TAG = "mlflow.note.content"
MOST_OF_PARAM, MOST_OF_TAG = 6000, 8000  # characters that MLflow keeps
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the first is many times faster, but not built everywhere


class MlflowSink:
    """A sink for one experiment, by its name or its id.

    Everything goes through `writer`; `open`, `close`, `tag` and `flush` wait until all of it is kept.
    """

    def __init__(self, store: Store, experiment: str = "", experiment_id: str = "") -> None:
        self.store = store
        if not experiment_id:
            check_experiment(experiment)
        refuse_another(store)
        self.client = connect(store, writing=True)
        self.experiment_id = experiment_id or self._experiment(experiment)
        with translating_store_errors(store):
            bring_along(self.client, self.experiment_id)
            self.backend = backend_of(self.client, store, self.experiment_id)
            name = experiment or str(self.client.get_experiment(self.experiment_id).name)
        spool = UnsentFile(store, Head(store.name, name, self.experiment_id))
        self.patient = ResilientBackend(self.backend, spool, store.file)
        self.writer = Writer(self.patient.write)
        self._missed: list[Callable[[], object]] = []  # to be done once the store is back

    def _experiment(self, name: str) -> str:
        with translating_store_errors(self.store):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self.client.create_experiment(name, artifact_location=location(self.store, name)))
                except MlflowException:  # another process was faster
                    found = self.client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage != "active":
                raise TrackingError(
                    f"tracking.experiment: {name!r} must not be deleted; restore it in MLflow or name another"
                )
            return str(found.experiment_id)

    def open(self, runs: Sequence[RunInfo], known: Collection[str] | None = None) -> list[str]:
        made = {uuid4().hex: info for info in runs}
        waiting = {run: _opening(run, info) for run, info in made.items()}
        opened: dict[str, str] = {}
        try:
            if known is not None:
                events = [event for opening in waiting.values() for event in opening]
                if self._now(made, opened, lambda: self.patient.begin(events, known)):
                    waiting = {}
            while waiting:
                some = list(waiting)[: self.backend.at_once]
                part = [event for run in some for event in waiting.pop(run)]
                self._now(some, opened, partial(self.patient.write, part))
        except KeyTaken:  # with none of them begun
            raise
        except BaseException as error:
            with suppress(TrackingError):  # what stopped this is said already
                for run in opened.values():
                    self.end(run, outcome_of(error))
                self.flush()
            raise
        return [opened[run] for run in made]

    def _now(self, runs: Iterable[str], opened: dict[str, str], write: Callable[[], bool | None]) -> bool | None:
        """Write something at once, which begins these runs: `opened` gets their ids."""
        try:
            with undivided():
                return self.writer.now(write)
        finally:
            opened |= {run: found for run in runs if (found := self.patient.identity(run))}

    def open_again(self, runs: Mapping[str, Mapping[str, str]], known: Collection[str] | None = None) -> None:
        events = [Reopened(run, _tags(tags)) for run, tags in runs.items()]
        if known is None:
            self.writer.now(lambda: self.patient.write(events))
        else:
            self.writer.now(lambda: self.patient.begin(events, known))

    def held(self, keys: Collection[str]) -> list[ClaimedKey]:
        """The runs of the experiment that hold one of these keys."""
        return self.backend.held(keys)

    def done(self) -> frozenset[str]:
        """The runs of the experiment that are done."""
        return frozenset(one.run for one in self.backend.held(None) if one.is_done)

    def attach(self, run: str, name: str, content: bytes) -> None:
        self.writer.put(File(run, name, content))

    def send(self, rows: Rows) -> None:
        for name in rows.metrics:
            check_name("metric", name)
        self.writer.put(rows)

    def write(self, run: str, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        """Keep numbers of one run at one step."""
        self.send(Rows((run,), step, time_ms, {name: [value] for name, value in metrics.items()}))

    def keep_history(self, run: str, columns: Columns) -> None:
        self.attach(run, HISTORY, parquet_of(columns))

    def end(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        self.writer.put(Ended(run, outcome, _tags(tags or {}), _now()))

    def flush(self) -> None:
        self.writer.flush()

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        with undivided():
            self.end(run, outcome, tags)
            self.flush()
        if self.patient.spool.is_empty:  # else it falls to who sends that
            missed, self._missed = self._missed, []
            for act in missed:
                act()

    def tag(self, runs: Iterable[str], key: str, value: str) -> None:
        """Set a tag of runs that are kept already."""
        for run in runs:
            self.writer.put(Tagged(run, _tags({key: value})))
        self.flush()

    def end_gone(self) -> None:
        """End the runs of the experiment whose process is gone: as killed, or as it had said before."""
        with translating_store_errors(self.store):
            open_runs = search_all(self.client, [self.experiment_id], "attributes.status = 'RUNNING'")
        for run in open_runs:
            if not owner_is_gone(run.data.tags):
                continue
            with translating_store_errors(self.store):
                tags = self.client.get_run(run.info.run_id).data.tags
            if not owner_is_gone(tags):  # another has gone on with it since
                continue
            if tags.get("outcome") in DONE:  # the last thing that is written before the status
                self.close(run.info.run_id, Outcome(tags["outcome"]))
            else:
                self.close(run.info.run_id, Outcome.killed, {ERROR_TAG: f"its process {tags['pid']} is gone"})

    def known(self, run: str) -> str:
        """The id by which the store knows a run that was begun while it was away."""
        if isinstance(self.backend, Bulk):
            return run
        with translating_store_errors(self.store):
            return self.backend.identity(run) or found(self.client, self.experiment_id, run) or run

    def unfinished(self, runs: Mapping[str, str]) -> bool:
        """Whether each of these runs is there, is of the key that is given for it, and has not ended by itself."""
        with translating_store_errors(self.store):
            for identity, key in runs.items():
                try:
                    run = self.client.get_run(self.known(identity))
                except MlflowException as error:
                    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                        return False
                    raise
                tags = run.data.tags
                if run.info.lifecycle_stage != "active" or tags.get("key") != key or tags.get("outcome") in DONE:
                    return False
        return True

    def show_only(self, sweep: str, keys: Container[str], shown: Collection[str]) -> dict[str, str]:
        """Take the runs with these keys out of a sweep that are not among the `shown`, which took their place.

        The ids by which the store knows the `shown`. Where it is away, this is done once it is back.
        """
        try:
            self._catch_up()
            with translating_store_errors(self.store):
                members = self.backend.members(member_tag(sweep), "run")
            ids = {run: run if run in members else self.known(run) for run in shown}
        except StoreAway:
            self._missed.append(partial(self.show_only, sweep, keys, shown))
            return {}
        strays = [run for run, key in members.items() if key in keys and run not in ids.values()]
        self.tag(strays, member_tag(sweep), "superseded")
        return ids

    def save_view(self, run: str, sweep: str, metrics: Iterable[str]) -> bool:
        """Save the chart page of a sweep whose own run is `run`.

        False where this MLflow is not known to show it, or the store is away: then it is saved once that is back.
        """
        try:
            self._catch_up()
            with translating_store_errors(self.store):
                saved = share(
                    self.client,
                    self.experiment_id,
                    sweep,
                    metrics,
                    lambda: self.backend.params(member_tag(sweep), "run"),
                )
        except StoreAway:
            self._missed.append(partial(self.save_view, run, sweep, metrics))
            return False
        if saved:
            self.tag([run], VIEW_TAG, "saved")
        return saved

    def _catch_up(self) -> None:
        """Send what waits, so that the store shows all runs; raise StoreAway where that does not go."""
        if not self.patient.spool.is_empty:
            self.writer.now(self.patient.send_waiting)
        if not self.patient.spool.is_empty:
            raise StoreAway(f"tracking: the store {self.store.shown} is away")


def backend_of(client: MlflowClient, store: Store, experiment_id: str, again: bool = False) -> Backend:
    """What writes to an experiment; with `again`, some of it may be there already."""
    if engine_of(client) is not None:
        return Bulk(client, store, experiment_id)
    return Calls(client, store, experiment_id, again)


def _now() -> int:
    return int(time() * 1000)


def _opening(run: str, info: RunInfo) -> list[Event]:
    """What begins a run, without passwords and no longer than MLflow keeps it."""
    params = {}
    for key, value in info.params.items():
        check_name("param", key)
        params[key] = _param(value)
    tags = _tags({**info.tags, NOTE_TAG: info.note})
    bare = replace(info, params=params, tags=tags, note="", config={})
    return [Opened(run, bare, _now()), *([File(run, CONFIG, _config(info.config))] if info.config else [])]


@lru_cache(maxsize=10_000)  # runs of a sweep share most of them
def _param(value: str) -> str:
    return shortened(without_credentials(value), MOST_OF_PARAM)


def _config(config: Mapping[str, object]) -> bytes:
    """The content of CONFIG. Runs of a sweep differ in few sections: each is written out once."""
    return "".join(_section(json.dumps({name: content})) for name, content in config.items()).encode()


@lru_cache(maxsize=1000)
def _section(content: str) -> str:
    text: str = yaml.dump(bare(json.loads(content)), Dumper=DUMPER, sort_keys=False)
    return text


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    for key in tags:
        check_name("tag", key)
    return {key: shortened(without_credentials(value), MOST_OF_TAG) for key, value in tags.items()}
