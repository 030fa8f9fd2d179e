"""Yaml files of configurations, read by the same rules whether Hydra or the workbench reads them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from workbench.config.schema import Config
from workbench.core.bounded_yaml import MOST_BYTES, MOST_VALUES, parse_yaml, read_bytes
from workbench.core.errors import ConfigError

LOADER = get_yaml_loader()


EXPERIMENT = "experiment.yaml"
GROUP = "experiment"


def experiments_in(folder: Path) -> dict[str, Path]:
    """Yaml files of a folder's experiments by name: NAME/experiment.yaml."""
    return {file.parent.name: file for file in sorted(folder.glob(f"*/{EXPERIMENT}"))}


def read_values(file: Path, most_bytes: int = MOST_BYTES, most: int = MOST_VALUES) -> Any:
    """Read a yaml file as plain values, interpolations as they are written; None for an empty one.

    Raises ConfigError with file and line where it is not what it must be.
    """
    return parse_yaml(read_bytes(file, most_bytes), str(file), LOADER, most)


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a yaml file of keys with values, as plain values; raises as `read_values` does, and for other content."""
    content = read_values(file)
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        got = "keys that are no text" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ConfigError(f"{file}: must hold keys with values, got {got}; write for example _target_: my_module.sine")
    return content


def literal(value: Any) -> Any:
    """Escape texts of a value, so that OmegaConf does not resolve what looks like an interpolation."""
    if isinstance(value, Mapping):
        return {key: literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source of files, with the limits of `read_yaml`; finds ``experiment=NAME`` in a folder NAME."""

    def is_group(self, config_path: str) -> bool:
        """Whether a path is a folder, or the group of the experiments in this source."""
        return super().is_group(config_path) or (config_path == GROUP and bool(experiments_in(Path(self.path))))

    def is_config(self, config_path: str) -> bool:
        """Whether a path is a yaml file, or names an experiment."""
        return super().is_config(config_path) or self._experiment(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List the names at a path; experiments are names of the group `experiment`, their folders no groups."""
        experiments = experiments_in(Path(self.path))
        names = super().list(config_path, results_filter) if super().is_group(config_path) else []
        if not config_path.strip("/"):
            names = [name for name in names if name not in experiments]
            return sorted({*names, GROUP}) if experiments and results_filter is not ObjectType.CONFIG else names
        if config_path.strip("/") == GROUP and results_filter is not ObjectType.GROUP:
            names += experiments
        return sorted(set(names))

    def _experiment(self, config_path: str) -> Path | None:
        group, _, name = config_path.strip("/").partition("/")
        return experiments_in(Path(self.path)).get(name.removesuffix(".yaml")) if group == GROUP else None

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file as Hydra's own source does; raises ConfigLoadError where absent, ConfigError where wrong."""
        file = Path(os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path))))
        if not file.exists():
            file = self._experiment(config_path) or file
        if not file.exists():
            raise ConfigLoadError(f"Config not found : {file}")
        content = read_yaml(file)
        try:
            header = ConfigSource._get_header_dict(read_bytes(file)[:512].decode("utf-8-sig", "ignore"))
            config = OmegaConf.create(content)
        except (OmegaConfBaseException, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"{file}: must be a configuration, but: {reason}; correct it") from error
        return ConfigResult(config=config, path=f"{self.scheme()}://{self.path}", provider=self.provider, header=header)


def register() -> None:
    """Register the schema with Hydra, and make it read files by these rules."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:  # making it of the dataclasses takes milliseconds
        store.store("schema", node=Config)
        setattr(store, "__deepcopy__", lambda memo: store)  # noqa: B010  # Hydra would copy it for each group it lists
    Plugins.instance()  # brings Hydra's own source
    SourcesRegistry.instance().types["file"] = FileConfigSource
