"""Entry of the Hydra launcher: compose every run of a multirun, then train them together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import instantiate
from omegaconf import DictConfig

from workbench.config.compose import Bases, compose_runs, multirun
from workbench.config.compose_errors import in_our_words
from workbench.core.errors import ConfigError
from workbench.sweeps.shapes import as_list

if TYPE_CHECKING:
    from workbench.sweeps.executors.base import Executor


def launch(config_loader: Any, config: Any, job_overrides: Sequence[Sequence[str]], executor: Any) -> list[JobReturn]:
    """Train all runs; returns one JobReturn per list of overrides, with the run's last metrics as its value.

    `executor` is one, or the node of one, made once the runs are composed. Raises ConfigError for an executor that is
    none, and as composing does.
    """
    specs = compose_runs(config_loader, config, job_overrides)
    with _made_when_asked(executor) as make_executor:
        metrics = multirun.get()(specs, make_executor)
    return [
        JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=values)
        for overrides, values in zip(job_overrides, metrics, strict=True)
    ]


@contextmanager
def _made_when_asked(executor: Any) -> Iterator[Callable[[], "Executor"]]:
    """Yield a function that makes the executor on its first call; closes what was made."""
    made: list[Executor] = []

    def make() -> "Executor":
        if not made:
            with in_our_words():
                made.append(instantiate(executor) if isinstance(executor, DictConfig) else executor)
            _check(made[0])
        return made[0]

    try:
        yield make
    finally:
        for one in made:
            if hasattr(one, "close"):
                one.close()


def _check(executor: Any) -> None:
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
    executor: Any,
) -> None:
    """Search over the swept keys; those in `replicate` repeat each trial instead; `executor` as for `launch`."""
    from workbench.sweeps.search import Search, make_settings  # imports torch
    from workbench.sweeps.space import make_space

    bases: Bases = {}
    search = Search(
        make_space(overrides, as_list(replicate)),
        make_settings(**settings),
        lambda runs: compose_runs(config_loader, config, runs, bases),
    )
    with _made_when_asked(executor) as make_executor:
        multirun.get()(search, make_executor)
