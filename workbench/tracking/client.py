"""Connections to MLflow's store, with its errors translated and signals held back."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

DEFAULTS = {  # what a store that is away costs: MLflow's own would wait for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each run that a server keeps
}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database would announce each of its migrations
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # what it tells with its traceback, it raises
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # each of its attempts would be announced

import requests  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Run  # noqa: E402
from sqlalchemy import NullPool, create_engine  # noqa: E402

from workbench.core.errors import StoreAway  # noqa: E402
from workbench.core.signals import SIGNALS  # noqa: E402
from workbench.tracking.locks import locked  # noqa: E402
from workbench.tracking.sqlite import (  # noqa: E402
    check_access,
    engine_uri,
    is_read_only,
    look_at,
    make,
    seen,
    write_ahead,
)
from workbench.tracking.store import Store  # noqa: E402
from workbench.tracking.store_errors import bare, translating_store_errors  # noqa: E402

PAGE = 1000
SECONDS_TO_REACH = 5  # a store, when a command begins
SECONDS_TO_WAIT = 120  # for another process that makes the tables of a new database
LOCK = 7_020_251_124  # PostgreSQL's name for that: any number that nobody else takes


@contextmanager
def undivided() -> Iterator[None]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the block is done, so that no run is half begun and no row lost.

    Raised in the midst of the database's own code, they could also vanish in one of its finalizers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append(number)

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


def connect(store: Store, writing: bool = False) -> MlflowClient:
    """Connect to the store. The first process makes the tables of a new database; others wait until they are made.

    A database that may only be read is read without a lock. Raises StoreAway within seconds for a store that cannot be
    reached, and TrackingError for a database that this user may not read or, when `writing`, write to.
    """
    with translating_store_errors(store):
        check_access(store, writing)
        only_read = is_read_only(store)
    with translating_store_errors(store), nullcontext() if only_read else _first(store):
        if store.file is not None:
            look_at(store.file)
            if not only_read:
                if not store.file.exists():
                    make(store.file)
                write_ahead(store.file)
                seen.add(store.file)
        client = MlflowClient(tracking_uri=engine_uri(store))
        client.search_experiments(max_results=1)
        return client


def _first(store: Store) -> AbstractContextManager[object]:
    """Lock a database while connecting: MLflow itself would make its tables several times at once."""
    if store.file is not None:
        return locked(store)
    if store.is_postgres:
        return _advisory_lock(store)
    if store.is_server:
        _reach(store)
    return nullcontext()


def _reach(store: Store) -> None:
    """Raise StoreAway where no server answers."""
    try:
        requests.get(f"{store.uri.rstrip('/')}/health", timeout=(SECONDS_TO_REACH, 2 * SECONDS_TO_REACH))
    except requests.RequestException as error:
        raise StoreAway(
            f"tracking: the store {store.shown} does not answer ({type(error).__name__}); start it, or name another by "
            "tracking.uri=... (or --uri)"
        ) from bare(error, store)


@contextmanager
def _advisory_lock(store: Store) -> Iterator[None]:
    """Hold a lock of the database itself, for all hosts; it ends with its transaction."""
    engine = create_engine(store.uri, poolclass=NullPool, connect_args={"connect_timeout": SECONDS_TO_REACH})
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SECONDS_TO_WAIT}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        yield


def search_all(client: MlflowClient, experiments: list[str], wanted: str) -> list[Run]:
    """Every run that a search finds, over all of MLflow's pages."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiments, wanted, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs
