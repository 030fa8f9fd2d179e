"""Runs in MLflow, written through `MlflowClient`, never through the global state of MLflow's fluent API."""

import json
import logging
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time
from types import FrameType
from urllib.parse import urlparse
from urllib.request import url2pathname

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
for _name in (
    "alembic",
    "mlflow.store.db.utils",
):  # a new database would announce each of its migrations
    logging.getLogger(_name).setLevel(logging.WARNING)

import yaml  # noqa: E402
from filelock import FileLock  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from workbench.errors import TrackingError  # noqa: E402
from workbench.tracking.base import DatasetInfo, Outcome, RunInfo, outcome_of  # noqa: E402
from workbench.tracking.liveness import owner_is_gone  # noqa: E402
from workbench.tracking.sqlite import make, write_ahead  # noqa: E402
from workbench.tracking.store import Store, member_tag, runs_filter, without_credentials  # noqa: E402
from workbench.tracking.view import share  # noqa: E402

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
PAGE = 1000
SECONDS_BETWEEN_FLUSHES = 5.0
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the first is many times faster, but not built everywhere
MOST_OF_TIME = 0.1  # that flushing before a run's end may take, however many runs are open


@contextmanager
def kept_by(store: Store) -> Iterator[None]:
    """Turn what MLflow and its database raise into TrackingError."""
    try:
        yield
    except ImportError as error:
        raise TrackingError(
            f"tracking: the store {store.shown} needs a driver that is not installed: {error}; for PostgreSQL install "
            "workbench[postgres] and write tracking.uri=postgresql+psycopg2://..."
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        lines = [line for line in str(error).splitlines() if not line.startswith("(raised as a result of")]
        reason = without_credentials(lines[0] if lines else type(error).__name__)
        raise TrackingError(f"tracking: the store {store.shown} did not answer as it must: {reason}") from error


@contextmanager
def undivided() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done: no run is begun or ended by half, and no row lost.

    Raised in the midst of the database's own code, they could also vanish in one of its finalizers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


def connect(store: Store) -> MlflowClient:
    """A client of the store; the first one creates an sqlite database, under a lock against other processes."""
    lock = nullcontext() if store.file is None else FileLock(f"{store.file}.lock", timeout=120)
    with kept_by(store), lock:
        if store.file is not None:
            if not store.file.exists():
                make(store.file)
            write_ahead(store.file)
        client = MlflowClient(tracking_uri=store.uri)
        client.search_experiments(max_results=1)
        return client


def search_all(client: MlflowClient, experiments: list[str], wanted: str) -> list[Run]:
    """Every run that a search finds, whatever the size of MLflow's pages."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiments, wanted, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


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
