"""A client of MLflow's store, and what is done to its errors and to signals around it."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
for _name in (
    "alembic",
    "mlflow.store.db.utils",
):  # a new database would announce each of its migrations
    logging.getLogger(_name).setLevel(logging.WARNING)

from filelock import FileLock  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Run  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from workbench.errors import TrackingError  # noqa: E402
from workbench.tracking.sqlite import make, write_ahead  # noqa: E402
from workbench.tracking.store import Store, without_credentials  # noqa: E402

PAGE = 1000


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
