"""Runs in MLflow, written through `MlflowClient`, never through the global state of MLflow's fluent API."""

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time
from urllib.parse import urlparse
from urllib.request import url2pathname

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from workbench.errors import TrackingError
from workbench.tracking.base import DatasetInfo, Outcome, RunInfo, outcome_of
from workbench.tracking.client import connect, kept_by, search_all, undivided
from workbench.tracking.liveness import owner_is_gone
from workbench.tracking.store import Store, member_tag, runs_filter, without_credentials
from workbench.tracking.view import share

STATUS = {
    Outcome.finished: "FINISHED",
    Outcome.diverged: "FINISHED",
    Outcome.pruned: "FINISHED",
    Outcome.failed: "FAILED",
    Outcome.interrupted: "KILLED",
    Outcome.killed: "KILLED",
}
DONE = {outcome.value for outcome, status in STATUS.items() if status == "FINISHED"}
VIEW_TAG = "view"  # of a sweep's own run
ERROR_TAG = "error"
ROWS_PER_CALL = 1000
SECONDS_BETWEEN_FLUSHES = 5.0
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the first is many times faster, but not built everywhere
MOST_OF_TIME = 0.1  # that flushing before a run's end may take, however many runs are open


class MlflowSink:
    """A sink for one experiment, by its name or its id. Rows are sent in batches; `close` sends the rest of its run."""

    def __init__(self, store: Store, experiment: str = "", experiment_id: str = "") -> None:
        self.store = store
        self.client = connect(store)
        self.experiment_id = experiment_id or self._experiment(experiment)
        self._rows: dict[str, list[Metric]] = defaultdict(list)
        self._flushed = monotonic()
        self._flushing = 0.0  # seconds that sending all waiting rows took

    def _experiment(self, name: str) -> str:
        with kept_by(self.store):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self.client.create_experiment(name, artifact_location=self._artifacts(name)))
                except MlflowException:  # another process was faster
                    found = self.client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage != "active":
                raise TrackingError(
                    f"tracking.experiment: {name!r} must not be deleted; restore it in MLflow or name another"
                )
            return str(found.experiment_id)

    def _artifacts(self, name: str) -> str | None:
        return None if self.store.artifacts is None else f"{self.store.artifacts}/{name.replace('/', '_')}"

    def open(self, runs: Sequence[RunInfo]) -> list[str]:
        opened: list[str] = []
        try:
            for info in runs:
                with kept_by(self.store), undivided():
                    self._open(info, opened)
        except BaseException as error:
            for run in opened:
                with suppress(TrackingError):  # what stopped this is said already
                    self.close(run, outcome_of(error))
            raise
        return opened

    def _open(self, info: RunInfo, opened: list[str]) -> None:
        tags = {**info.tags, "mlflow.note.content": without_credentials(info.note)}
        made = self.client.create_run(self.experiment_id, tags=tags, run_name=info.name).info
        run = str(made.run_id)
        opened.append(run)
        params = [Param(key, without_credentials(value)) for key, value in info.params.items()]
        self.client.log_batch(run, params=params)
        if info.dataset:
            self.client.log_inputs(run, datasets=[_dataset_input(info.dataset)])
        if info.config:
            self._keep_config(run, made.artifact_uri, info.config)

    def _keep_config(self, run: str, folder: str, config: Mapping[str, object]) -> None:
        """``config.yaml``; written here where the store is a file, because MLflow would read the whole run first."""
        text = yaml.dump(json.loads(without_credentials(json.dumps(dict(config)))), Dumper=DUMPER, sort_keys=False)
        if self.store.file is None:
            self.client.log_text(run, text, "config.yaml")
            return
        place = Path(url2pathname(urlparse(folder).path))
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.yaml").write_text(text)

    def write(self, run: str, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        self._rows[run] += [Metric(name, value, time_ms, step) for name, value in metrics.items()]
        if len(self._rows[run]) >= ROWS_PER_CALL:
            self._flush(run)
        if monotonic() - self._flushed > max(SECONDS_BETWEEN_FLUSHES, self._flushing / MOST_OF_TIME):
            started = monotonic()
            for waiting in list(self._rows):
                self._flush(waiting)
            self._flushed = monotonic()
            self._flushing = self._flushed - started

    def _flush(self, run: str, tags: Sequence[RunTag] = ()) -> None:
        with undivided(), kept_by(self.store):
            rows = self._rows.pop(run, [])
            *parts, last = [rows[start : start + ROWS_PER_CALL] for start in range(0, len(rows) or 1, ROWS_PER_CALL)]
            for part in parts:
                self.client.log_batch(run, metrics=part)
            self.client.log_batch(run, metrics=last, tags=tags)

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        with undivided(), kept_by(self.store):
            ending = {**(tags or {}), "outcome": outcome.value}
            self._flush(run, [RunTag(key, value) for key, value in ending.items()])
            self.client.set_terminated(run, STATUS[outcome], end_time=int(time() * 1000))

    def tag(self, runs: Iterable[str], key: str, value: str) -> None:
        """Set a tag of runs that are kept already."""
        with kept_by(self.store):
            for run in runs:
                self.client.set_tag(run, key, value)

    def open_again(self, run: str, tags: Mapping[str, str]) -> None:
        with undivided(), kept_by(self.store):
            self.client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])
            if ERROR_TAG in self.client.get_run(run).data.tags:
                self.client.delete_tag(run, ERROR_TAG)
            self.client.update_run(run, status="RUNNING")

    def attach(self, run: str, name: str, content: bytes) -> None:
        with undivided(), kept_by(self.store), TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            self.client.log_artifact(run, str(file))

    def end_gone(self) -> None:
        """End the runs of the experiment whose process is gone: as killed, or as it had said before."""
        with kept_by(self.store):
            open_runs = search_all(self.client, [self.experiment_id], "attributes.status = 'RUNNING'")
        for run in open_runs:
            tags = run.data.tags
            if not owner_is_gone(tags):
                continue
            if tags.get("outcome") in DONE:  # the last thing that is written before the status
                self.close(run.info.run_id, Outcome(tags["outcome"]))
            else:
                self.close(run.info.run_id, Outcome.killed, {ERROR_TAG: f"its process {tags['pid']} is gone"})

    def unfinished(self, runs: Iterable[str]) -> bool:
        """Whether each of these runs is there and has not ended by itself."""
        with kept_by(self.store):
            for identity in runs:
                try:
                    run = self.client.get_run(identity)
                except MlflowException as error:
                    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                        return False
                    raise
                if run.info.lifecycle_stage != "active" or run.data.tags.get("outcome") in DONE:
                    return False
        return True

    def show_only(self, sweep: str, keys: Container[str], shown: Container[str]) -> None:
        """Take the runs with these keys out of a sweep that are not among the `shown`: others took their place."""
        with kept_by(self.store):
            members = search_all(self.client, [self.experiment_id], runs_filter(sweep))
        strays = [run.info.run_id for run in members if run.data.tags.get("key") in keys]
        self.tag([run for run in strays if run not in shown], member_tag(sweep), "superseded")

    def save_view(self, run: str, sweep: str, metrics: Iterable[str]) -> bool:
        """Save the chart page of a sweep whose own run is `run`; False where this MLflow is not known to show it."""
        with kept_by(self.store):
            saved = share(self.client, self.experiment_id, sweep, metrics)
            if saved:
                self.client.set_tag(run, VIEW_TAG, "saved")
            return saved


def attach(store: Store, run: str, files: Sequence[Path], folder: str) -> None:
    """Keep files in a folder of a run's artifacts."""
    client = connect(store)
    with kept_by(store):
        for file in files:
            client.log_artifact(run, str(file), folder)


def _dataset_input(info: DatasetInfo) -> DatasetInput:
    profile = f'{{"num_rows": {info.examples}, "num_features": {info.features}}}'
    dataset = Dataset(info.name, info.digest, "local", f'{{"uri": "workbench:{info.name}"}}', profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
