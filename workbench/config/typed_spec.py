"""A composed node -> the typed configuration of a run, which has the schema's keys and no others."""

from contextlib import suppress
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from workbench.config.compose_errors import missing, reworded, unknown_key
from workbench.config.schema import GROUPS, Config, RunSpec
from workbench.core.errors import ConfigError

SCHEMA = OmegaConf.structured(Config)


def typed_spec(job: DictConfig, choices: dict[str, str], overrides: tuple[str, ...]) -> RunSpec:
    """Type a composed node without Hydra's own; raises ConfigError for missing keys, unknown keys and wrong values."""
    try:
        typed = OmegaConf.to_object(job)
    except OmegaConfBaseException as error:
        with suppress(OmegaConfBaseException):  # looking for what is missing resolves what cannot be
            for key in sorted(OmegaConf.missing_keys(job)):
                raise missing(key) from error
        raise reworded(error, job) from error
    if not isinstance(typed, Config):
        raise ConfigError("config: must start from the schema; drop --config-name, or keep '- schema' first in it")
    for group in GROUPS:
        if group not in choices:
            raise ConfigError(f"{group}: must name one of its options, not a list")
    resolved = _plain(typed)
    _refuse_additions(resolved, _known(), "")
    resolved.pop("claim")
    if typed.train.patience is None:  # a run that does not stop early is one of before there was this key
        resolved["train"].pop("patience")
    return RunSpec(typed, resolved, choices, overrides)


def _plain(value: Any) -> Any:
    """Turn an object of the schema into dicts, options of an Enum into their names."""
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value):
        value = vars(value)  # also what the schema does not know
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@cache
def _known() -> dict[str, Any]:
    """The keys of the schema's spine, as dicts in dicts."""

    def keys(node: DictConfig) -> dict[str, Any]:
        inner = {key: None if OmegaConf.is_missing(node, key) else node[key] for key in list(node)}
        return {str(key): keys(value) if isinstance(value, DictConfig) else {} for key, value in inner.items()}

    return keys(SCHEMA)


def _refuse_additions(node: dict[str, Any], known: dict[str, Any], prefix: str) -> None:
    """Raise ConfigError for keys of the spine that the schema lacks: nothing would read ``+train.epoch=3``."""
    for key, value in node.items():
        if key not in known:
            raise unknown_key(prefix + key, list(known))
        if isinstance(value, dict) and key not in GROUPS:
            _refuse_additions(value, known[key], f"{prefix}{key}.")
