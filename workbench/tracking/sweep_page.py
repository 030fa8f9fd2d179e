"""The chart page of a sweep: runs of its arms, then the saved views that show them; and the page of a single run."""

from collections.abc import Callable, Collection

from mlflow import MlflowClient

from workbench.tracking.arm_runs import keep_arms
from workbench.tracking.base import RUN, Backend, Event
from workbench.tracking.locks import locked
from workbench.tracking.saved_view import charted, is_supported, run_view, share, sweep_views
from workbench.tracking.store import Store, member_tag


def publish(
    store: Store,
    client: MlflowClient,
    backend: Backend,
    experiment_id: str,
    run: str,
    sweep: str,
    metrics: Collection[str],
    write: Callable[[list[Event]], None],
) -> bool:
    """Bring the page of a sweep up to date, of the `run` where `sweep` is empty; `write` writes events.

    False where this MLflow is not known to show such a page.
    """
    if not is_supported():
        return False
    if not sweep:
        share(client, experiment_id, run_view(run), metrics, [])
        return True
    with locked(store, "arms"):
        arms = keep_arms(store, client, experiment_id, sweep, charted(metrics), write)
    params = backend.params(member_tag(sweep), RUN)
    share(client, experiment_id, sweep_views(sweep, arms), metrics, params)
    return True
