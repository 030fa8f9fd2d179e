"""MLflow's environment variables: the experiment to search where none is named, and variables without effect."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.core.errors import TrackingError
from workbench.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME, ID, RUN = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"


def usual_experiments(client: "MlflowClient", store: Store) -> list[str] | None:
    """Ids of the experiments in which the newest run or sweep is looked for; None for all.

    Raises TrackingError where the store has none of that name or id.
    """
    name, identity = os.environ.get(NAME), os.environ.get(ID)
    if not name and not identity:
        return None
    for experiment in client.search_experiments():
        if name == experiment.name if name else identity == experiment.experiment_id:
            return [str(experiment.experiment_id)]
    variable, value = (NAME, name) if name else (ID, identity)
    raise TrackingError(
        f"tracking: ${variable} must name an experiment of {store.shown}, got {value!r}; unset it, or name a run or a "
        "sweep by its id"
    )


def not_followed() -> Iterator[str]:
    """Yield sentences on variables that are set and have no effect on training."""
    if os.environ.get(ID) and not os.environ.get(NAME):
        yield f"${ID} is not followed: experiments are known by name; set {NAME}, or write tracking.experiment=..."
    if os.environ.get(RUN):
        yield f"${RUN} is not followed: each run that is trained is a new one"
