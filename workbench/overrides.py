"""What stands on a command line of Hydra's, looked at before Hydra acts on it: its options, and each ``key=value``."""

import argparse
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from workbench.advice import override
from workbench.config import GROUPS
from workbench.errors import ConfigError

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
LONGEST = 4000  # characters of an override: numbers of more digits cannot be read


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise ConfigError for options that do not go together and for overrides that are none.

    Argparse itself ends the process for options that Hydra does not have.
    """
    options = get_args_parser().parse_args(list(arguments))
    _check_options(options)
    check_overrides(options.overrides)


def _check_options(options: argparse.Namespace) -> None:
    if options.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: is not known here; write the command that workbench show RUN gives")
    if options.config_path is not None:
        raise ConfigError("--config-path: would take the workbench's options away; write --config-dir to add your own")
    if options.config_dir is not None and not (options.config_dir and Path(options.config_dir).is_dir()):
        raise ConfigError(f"--config-dir: there is no folder {options.config_dir!r}; correct the path")
    shown = {"--cfg": options.cfg, "--info": options.info, "--run": options.run, "--multirun": options.multirun}
    asked = [name for name, value in shown.items() if value]
    if len(asked) > 1:
        raise ConfigError(f"{asked[0]}: cannot go with {' and '.join(asked[1:])}; drop all but one")
    for name, value in (("--resolve", options.resolve), ("--package", options.package)):
        if value and not options.cfg and not options.help:
            raise ConfigError(f"{name}: goes with --cfg only; write --cfg job {name}, or drop it")


def check_overrides(lines: Iterable[str]) -> None:
    """Raise ConfigError where one is not ``key=value``, with the form to paste, or chooses no option by its name."""
    parser = OverridesParser.create()
    for line in lines:
        if len(line) > LONGEST:
            raise ConfigError(f"{line[:40]}...: must have at most {LONGEST} characters; write less")
        try:
            (one,) = parser.parse_overrides([line])
        except (HydraException, ValueError, RecursionError) as error:  # ValueError: a number of too many digits
            raise no_override(line, error) from error
        _check_name(one)
        _check_length(one)


def _check_length(one: Override) -> None:
    """A range is counted before it is written out."""
    value = one.value()
    if isinstance(value, RangeSweep) and isinstance(value.start, int | float):
        count = (float(value.stop or 0) - float(value.start)) / float(value.step or 1)
        if count > MOST_RUNS:
            raise ConfigError(f"{one.input_line}: must have at most {MOST_RUNS} values, got {count:.3g}; write fewer")


def no_override(line: str, error: Exception) -> ConfigError:
    """A text that Hydra does not read: what to paste into a shell in its place, where quotes mend it."""
    key, equals, value = line.partition("=")
    if "${" in value:
        return ConfigError(f"{line!a}: its interpolation must be ${{a key}}, closed; write a value in its place")
    if equals and value.strip("\"'"):
        mended = override(key, value)
        if _is(shlex.split(mended)[0], key, value):
            return ConfigError(f"{line!a}: its value must be in quotes; write {mended}")
    if not equals:
        return ConfigError(
            f"{line!a}: must be key=value; write for example {line if line.isidentifier() else 'seed'}=..."
        )
    reason = str(error).splitlines()[0] if isinstance(error, HydraException) else "a value is too long or too deep"
    return ConfigError(f"{line!a}: must be key=value, but {reason}; write for example train.epochs=3")


def _is(line: str, key: str, value: str) -> bool:
    """Whether a line gives this text to this key."""
    try:
        (one,) = OverridesParser.create().parse_overrides([line])
        return one.get_key_element() == key and str(getattr(one.value(), "text", one.value())) == value
    except (HydraException, ValueError, RecursionError):
        return False


def _check_name(one: Override) -> None:
    key, value = str(one.key_or_group), one.value()
    if one.is_delete() or one.is_sweep_override() or "${" in str(one.input_line):
        return
    if key not in (*GROUPS, *LISTS):
        return
    if value is None and key in GROUPS:
        raise ConfigError(f"{one.input_line}: a group must name one of its options, got nothing")
    several = isinstance(value, list) and key in LISTS and value and all(isinstance(name, str) for name in value)
    if isinstance(value, list) and not several:
        raise ConfigError(
            f"{key}: must name one of its options, not a list, got {_brief(value)}; write {_named(value, key)}"
        )
    if isinstance(value, bool | int | float):
        raise ConfigError(f"{key}: must name one of its options, got {_brief(value)}; write {key}={EXAMPLES[key]}")


def _named(value: list[Any], key: str) -> str:
    """One option in place of a list: its first, where that is a name."""
    return f"{key}={value[0] if value and isinstance(value[0], str) else EXAMPLES[key]}"


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."
