"""MLflow's environment variables: the experiment to search where none is named, and variables without effect."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.core.errors import TrackingError

if TYPE_CHECKING:
    from workbench.tracking.reading import Reading

NAME, ID, RUN = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"


def usual_experiments(reading: "Reading") -> list[str] | None:
    """Ids of the experiments in which the newest run or sweep is looked for; None for all.

    Raises TrackingError where the store has none of that name or id.
    """
    name, identity = os.environ.get(NAME), os.environ.get(ID)
    if not name and not identity:
        return None
    for known, experiment_id in reading.experiments.items():
        if name == known if name else identity == experiment_id:
            return [experiment_id]
    variable, value = (NAME, name) if name else (ID, identity)
    shown = reading.store.shown
    raise TrackingError(
        f"tracking: ${variable} must name an experiment of {shown}, got {value!r}; unset it, or name a run or a "
        "sweep by its id"
    )


def not_followed() -> Iterator[str]:
    """Yield sentences on variables that are set and have no effect on training."""
    if os.environ.get(ID) and not os.environ.get(NAME):
        yield f"${ID} is not followed: experiments are known by name; set {NAME}, or write tracking.experiment=..."
    if os.environ.get(RUN):
        yield f"${RUN} is not followed: each run that is trained is a new one"
