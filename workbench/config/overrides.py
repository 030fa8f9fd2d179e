"""Checks of a Hydra command line before Hydra acts on it: its options, and each ``key=value``."""

import argparse
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from workbench.config.schema import DEFAULTS, GROUPS, Config
from workbench.core.errors import ConfigError, closest
from workbench.core.quoting import override

LISTS = ("experiment", "debug")  # groups of which several options may be chosen
EXAMPLES = {
    "architecture": "mlp",
    "activation": "relu",
    "init": "he",
    "bias": "zero",
    "norm": "none",
    "loss": "softmax_nll",
    "optimizer": "sgd",
    "schedule": "constant",
    "pretraining": "none",
    "data": "digits",
    "diagnostics": "light",
    "experiment": "xor",
    "debug": "fast",
}
MOST_RUNS = 1_000_000
OPTION_KEYS = {**EXAMPLES, **DEFAULTS, "optimizer.lr": 0.1, "architecture.hidden": "[64,64]", "sweep.dry_run": "true"}
SPINE = tuple(field.name for field in fields(Config) if field.name not in GROUPS)
KEY = re.compile(r"[A-Za-z_][\w./@]*")
LONGEST = 4000  # characters of an override: numbers of more digits cannot be read


def hydra_parser() -> argparse.ArgumentParser:
    """The parser of Hydra's own options."""
    return get_args_parser()


def options_first(arguments: Sequence[str]) -> list[str]:
    """Move Hydra's options before all overrides, which Hydra reads in one row only.

    Raises ConfigError for options that Hydra does not have, with the override that was probably intended.
    """
    known = hydra_parser()._option_string_actions
    options, overrides, rest = list[str](), list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*options, *overrides, word, *rest]
        if not word.startswith("-") or word == "-":
            overrides.append(word)
            continue
        options.append(word)
        name, equals, _ = word.partition("=")
        matching = {id(action): action for option, action in known.items() if option.startswith(name)}
        action = known.get(name) or (next(iter(matching.values())) if len(matching) == 1 else None)
        if action is None and not matching and (word.startswith("--") or word[:2] not in known):
            raise _no_option(word, rest)
        if action and not equals and action.nargs != 0:
            options.append(_value_of(action, word, rest))
    return [*options, *overrides]


def _value_of(option: argparse.Action, word: str, rest: list[str]) -> str:
    """Take an option's value from the words that follow it; raises ConfigError where none follows."""
    if option.nargs == "?":
        return rest.pop(0) if rest and rest[0] in (option.choices or ()) else str(option.const)
    if not rest or rest[0].startswith("-"):
        raise ConfigError(f"{word}: must be followed by a value; write it behind, or drop {word}")
    return rest.pop(0)


def _no_option(word: str, rest: Sequence[str]) -> ConfigError:
    """The error for an unknown option: names the override of that name, where there is one."""
    name, equals, value = word.lstrip("-").partition("=")
    name = name.replace("-", "_")
    if not equals and rest and not rest[0].startswith("-") and "=" not in rest[0]:
        value = rest[0]
    keys = {**{key.rpartition(".")[2]: key for key in reversed(OPTION_KEYS)}, **{key: key for key in OPTION_KEYS}}
    near = closest(name, list(keys), least=0.7)  # no list is shown beside it, so a far one would mislead
    if near is None:
        return ConfigError(f"{word}: there is no such option; write key=value, or --help to see options and keys")
    key = keys[near]
    return ConfigError(f"{word}: there is no such option; write {shlex.quote(f'{key}={value or OPTION_KEYS[key]}')}")


def check_arguments(arguments: Sequence[str]) -> str | None:
    """The folder of ``--config-dir``; raises ConfigError for options that exclude each other and malformed overrides.

    Argparse itself ends the process for options that Hydra does not have.
    """
    options = hydra_parser().parse_args(list(arguments))
    _check_options(options)
    check_overrides(options.overrides)
    folder: str | None = options.config_dir
    return folder


def _check_options(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that are unknown, incomplete or exclude each other."""
    if options.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: is not known here; drop it (workbench show RUN gives the command)")
    if options.config_path is not None:
        beside = shlex.quote(f"--config-dir={options.config_path}")
        raise ConfigError(f"--config-path: would take the workbench's options away; write {beside} in its place")
    if options.config_name not in (None, "config"):
        raise ConfigError(f"--config-name: there is no configuration {options.config_name!r}; drop it")
    tasks = ("install=", "uninstall=", "query=")
    if options.shell_completion and not any(line.startswith(tasks) for line in options.overrides):
        raise ConfigError("--shell-completion: must be told for which shell; write -sc install=bash")
    if options.config_dir is not None and not (options.config_dir and Path(options.config_dir).is_dir()):
        raise ConfigError(f"--config-dir: there is no folder {options.config_dir!r}; correct the path, or drop it")
    shown = {"--cfg": options.cfg, "--info": options.info, "--run": options.run, "--multirun": options.multirun}
    exclusive = [name for name, value in shown.items() if value]
    if len(exclusive) > 1:
        raise ConfigError(f"{exclusive[0]}: cannot go with {' and '.join(exclusive[1:])}; drop all but one")
    package = shlex.quote(f"--package={options.package}")
    for name, value, written in (
        ("--resolve", options.resolve, "--resolve"),
        ("--package", options.package, package),
    ):
        if value and not options.cfg and not options.help:
            raise ConfigError(f"{name}: goes with --cfg only; write --cfg job {written}, or drop it")


def check_overrides(lines: Iterable[str]) -> None:
    """Raise ConfigError, with one to paste, for a text that is not ``key=value`` or names no option of its group."""
    parser = OverridesParser.create()
    for line in lines:
        if len(line) > LONGEST:
            raise ConfigError(f"{line[:40]}...: must have at most {LONGEST} characters; drop it, or give less")
        try:
            (parsed,) = parser.parse_overrides([line])
        except (HydraException, ValueError, RecursionError) as error:  # ValueError: a number of too many digits
            raise no_override(line, error) from error
        if parsed.is_delete():
            _check_deletion(parsed)
        _check_name(parsed)
        _check_length(parsed)


def _check_deletion(parsed: Override) -> None:
    """Raise ConfigError for deleting what every run has: its default would come back silently."""
    key = str(parsed.key_or_group)
    first = key.partition(".")[0].partition("/")[0].partition("@")[0]
    if key in GROUPS:
        raise ConfigError(
            f"{parsed.input_line}: a run must have one; write {key}={EXAMPLES[key]}, or drop the override"
        )
    if first in LISTS:
        raise ConfigError(f"{parsed.input_line}: there is none unless {first}=NAME chooses one; drop the override")
    if first in (*SPINE, "hydra"):
        inner = next((known for known in DEFAULTS if f"{known}.".startswith(f"{key}.")), None)
        example = f"write for example {inner}={DEFAULTS[inner]} in its place, or " if inner else ""
        raise ConfigError(
            f"{parsed.input_line}: a run must have it, with its default or another value; {example}drop it"
        )


def _check_length(parsed: Override) -> None:
    """Raise ConfigError for a range of too many values, counted before it is expanded."""
    value = parsed.value()
    if isinstance(value, RangeSweep) and isinstance(value.start, int | float):
        if not value.step:
            by_one = shlex.quote(f"{parsed.key_or_group}=range({value.start},{value.stop})")
            raise ConfigError(f"{parsed.input_line}: its step must not be 0; write {by_one}")
        count = (float(value.stop or 0) - float(value.start)) / float(value.step or 1)
        if count > MOST_RUNS:
            most = f"must have at most {MOST_RUNS} values"
            raise ConfigError(f"{parsed.input_line}: {most}, got {count:.3g}; drop it, or give fewer")


def no_override(line: str, error: Exception) -> ConfigError:
    """The error for a text that Hydra cannot parse: says what to paste into a shell, where quotes mend it."""
    key, equals, value = line.partition("=")
    if "${" in value:
        return ConfigError(f"{line!a}: its interpolation must be ${{a key}}, closed; drop it, or give it a value")
    if _reads(plain := re.sub(r",(?=[,\s]*(?:,|$))|(?<==),", "", line)) and plain != line:
        return ConfigError(f"{line!a}: must have a value on each side of a comma; write {shlex.quote(plain)}")
    if equals and value.strip("\"'"):
        mended = override(key, value)
        if _is(shlex.split(mended)[0], key, value):
            return ConfigError(f"{line!a}: its value must be in quotes; write {mended}")
    if not equals:
        return ConfigError(f"{line!a}: must be key=value; write for example {example_for(line)} in its place")
    if not KEY.fullmatch(key.lstrip("+~").partition("@")[0]):
        rule = "must begin with a key, which is made of letters, digits, _ and dots"
        return ConfigError(f"{line!a}: {rule}; write for example train.epochs=3 in its place")
    reason = str(error).splitlines()[0] if isinstance(error, HydraException) else "a value is too long or too deep"
    return ConfigError(f"{line!a}: must be key=value, but {reason}; write for example train.epochs=3 in its place")


def example_for(key: str) -> str:
    """Example override for this key; dots where only the user can choose a value."""
    if not KEY.fullmatch(key):
        return "seed=0"
    return f"{key}={EXAMPLES.get(key, DEFAULTS.get(key, '...'))}"


def _reads(line: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_overrides([line]))
    except (HydraException, ValueError, RecursionError):
        return False


def _is(line: str, key: str, value: str) -> bool:
    """Whether a line gives this text to this key."""
    try:
        (parsed,) = OverridesParser.create().parse_overrides([line])
        return parsed.get_key_element() == key and str(getattr(parsed.value(), "text", parsed.value())) == value
    except (HydraException, ValueError, RecursionError):
        return False


def _check_name(parsed: Override) -> None:
    """Raise ConfigError where a group is not given the name of an option."""
    key, value = str(parsed.key_or_group), parsed.value()
    if parsed.is_delete() or parsed.is_sweep_override() or "${" in str(parsed.input_line):
        return
    if key in ("", "hydra") or (key.startswith("hydra/") and not isinstance(value, str | list)):
        raise ConfigError(f"{parsed.input_line}: must give a key a value, or a group one of its options; drop it")
    if key == "hydra.verbose" and not isinstance(value, bool | str | list):
        raise ConfigError(f"hydra.verbose: must be true, false or names of loggers, got {value!r}; drop it")
    if key not in (*GROUPS, *LISTS):
        return
    if value is None and key in LISTS:
        raise ConfigError(f"{parsed.input_line}: there is none unless {key}=NAME chooses one; drop the override")
    if value is None:
        text = str(parsed.input_line)
        raise ConfigError(f"{text}: a group must name one of its options, got nothing; write {key}={EXAMPLES[key]}")
    is_list_of_names = (
        isinstance(value, list) and key in LISTS and value and all(isinstance(name, str) for name in value)
    )
    if isinstance(value, list) and not is_list_of_names:
        raise ConfigError(
            f"{key}: must name one of its options, not a list, got {_brief(value)}; write {_named(value, key)}"
        )
    if isinstance(value, bool | int | float):
        raise ConfigError(f"{key}: must name one of its options, got {_brief(value)}; write {key}={EXAMPLES[key]}")


def _named(value: list[Any], key: str) -> str:
    """Suggest one option in place of a list: its first, where that is a name."""
    return f"{key}={value[0] if value and isinstance(value[0], str) else EXAMPLES[key]}"


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."
