"""Shapes of sweeps: which runs a multirun has. Every combination, values that advance together, or listed runs.

`Columns` are keys with the values each is given, as texts on a command line; a run is a list of ``key=value``.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer
from omegaconf import OmegaConf

from workbench.config.targets import names_in
from workbench.config.yaml_files import read_values
from workbench.core.errors import ConfigError, unknown_name

Columns = Mapping[str, Sequence[str]]
Runs = list[list[str]]
MOST_BYTES, MOST_VALUES = 2**22, 1_000_000  # of a list in yaml; one in CSV may be longer


def columns(overrides: Iterable[Override]) -> dict[str, list[str]]:
    """The values of every overridden key.

    Raises ConfigError for an interval, which has no list of values.
    """
    found = {}
    for key, one in by_key(overrides).items():
        if one.is_interval_sweep():
            raise ConfigError(
                f"{one.key_or_group}: {_value(one)} must be searched, it has no list of values; add "
                f"hydra/sweeper=search, or write for example {one.key_or_group}=0.1,0.2"
            )
        values = one.sweep_string_iterator() if one.is_sweep_override() else [one.get_value_element_as_str()]
        found[key] = list(values)
    return found


def by_key(overrides: Iterable[Override]) -> dict[str, Override]:
    """The last override of every key, where its first stood."""
    return {one.get_key_element(): one for one in overrides}


def grid(given: Columns) -> Runs:
    """Every combination; the last key changes fastest."""
    return [list(run) for run in product(*([f"{key}={value}" for value in given[key]] for key in given))]


def zipped(given: Columns, cross: Sequence[str]) -> Runs:
    """Keys with several values advance together, each such row with every combination of the keys in `cross`.

    Raises ConfigError where they have not equally many values, with the first two that differ.
    """
    for key in cross:
        if key not in given and key != "seed":
            raise unknown_name("hydra.sweeper.cross", key, given)
    swept = {key: values for key, values in given.items() if key not in cross and len(values) != 1}
    first = next(iter(swept), "")
    for key, values in swept.items():
        if len(values) != len(swept[first]):
            raise ConfigError(
                f"hydra/sweeper=zip: keys advance together and must have equally many values, got {len(swept[first])} "
                f"of {first} and {len(values)} of {key}; or combine one with all: hydra.sweeper.cross=[{key}]"
            )
    rows = zip(*swept.values(), strict=True) if swept else [()]
    runs: Runs = []
    for row in rows:
        one = dict(zip(swept, row, strict=True))
        runs += grid({key: [one[key]] if key in one else given[key] for key in given})
    return runs


def listed(rows: Sequence[Mapping[str, str]], given: Columns) -> Runs:
    """Every row, with every combination of what is given beside the rows.

    Raises ConfigError for a key that is given in both places.
    """
    for number, row in enumerate(rows, 1):
        for key in row.keys() & given.keys():
            raise ConfigError(
                f"{key}: must be given once, got {row[key]} in run {number} of the list and {','.join(given[key])} "
                "beside it; drop one of them"
            )
    return [[*others, *(f"{key}={value}" for key, value in row.items())] for row in rows for others in grid(given)]


def read_rows(runs: Any, file: str | None) -> list[dict[str, str]]:
    """The rows of ``hydra.sweeper.runs``, or of a yaml or CSV file.

    Raises ConfigError where they cannot be read, or one of them gives anything but one value per key.
    """
    if (runs is None) == (file is None):
        raise ConfigError(
            f"hydra/sweeper=listed: must have its runs in one place, got {'none' if runs is None else 'two'}; write "
            "for example 'hydra.sweeper.runs=[{activation:relu}]', or hydra.sweeper.file=FILE"
        )
    where = HERE if file is None else str(file)
    content = _read(where) if file else OmegaConf.to_container(runs) if OmegaConf.is_config(runs) else runs
    if not isinstance(content, list) or not content:
        example = _example(where)
        raise ConfigError(f"{where}: must be a list of at least one run, got {content!r}; write for example {example}")
    return [_row(f"{where}: run {number}", row) for number, row in enumerate(content, 1)]


HERE = "hydra.sweeper.runs"


def _example(where: str) -> str:
    return f"'{HERE}=[{{activation:relu}}]'" if where.startswith(HERE) else "- {activation: relu, optimizer.lr: 0.1}"


def _read(file: str) -> Any:
    """The file's content; an empty cell of a table gives nothing."""
    try:
        if not file.endswith(".csv"):
            return read_values(Path(file), MOST_BYTES, MOST_VALUES)
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, skipinitialspace=True)
            return [{key: cell for key, cell in row.items() if cell not in ("", None)} for row in table]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        said = f"{file}: must be a yaml or CSV file in UTF-8, but: {str(error).splitlines()[0]}"
        raise ConfigError(f"{said}; correct it, or name another") from error


def _row(where: str, row: Any) -> dict[str, str]:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: must give values to keys, got {row!r}; write for example {_example(where)}")
    if None in row:
        raise ConfigError(f"{where}: must have a heading for every cell, got {row[None]} beyond the last")
    if any(part.startswith("_") for key in row for part in str(key).split(".")) or any(names_in(row)):
        raise ConfigError(f"{where}: must give values, not functions; make an option with --config-dir and name that")
    texts = {str(key): value if isinstance(value, str) else str(Transformer.str(value)) for key, value in row.items()}
    for override in OverridesParser.create().parse_overrides([f"{key}={text}" for key, text in texts.items()]):
        if override.is_hydra_override():
            raise ConfigError(f"{where}: {override.key_or_group}: is Hydra's own and must be given outside of the list")
        if override.is_sweep_override():
            raise ConfigError(
                f"{where}: {override.key_or_group}: must have one value in a run, got {_value(override)}; write a run "
                "for each, or sweep it outside of the list"
            )
    return texts


def _value(override: Override) -> str:
    return str(override.input_line).partition("=")[2]


def as_list(keys: Any) -> list[str]:
    """Keys as a list; one may have been given without brackets."""
    return [str(keys)] if isinstance(keys, str) or not isinstance(keys, Sequence) else [str(key) for key in keys]
