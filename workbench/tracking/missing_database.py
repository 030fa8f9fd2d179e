"""A database that is gone while files wait for it: no other takes its place, and what to do is said."""

import shlex

from workbench.core.errors import TrackingError
from workbench.tracking.sqlite import seen
from workbench.tracking.store import Store
from workbench.tracking.unsent_files import unsent


def way_out(store: Store) -> str:
    """What to do about a database that is not there."""
    left = " ".join(shlex.quote(str(one.file)) for one in unsent(store))
    return f"put it back; if it is lost for good, write rm {left}, which waits for it" if left else "put it back"


def refuse_another(store: Store) -> None:
    """Raise TrackingError where a new database would take the place of one that files wait for."""
    if store.file is None or store.file.exists() or store.file in seen or not unsent(store):
        return
    raise TrackingError(f"tracking: there is no database {store.file}, but some runs wait for it; {way_out(store)}")
