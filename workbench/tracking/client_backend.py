"""Events through `MlflowClient`, call by call: for servers, and for versions without proved bulk statements."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

from workbench.core.errors import KeyTaken
from workbench.tracking import claimed_keys
from workbench.tracking.artifact_writes import log
from workbench.tracking.base import (
    STATUS,
    ClaimedKey,
    DatasetInfo,
    Ended,
    Event,
    File,
    Opened,
    Outcome,
    Reopened,
    Rows,
    Tagged,
)
from workbench.tracking.client import search_all
from workbench.tracking.safe_names import within
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors

ROWS_PER_CALL = 1000
CONTEXT = ("mlflow.data.context", "training")
MADE = "made"  # a tag: the id that was made before the server gave another


class Calls:
    """Backend for every store. A server makes the ids of its runs: `identity` returns those of runs begun here.

    With `again`, runs may have been begun before, and are searched by the id that was made for them.
    """

    at_once = 1

    def __init__(self, client: MlflowClient, store: Store, experiment_id: str, again: bool = False) -> None:
        self.client, self.store, self.experiment_id, self.again = client, store, experiment_id, again
        self._ids: dict[str, str] = {}
        self._tried: set[str] = set()  # to begin: the answer may have been lost
        self._rows: dict[str, list[Metric]] = defaultdict(list)

    def identity(self, run: str) -> str | None:
        return self._ids.get(run)

    def members(self, tag: str, value: str) -> dict[str, str]:
        return {run.info.run_id: run.data.tags.get("key", "") for run in self._tagged(tag, value)}

    def params(self, tag: str, value: str) -> Sequence[Mapping[str, str]]:
        return [run.data.params for run in self._tagged(tag, value)]

    def _tagged(self, tag: str, value: str) -> list[Run]:
        return search_all(self.client, [self.experiment_id], f"tags.`{tag}` = '{value}'")

    def held(self, keys: Collection[str] | None) -> list[ClaimedKey]:
        with translating_store_errors(self.store):
            return claimed_keys.by_search(self.client, self.experiment_id, keys)

    def begin(self, events: Sequence[Event], known: Collection[str]) -> bool:
        tags, keys = claimed_keys.tags_of(events), claimed_keys.keys_of(events)
        claimed_keys.refuse(keys, self.held(keys.values()), known)  # before anything is begun
        ids: dict[str, Mapping[str, str]] = {}
        with translating_store_errors(self.store):
            for event in events:
                match event:
                    case Opened():
                        ids[self._create(event)] = tags[event.run]
                    case Reopened():
                        self._change(event)
                        ids[self._id(event.run)] = tags[event.run]
        try:
            claimed_keys.agree(ids, lambda: self.held(keys.values()), known)
        except KeyTaken:
            self._give_way(events)
            raise
        return not any(isinstance(event, Opened) for event in events)

    def _give_way(self, events: Sequence[Event]) -> None:
        """Withdraw runs in favor of others that were begun at the same time."""
        with translating_store_errors(self.store):
            for event in events:
                match event:
                    case Opened():
                        self.client.delete_run(self._id(event.run))
                    case Reopened():
                        self.client.set_terminated(self._id(event.run), STATUS[Outcome.killed])

    def write(self, events: Sequence[Event]) -> None:
        self._rows.clear()
        with translating_store_errors(self.store):
            for event in events:
                match event:
                    case Rows():
                        self._gather(event)
                    case Opened():
                        self._open(event)
                    case _:
                        self._change(event)
            for run in list(self._rows):
                self._log(run, {})

    def _gather(self, rows: Rows) -> None:
        for name, values in rows.metrics.items():
            for run, value in zip(rows.runs, values, strict=True):
                if isfinite(value):
                    self._rows[self._id(run)].append(Metric(name, value, rows.time_ms, rows.step))

    def _log(self, run: str, tags: dict[str, str]) -> None:
        rows = self._rows.pop(run, [])
        *parts, last = [rows[start : start + ROWS_PER_CALL] for start in range(0, len(rows) or 1, ROWS_PER_CALL)]
        for part in parts:
            self.client.log_batch(run, metrics=part)
        self.client.log_batch(run, metrics=last, tags=[RunTag(key, value) for key, value in tags.items()])

    def _id(self, run: str) -> str:
        """The server's id of a run."""
        if run not in self._ids:
            self._ids[run] = server_id_of(self.client, self.experiment_id, run) or run
        return self._ids[run]

    def _open(self, event: Opened) -> None:
        run = self._create(event)
        self.client.log_batch(run, params=[Param(key, value) for key, value in event.info.params.items()])
        if event.info.dataset:
            self.client.log_inputs(run, datasets=[_input(event.info.dataset)])

    def _create(self, event: Opened) -> str:
        """Begin a run unless it was begun; returns the server's id."""
        info, run = event.info, self._ids.get(event.run)
        if run is None and (self.again or event.run in self._tried):
            run = server_id_of(self.client, self.experiment_id, event.run)
        if run is None:
            self._tried.add(event.run)
            tags = {**info.tags, MADE: event.run}
            run = str(self.client.create_run(self.experiment_id, event.time_ms, tags, info.name).info.run_id)
        self._ids |= {event.run: run, run: run}
        return run

    def _change(self, event: Reopened | Tagged | File | Ended) -> None:
        run = self._id(event.run)
        match event:
            case File():
                with TemporaryDirectory() as folder:
                    file = within(Path(folder), event.name)
                    file.write_bytes(event.content)
                    log(self.client, run, self.client.get_run(run).info.artifact_uri, file)
            case Tagged():
                self._log(run, dict(event.tags))
            case Reopened():
                self._log(run, dict(event.tags))
                if "error" in self.client.get_run(run).data.tags:
                    self.client.delete_tag(run, "error")
                self.client.update_run(run, status="RUNNING")
            case Ended():
                self._log(run, {**event.tags, "outcome": event.outcome.value})
                self.client.set_terminated(run, STATUS[event.outcome], end_time=event.time_ms)


def server_id_of(client: MlflowClient, experiment_id: str, made: str) -> str | None:
    """The server's id of the run that was given the id `made` here; None where there is none."""
    runs = client.search_runs([experiment_id], f"tags.{MADE} = '{made}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def profile(info: DatasetInfo) -> str:
    """Size of a data set as MLflow shows it."""
    return f'{{"num_rows": {info.examples}, "num_features": {info.features}}}'


def source(info: DatasetInfo) -> str:
    """Origin of a data set as MLflow shows it."""
    return f'{{"uri": "workbench:{info.name}"}}'


def _input(info: DatasetInfo) -> DatasetInput:
    dataset = Dataset(info.name, info.digest, "local", source(info), profile=profile(info))
    return DatasetInput(dataset, [InputTag(*CONTEXT)])
