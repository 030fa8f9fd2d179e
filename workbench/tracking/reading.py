"""A store opened to be read: by its tables, which imports nothing of MLflow, else by MLflow's client.

The tables of an sqlite database are read at once, those of other databases through the client's connection.
"""

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine

from workbench.tracking.mlflow_tables import active_experiments, data_digest, engine_of, known_engine, stored_runs
from workbench.tracking.sqlite import check_access, engine_uri, look_at, seen
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors
from workbench.tracking.stored_run import RunFilter, StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs of an answer of MLflow's


@lru_cache(maxsize=8)
def _engine(address: str, file: tuple[int, int]) -> Engine:
    """Engine of an sqlite database; `file` (device, number) tells one database from the next at an address."""
    return create_engine(address)


class Reading:
    """A store that is read. Raises TrackingError for a database that this user may not read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        with translating_store_errors(store):
            check_access(store, writing=False)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client, for what the tables do not answer."""
        from workbench.tracking.client import connect

        return connect(self.store)

    @cached_property
    def engine(self) -> Any:
        """Engine of a database with the known tables; None for other stores.

        Raises StoreAway for a database that is gone since this command saw it, and TrackingError for a damaged one.
        """
        file = self.store.file
        if file is None:
            return engine_of(self.client)
        look_at(file)
        seen.add(file)
        status = file.stat()
        return known_engine(_engine(engine_uri(self.store), (status.st_dev, status.st_ino)))

    def runs(self, wanted: RunFilter, whole: bool = True, most: int | None = None) -> list[StoredRun]:
        """The runs that are wanted, the newest first, at most so many; with `whole`, with params and last metrics."""
        if self.engine is not None:
            return stored_runs(self.engine, wanted, whole, most)
        near = list(self.experiments.values()) if wanted.experiments is None else list(wanted.experiments)
        newest = ["attributes.start_time DESC"]
        runs: list[Run] = []
        for text in wanted.texts:
            token = None
            while most is None or len(runs) < most:
                page = self.client.search_runs(near, text, max_results=most or PAGE, order_by=newest, page_token=token)
                runs += page
                token = page.token
                if not token:
                    break
        return [as_stored(run) for run in runs]

    @cached_property
    def experiments(self) -> dict[str, str]:
        """Ids of the active experiments by name."""
        if self.engine is not None:
            return active_experiments(self.engine)
        return {experiment.name: experiment.experiment_id for experiment in self.client.search_experiments()}

    def data_digest(self, run: str) -> str:
        """Digest of a run's data set; empty where none was logged."""
        if self.engine is not None:
            return data_digest(self.engine, run)
        inputs = self.client.get_run(run).inputs
        return str(inputs.dataset_inputs[0].dataset.digest) if inputs and inputs.dataset_inputs else ""


def as_stored(run: "Run") -> StoredRun:
    """Convert MLflow's run."""
    info, data = run.info, run.data
    times = info.start_time or 0, info.end_time or 0
    about = (info.run_id, info.run_name or "", info.experiment_id, info.status, *times, info.artifact_uri or "")
    return StoredRun(*about, dict(data.tags), dict(data.params), dict(data.metrics))
