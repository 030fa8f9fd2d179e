"""Hydra's and OmegaConf's errors in our words."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from workbench.config.overrides import example_for, no_override
from workbench.config.schema import DEFAULTS, GROUPS, TARGET
from workbench.core.errors import ConfigError, closest, unknown_name
from workbench.core.quoting import override

READERS = ("hydra", "omegaconf", "antlr4", "yaml")
OWN = ("workbench", "hydra_plugins")
HYDRA_ERRORS = (HydraException, MissingConfigException, OmegaConfBaseException)


@contextmanager
def in_our_words(acted: Sequence[BaseException] = ()) -> Iterator[None]:
    """Turn the errors of Hydra, and of the code it reads with, into ConfigError.

    Errors in `acted` were raised by what ran after composing and pass unchanged, as do those of our own code.
    """
    try:
        yield
    except HYDRA_ERRORS as error:
        raise reworded(error) from error
    except SystemExit as ending:
        if ending.code == 1:
            raise ConfigError("Hydra ended by what it said above; correct or drop that option") from ending
        raise
    except RecursionError as error:
        if error in acted:
            raise
        raise ConfigError(
            "configuration: it leads back to itself, by its defaults or by interpolations; drop one of them"
        ) from error
    except Exception as error:
        if error in acted or not _is_hydras(error):
            raise
        raise _unread(error) from error


def _is_hydras(error: BaseException) -> bool:
    """Whether Hydra or a parser of its, not our own code, is the innermost of both in the traceback."""
    frame, innermost = error.__traceback__, ""
    while frame is not None:
        package = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        innermost = package if package in (*READERS, *OWN) else innermost
        frame = frame.tb_next
    return innermost in READERS


def _unread(error: Exception) -> ConfigError:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if match := re.search(r"Config group override(?: deletion)? (?:must be|value type).*", text):
        return ConfigError(f"a group must name one of its options, got nothing or a list: {match[0]}; name one")
    return ConfigError(f"Hydra cannot compose this ({type(error).__name__}: {text}); correct the overrides or files")


def reworded(error: Exception, config: DictConfig | None = None) -> ConfigError:
    """Reword an error as key, rule, value and remedy; `config` resolves a key that only refers to the wrong one."""
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if not group:
            return ConfigError(f"--config-name: there is no configuration {name!r}; drop it")
        return unknown_name(group, name, error.options or ())
    if isinstance(error, OverrideParseException):
        return no_override(str(error.override), error)
    if isinstance(error.__cause__, ConfigError):  # from the constructor of a launcher or its executor
        return error.__cause__
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
        return unknown_key(str(cause.full_key), list(cause.parent_node or ()))
    if isinstance(cause, MissingMandatoryValue):
        return missing(str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        key = str(cause.full_key)
        return _wrong_value(_origin(config, key) if config else key, str(cause.msg or cause).splitlines()[0])
    if "To sweep over it" in str(error):
        override_text = str(error).partition("'")[2].partition("'")[0]
        return ConfigError(f"{override_text}: several values make a sweep; add -m, or quote them to mean one text")
    if "requires --multirun" in str(error):
        override_text = str(error).partition("'")[2].partition("'")[0]
        return ConfigError(f"{override_text}: several values make a sweep; add -m")
    return _of_hydra(str(error))


def _of_hydra(text: str) -> ConfigError:
    """Reword Hydra's text, without its advice for authors of yaml files."""
    first = text.splitlines()[0]
    if match := re.match(r"Multiple values for ([\w/@.]+)\.", first) or re.match(
        r"([\w/@.]+) appears more than", first
    ):
        name = re.search(r"use 'override [^:]*: ([^']*)'", text)
        chosen = override(match[1], name[1]) if name else example_for(match[1])
        return ConfigError(f"{match[1]}: has a value already; write {chosen} without +")
    if match := re.match(r"Error locating target '([^']*)'", first):
        where = "put its module into the current folder or that of --config-dir, or correct the name"
        return ConfigError(f"{TARGET}: {match[1]!r} cannot be used: Python does not find it; {where}")
    if match := re.match(r"force-add of config groups is not supported: '\+\+(.*)'", first):
        return ConfigError(f"++{match[1]}: a group has a value already; write {match[1]}")
    if match := re.match(r"Could not override '([^']*)'\. *$|Could not override '([^']*)'\.", first):
        override_text = match[1] or match[2] or ""
        return ConfigError(
            f"{override_text or '='}: there is no such choice to override (workbench train --help); drop it"
        )
    if match := re.match(r"Could not delete (?:from config\. )?'([^']*)'", first):
        return ConfigError(f"~{match[1]}: there is nothing of this name to delete; drop the override")
    if match := re.match(r"Override (\S+) looks like a config group override, but config group '(.*)' does", first):
        return ConfigError(f"{match[1]}: there is no group {match[2]!r}; drop it, or name one of {', '.join(GROUPS)}")
    rest = [line for line in text.splitlines() if "HYDRA_FULL_ERROR" not in line and not line.startswith("full_key")]
    message = f"configuration: {' '.join(rest).removesuffix('.')}; correct that override, or drop it"
    return ConfigError(f"{message} (WORKBENCH_DEBUG=1 shows where it arose)")


def _origin(config: DictConfig, key: str) -> str:
    """The key whose interpolation cannot be resolved: ``seed`` where ``split.seed`` refers to it."""

    def text(name: str) -> str:
        value: Any = OmegaConf.to_container(config, resolve=False)
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, str) else ""

    reference = re.fullmatch(r"\$\{([\w.]+)\}", text(key))
    return reference[1] if reference and "${" in text(reference[1]) else key


def missing(key: str) -> ConfigError:
    """The error for a key without a default that has no value."""
    return ConfigError(f"{key}: must be given, it has no default; write {example_for(key)}")


def _wrong_value(key: str, message: str) -> ConfigError:
    if match := re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", message):
        example = f"; write for example {key}={DEFAULTS[key]}" if key in DEFAULTS else ""
        return ConfigError(f"{key}: must be of type {match[2].lower()}, got {match[1]!r}{example}")
    if match := re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", message):
        return unknown_name(key, match[1], match[2].split(", "))
    inner = next((name for name in DEFAULTS if name == key or name.startswith(f"{key}.")), None)
    way = f"write {inner}={DEFAULTS[inner]} in its place" if inner else "drop it, or give it a value"
    return ConfigError(f"{key}: {message}; {way}")


def unknown_key(full_key: str, siblings: list[Any]) -> ConfigError:
    """The error for a key that its node does not have; lists those that it has."""
    keys = sorted(str(key) for key in siblings if key not in ("_target_", "hydra"))
    prefix, _, last = full_key.rpartition(".")
    near = closest(last, keys)
    hint = f"did you mean {prefix + '.' if prefix else ''}{near}? " if near else ""
    known = f"keys of {prefix or 'a run'}: {', '.join(keys) or 'none'}"
    return ConfigError(f"{full_key}: unknown key; {hint}{known}{'' if near else '; drop it'}")
