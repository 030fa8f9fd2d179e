"""Advice on a database that is gone while files wait for it, and a check that no new one takes its place."""

import shlex

from workbench.core.errors import TrackingError
from workbench.tracking.sqlite import seen
from workbench.tracking.store import Store
from workbench.tracking.unsent_files import unsent


def way_out(store: Store) -> str:
    """Advice on a database that is not there."""
    files = " ".join(shlex.quote(str(file.file)) for file in unsent(store))
    return f"put it back; if it is lost for good, write rm {files}, which waits for it" if files else "put it back"


def refuse_another(store: Store) -> None:
    """Raise TrackingError where a new database would take the place of one that files wait for."""
    if store.file is None or store.file.exists() or store.file in seen or not unsent(store):
        return
    raise TrackingError(f"tracking: there is no database {store.file}, but some runs wait for it; {way_out(store)}")
