"""Runs in MLflow, as events that a thread writes while training goes on; MLflow's global state is not used."""

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
from workbench.tracking.artifact_writes import bring_along
from workbench.tracking.artifacts import location
from workbench.tracking.base import (
    CONFIG,
    STATUS,
    VIEW_TAG,
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
from workbench.tracking.client import connect, search_all, undivided
from workbench.tracking.client_backend import Calls, server_id_of
from workbench.tracking.history_file import HISTORY, Columns, parquet_of
from workbench.tracking.liveness import owner_is_gone
from workbench.tracking.missing_database import refuse_another
from workbench.tracking.mlflow_limits import check_experiment, check_name, shortened
from workbench.tracking.mlflow_tables import engine_of
from workbench.tracking.resilient_backend import ResilientBackend
from workbench.tracking.store import Store, member_tag
from workbench.tracking.store_errors import translating_store_errors
from workbench.tracking.sweep_page import publish
from workbench.tracking.unsent_files import Head, UnsentFile
from workbench.tracking.writer_thread import Writer

DONE = {outcome.value for outcome, status in STATUS.items() if status == "FINISHED"}
ERROR_TAG = "error"
NOTE_TAG = "mlflow.note.content"
MOST_OF_PARAM, MOST_OF_TAG = 6000, 8000  # characters that MLflow keeps
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the first is many times faster, but not built everywhere


class MlflowSink:
    """Sink for one experiment, by its name or its id; raises TrackingError as `Sink` does.

    Everything goes through `writer`; `open`, `close`, `tag` and `flush` wait until all of it is stored.
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
        unsent = UnsentFile(store, Head(store.name, name, self.experiment_id))
        self.resilient = ResilientBackend(self.backend, unsent, store.file)
        self.writer = Writer(self.resilient.write)
        self._missed: list[Callable[[], object]] = []  # to be done once the store is back

    def _experiment(self, name: str) -> str:
        """Id of the experiment of this name, made if needed; raises TrackingError where it was deleted."""
        with translating_store_errors(self.store):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                try:
                    return str(self.client.create_experiment(name, artifact_location=location(self.store, name)))
                except MlflowException:  # another process was faster
                    experiment = self.client.get_experiment_by_name(name)
            if experiment is None or experiment.lifecycle_stage != "active":
                raise TrackingError(
                    f"tracking.experiment: {name!r} must not be deleted; restore it in MLflow or name another"
                )
            return str(experiment.experiment_id)

    def open(self, runs: Sequence[RunInfo], known: Collection[str] | None = None) -> list[str]:
        infos = {uuid4().hex: info for info in runs}
        waiting = {run: _opening(run, info) for run, info in infos.items()}
        opened: dict[str, str] = {}
        try:
            if known is not None:
                events = [event for opening in waiting.values() for event in opening]
                if self._now(infos, opened, lambda: self.resilient.begin(events, known)):
                    waiting = {}
            while waiting:
                batch = list(waiting)[: self.backend.at_once]
                part = [event for run in batch for event in waiting.pop(run)]
                self._now(batch, opened, partial(self.resilient.write, part))
        except KeyTaken:  # none of them was begun
            raise
        except BaseException as error:
            with suppress(TrackingError):  # the first error is raised below
                for run in opened.values():
                    self.end(run, outcome_of(error))
                self.flush()
            raise
        return [opened[run] for run in infos]

    def _now(self, runs: Iterable[str], opened: dict[str, str], write: Callable[[], bool | None]) -> bool | None:
        """Call `write`, which begins these runs, and wait; `opened` gets their ids."""
        try:
            with undivided():
                return self.writer.now(write)
        finally:
            opened |= {run: stored_id for run in runs if (stored_id := self.resilient.identity(run))}

    def open_again(self, runs: Mapping[str, Mapping[str, str]], known: Collection[str] | None = None) -> None:
        events = [Reopened(run, _tags(tags)) for run, tags in runs.items()]
        if known is None:
            self.writer.now(lambda: self.resilient.write(events))
        else:
            self.writer.now(lambda: self.resilient.begin(events, known))

    def held(self, keys: Collection[str]) -> list[ClaimedKey]:
        """Runs of the experiment that hold one of these keys."""
        return self.backend.held(keys)

    def done(self) -> frozenset[str]:
        """Runs of the experiment that are done."""
        return frozenset(claim.run for claim in self.backend.held(None) if claim.is_done)

    def attach(self, run: str, name: str, content: bytes) -> None:
        self.writer.put(File(run, name, content))

    def send(self, rows: Rows) -> None:
        for name in rows.metrics:
            check_name("metric", name)
        self.writer.put(rows)

    def write(self, run: str, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        """Store numbers of one run at one step."""
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
        if self.resilient.unsent.is_empty:  # else the process that sends those events does it
            missed, self._missed = self._missed, []
            for act in missed:
                act()

    def tag(self, runs: Iterable[str], key: str, value: str) -> None:
        """Set a tag of runs that are stored already."""
        for run in runs:
            self.writer.put(Tagged(run, _tags({key: value})))
        self.flush()

    def end_gone(self) -> None:
        """End the runs of the experiment whose process is gone: as killed, or with the outcome they had recorded."""
        with translating_store_errors(self.store):
            open_runs = search_all(self.client, [self.experiment_id], "attributes.status = 'RUNNING'")
        for run in open_runs:
            if not owner_is_gone(run.data.tags):
                continue
            with translating_store_errors(self.store):
                tags = self.client.get_run(run.info.run_id).data.tags
            if not owner_is_gone(tags):  # another process has resumed it since
                continue
            if tags.get("outcome") in DONE:  # this tag is written last before the status
                self.close(run.info.run_id, Outcome(tags["outcome"]))
            else:
                self.close(run.info.run_id, Outcome.killed, {ERROR_TAG: f"its process {tags['pid']} is gone"})

    def known(self, run: str) -> str:
        """The store's id of a run that was begun while the store was away."""
        if isinstance(self.backend, Bulk):
            return run
        with translating_store_errors(self.store):
            return self.backend.identity(run) or server_id_of(self.client, self.experiment_id, run) or run

    def unfinished(self, runs: Mapping[str, str]) -> bool:
        """Whether each of these runs exists, has the key that is given for it, and has not ended by itself."""
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
        """Take runs with these keys out of a sweep, except those in `shown`, which replace them.

        Returns the store's ids of the `shown`; empty where the store is away, and then this is done once it is back.
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
        """Save the chart page of a sweep whose own run is `run`, with a run for each arm, or of `run` alone.

        False where this MLflow is not known to show it, or the store is away: then it is saved once that is back.
        """
        try:
            self._catch_up()
            with translating_store_errors(self.store):
                page = (self.store, self.client, self.backend, self.experiment_id, run, sweep, set(metrics))
                saved = publish(*page, lambda events: self.writer.now(partial(self.resilient.write, events)))
        except StoreAway:
            self._missed.append(partial(self.save_view, run, sweep, metrics))
            return False
        if saved:
            self.tag([run], VIEW_TAG, "saved")
        return saved

    def _catch_up(self) -> None:
        """Send waiting events, so that the store shows all runs; raises StoreAway where that fails."""
        if not self.resilient.unsent.is_empty:
            self.writer.now(self.resilient.send_waiting)
        if not self.resilient.unsent.is_empty:
            raise StoreAway(f"tracking: the store {self.store.shown} is away")


def backend_of(client: MlflowClient, store: Store, experiment_id: str, again: bool = False) -> Backend:
    """Backend for an experiment; with `again`, some of the events may be stored already."""
    if engine_of(client) is not None:
        return Bulk(client, store, experiment_id)
    return Calls(client, store, experiment_id, again)


def _now() -> int:
    return int(time() * 1000)


def _opening(run: str, info: RunInfo) -> list[Event]:
    """Events that begin a run, without passwords and cut to MLflow's limits."""
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
    """Content of CONFIG. Runs of a sweep differ in few sections: each is written out once."""
    return "".join(_section(json.dumps({name: content})) for name, content in config.items()).encode()


@lru_cache(maxsize=1000)
def _section(content: str) -> str:
    text: str = yaml.dump(bare(json.loads(content)), Dumper=DUMPER, sort_keys=False)
    return text


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    for key in tags:
        check_name("tag", key)
    return {key: shortened(without_credentials(value), MOST_OF_TAG) for key, value in tags.items()}
