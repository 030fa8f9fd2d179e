"""Plugins for Hydra, which finds them only in the namespace package ``hydra_plugins``; they call `workbench.sweeps`."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Experiments(SearchPathPlugin):
    """Adds the workbench's experiments to Hydra's search path, in programs that use the workbench's configuration."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from workbench.config.schema import packaged

        main = [element.path for element in search_path.get_path() if element.provider == "main"]
        if main and main[0].removeprefix("file://") == str(packaged("conf")):
            search_path.append("workbench", f"file://{packaged('experiments')}")


class GridSweeper(BasicSweeper):
    """Runs every combination, without composing each again to validate it and without ``multirun.yaml``.

    Settings that an experiment has for other sweepers (`ignored`) have no effect.
    """

    def __init__(self, params: Any = None, max_batch_size: int | None = None, **ignored: Any) -> None:
        super().__init__(max_batch_size, params)

    def sweep(self, arguments: list[str]) -> Any:
        from workbench.sweeps.shapes import columns

        assert self.launcher is not None
        return [self.launcher.launch(self.runs(columns(self.overrides_of(arguments))), initial_job_idx=0)]

    def overrides_of(self, arguments: list[str]) -> list[Override]:
        """Overrides of the configuration, then those of the command line."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*self._parse_config(), *arguments])

    def runs(self, values: dict[str, list[str]]) -> list[list[str]]:
        """The overrides of every run."""
        from workbench.sweeps.shapes import grid

        return grid(values)


class ZipSweeper(GridSweeper):
    """Advances swept keys together; combines those in `cross` with all."""

    def __init__(self, cross: Any, params: Any = None) -> None:
        super().__init__(params)
        self.cross = cross

    def runs(self, values: dict[str, list[str]]) -> list[list[str]]:
        from workbench.sweeps.shapes import as_list, zipped

        return zipped(values, as_list(self.cross))


class ListedSweeper(GridSweeper):
    """Runs listed in the configuration or in a file, each combined with the swept keys beside them."""

    def __init__(self, runs: Any, file: str | None, params: Any = None) -> None:
        super().__init__(params)
        self.listed, self.file = runs, file

    def runs(self, values: dict[str, list[str]]) -> list[list[str]]:
        from workbench.sweeps.shapes import listed, read_rows

        return listed(read_rows(self.listed, self.file), values)


class SearchSweeper(GridSweeper):
    """Chooses trials by the results of those before; several values of the keys in `replicate` repeat each trial."""

    def __init__(self, replicate: Any, params: Any = None, **settings: Any) -> None:
        super().__init__(params)
        self.replicate, self.settings = replicate, settings

    def sweep(self, arguments: list[str]) -> Any:
        """Search the swept keys; raises ConfigError for a launcher that cannot."""
        from workbench.core.errors import ConfigError

        if not isinstance(self.launcher, PackedLauncher):
            raise ConfigError("hydra/launcher: must be one of packed, packed_..., to search; drop the override")
        self.launcher.search(self.overrides_of(arguments), self.replicate, self.settings)


class PackedLauncher(Launcher):
    """Passes the runs of a multirun to the sweep, which trains them in packs by its executor."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from workbench.sweeps.launcher import launch

        return launch(self.hydra_context.config_loader, self.config, job_overrides, self.executor)

    def search(self, overrides: Sequence[Override], replicate: Any, settings: dict[str, Any]) -> None:
        """Search over the swept keys, instead of training every combination."""
        from workbench.sweeps.launcher import launch_search

        loader = self.hydra_context.config_loader
        launch_search(loader, self.config, overrides, replicate, settings, self.executor)
