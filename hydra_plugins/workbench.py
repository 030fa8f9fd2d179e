"""Hydra takes plugins from the namespace package ``hydra_plugins`` only: this is its door to `workbench.sweeps`."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(BasicSweeper):
    """Hydra's own grid, without composing every run once more to validate it and without writing ``multirun.yaml``."""

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (runs,) = self.split_arguments(overrides, max_batch_size=None)
        return [self.launcher.launch(runs, initial_job_idx=0)]


class PackedLauncher(Launcher):
    """Hands the runs of a multirun to the sweep, which trains them in packs by its executor."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from workbench.sweeps.launcher import launch

        return launch(self.hydra_context.config_loader, self.config, job_overrides, self.executor)
