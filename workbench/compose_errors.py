"""Hydra's and OmegaConf's errors in our words."""

import re
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from workbench.config import DEFAULTS
from workbench.errors import ConfigError, closest, unknown_name

HYDRA_ERRORS = (HydraException, MissingConfigException, OmegaConfBaseException)


def reworded(error: Exception) -> ConfigError:
    """The error as key, rule, value and what to do."""
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if not group:
            return ConfigError(f"--config-name: there is no configuration {name!r}; drop it")
        return unknown_name(group, name, error.options or ())
    if isinstance(error, OverrideParseException):
        return ConfigError(f"{error.override}: must be key=value; {str(error).splitlines()[0]}")
    if isinstance(error.__cause__, ConfigError):  # from the constructor of a launcher or its executor
        return error.__cause__
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
        return unknown_key(str(cause.full_key), list(cause.parent_node or ()))
    if isinstance(cause, MissingMandatoryValue):
        return missing(str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _wrong_value(str(cause.full_key), str(cause.msg or cause).splitlines()[0])
    if "To sweep over it" in str(error):
        asked = str(error).partition("'")[2].partition("'")[0]
        return ConfigError(f"{asked}: several values make a sweep; add -m, or quote them to mean one text")
    if "requires --multirun" in str(error):
        asked = str(error).partition("'")[2].partition("'")[0]
        return ConfigError(f"{asked}: several values make a sweep; add -m")
    return ConfigError(str(error))


def missing(key: str) -> ConfigError:
    """A key without a default that was not given."""
    return ConfigError(f"{key}: must be given, it has no default; write {key}=...")


def _wrong_value(key: str, message: str) -> ConfigError:
    if match := re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", message):
        example = f"; write for example {key}={DEFAULTS[key]}" if key in DEFAULTS else ""
        return ConfigError(f"{key}: must be of type {match[2].lower()}, got {match[1]!r}{example}")
    if match := re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", message):
        return unknown_name(key, match[1], match[2].split(", "))
    return ConfigError(f"{key}: {message}")


def unknown_key(full_key: str, siblings: list[Any]) -> ConfigError:
    """A key that its node does not have, beside those that it has."""
    keys = sorted(str(key) for key in siblings if key not in ("_target_", "hydra"))
    prefix, _, last = full_key.rpartition(".")
    near = closest(last, keys)
    hint = f"did you mean {prefix + '.' if prefix else ''}{near}? " if near else ""
    return ConfigError(f"{full_key}: unknown key; {hint}keys of {prefix or 'a run'}: {', '.join(keys) or 'none'}")
