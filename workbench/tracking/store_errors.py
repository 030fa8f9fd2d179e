"""Errors of MLflow and of its database, translated; MLflow is not imported for it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from workbench.core.credentials import hidden
from workbench.core.errors import StoreAway, TrackingError
from workbench.tracking.store import Store

_SERVER_ERRORS = 500


def _of_mlflow() -> tuple[type[Exception], ...]:
    """MLflow's own error, where it was imported: otherwise nothing raises it."""
    module = sys.modules.get("mlflow.exceptions")
    return (module.MlflowException,) if module else ()


def store_errors() -> tuple[type[Exception], ...]:
    """What a store may raise: errors of MLflow, if it was imported, of its database, and of files."""
    return (*_of_mlflow(), SQLAlchemyError, OSError)


@contextmanager
def translating_store_errors(store: Store) -> Iterator[None]:
    """Turn errors of MLflow and its database into TrackingError, or StoreAway where a later try may succeed."""
    try:
        yield
    except ImportError as error:
        raise TrackingError(
            f"tracking: the store {store.shown} needs a driver that is not installed: {error}; for PostgreSQL write "
            "pip install 'workbench[postgres]' and tracking.uri=postgresql://..."
        ) from error
    except store_errors() as error:
        lines = [line for line in str(error).splitlines() if not line.startswith("(raised as a result of")]
        reason = hidden(lines[0] if lines else type(error).__name__, store.uri)
        kind = StoreAway if _is_away(error) else TrackingError
        message = f"tracking: the store {store.shown} did not answer as it must: {reason}; workbench doctor looks at it"
        raise kind(f"{message}, tracking.uri=... (or --uri) names another") from bare(error, store)


def bare(error: Exception, store: Store) -> Exception | None:
    """The error as a cause to chain; None where its text holds what must not be shown."""
    chain: list[BaseException] = [error]
    while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None and earlier not in chain:
        chain.append(earlier)
    return error if all(hidden(str(link), store.uri) == str(link) for link in chain) else None


def _is_away(error: BaseException) -> bool:
    """Whether the same request may succeed later; otherwise it was refused."""
    if "no such table" in str(error) or "no such column" in str(error):  # sqlite's word for a wrong database
        return False
    if isinstance(error, _of_mlflow()):
        untyped: Any = error
        return bool(untyped.get_http_status_code() >= _SERVER_ERRORS)
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        )
    return True
