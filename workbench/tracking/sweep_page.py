"""The chart page of a sweep: runs of its arms, then the saved view that shows them."""

from collections.abc import Callable, Collection

from mlflow import MlflowClient

from workbench.tracking.arm_runs import keep_arms
from workbench.tracking.base import RUN, Backend, Event
from workbench.tracking.locks import locked
from workbench.tracking.saved_view import charted, is_supported, share
from workbench.tracking.store import Store, member_tag


def publish(
    store: Store,
    client: MlflowClient,
    backend: Backend,
    experiment_id: str,
    sweep: str,
    metrics: Collection[str],
    write: Callable[[list[Event]], None],
) -> bool:
    """Bring the page up to date; `write` writes events. False where this MLflow is not known to show such a page."""
    if not is_supported():
        return False
    with locked(store, "arms"):
        arms = keep_arms(store, client, experiment_id, sweep, charted(metrics), write)
    share(client, experiment_id, sweep, metrics, backend.params(member_tag(sweep), RUN), arms)
    return True
