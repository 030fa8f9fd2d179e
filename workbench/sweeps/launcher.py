"""What our Hydra launcher does with a multirun: compose every run, then train them together."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from workbench.compose import compose_runs, multirun
from workbench.sweeps.executors.base import Executor


def launch(
    config_loader: Any, config: Any, job_overrides: Sequence[Sequence[str]], executor: Executor
) -> list[JobReturn]:
    """One JobReturn per list of overrides, with the run's last metrics as its value."""
    specs = compose_runs(config_loader, config, job_overrides)
    try:
        metrics = multirun.get()(specs, executor)
    finally:
        executor.close()
    return [
        JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=values)
        for overrides, values in zip(job_overrides, metrics, strict=True)
    ]
