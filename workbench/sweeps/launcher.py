"""Entry of the Hydra launcher: compose every run of a multirun, then train them together."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus

from workbench.config.compose import Bases, compose_runs, multirun
from workbench.core.errors import ConfigError
from workbench.sweeps.executors.base import Executor
from workbench.sweeps.search import Search, make_settings
from workbench.sweeps.shapes import as_list
from workbench.sweeps.space import make_space


def launch(
    config_loader: Any, config: Any, job_overrides: Sequence[Sequence[str]], executor: Executor
) -> list[JobReturn]:
    """Train all runs; returns one JobReturn per list of overrides, with the run's last metrics as its value.

    Raises ConfigError for an executor that is none, and as composing does.
    """
    _check(executor)
    specs = compose_runs(config_loader, config, job_overrides)
    try:
        metrics = multirun.get()(specs, executor)
    finally:
        executor.close()
    return [
        JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=values)
        for overrides, values in zip(job_overrides, metrics, strict=True)
    ]


def _check(executor: Executor) -> None:
    """Raise ConfigError for an object that is no executor."""
    if not all(hasattr(executor, name) for name in ("run", "ready", "close")):
        got = type(executor).__name__
        raise ConfigError(
            f"hydra.launcher.executor: must be an executor, got {got}; "
            "write hydra/launcher=packed_processes in its place"
        )


def launch_search(
    config_loader: Any,
    config: Any,
    overrides: Sequence[Override],
    replicate: Any,
    settings: Mapping[str, Any],
    executor: Executor,
) -> None:
    """Search over the swept keys; those in `replicate` repeat each trial instead."""
    _check(executor)
    bases: Bases = {}
    search = Search(
        make_space(overrides, as_list(replicate)),
        make_settings(**settings),
        lambda runs: compose_runs(config_loader, config, runs, bases),
    )
    try:
        multirun.get()(search, executor)
    finally:
        executor.close()
