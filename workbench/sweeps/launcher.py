"""What our Hydra launcher does with a multirun: compose every run, then train them together."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from workbench.compose import multirun, spec_of


def launch(config_loader: Any, config: Any, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """One JobReturn per list of overrides, with the run's last metrics as its value."""
    composed = [config_loader.load_sweep_config(config, list(overrides)) for overrides in job_overrides]
    metrics = multirun.get()([spec_of(one, one.hydra) for one in composed])
    return [
        JobReturn(
            overrides=overrides,
            cfg=one,
            hydra_cfg=one,
            status=JobStatus.COMPLETED,
            _return_value=values,
        )
        for overrides, one, values in zip(job_overrides, composed, metrics, strict=True)
    ]
