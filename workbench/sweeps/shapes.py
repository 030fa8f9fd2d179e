"""Shapes of sweeps: the runs of a multirun, as every combination, values that advance together, or listed runs.

`Columns` are keys with their values, as texts on a command line; a run is a list of ``key=value``.
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
    """Values of every overridden key.

    Raises ConfigError for an interval, which has no list of values.
    """
    values_of = {}
    for key, override in by_key(overrides).items():
        if override.is_interval_sweep():
            raise ConfigError(
                f"{override.key_or_group}: {_value(override)} must be searched, it has no list of values; add "
                f"hydra/sweeper=search, or write for example {override.key_or_group}=0.1,0.2"
            )
        values = (
            override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
        )
        values_of[key] = list(values)
    return values_of


def by_key(overrides: Iterable[Override]) -> dict[str, Override]:
    """The last override of every key, in order of each key's first."""
    return {override.get_key_element(): override for override in overrides}


def grid(values: Columns) -> Runs:
    """Every combination; the last key changes fastest."""
    return [list(run) for run in product(*([f"{key}={value}" for value in values[key]] for key in values))]


def zipped(given: Columns, cross: Sequence[str]) -> Runs:
    """Advance keys with several values together; combine each such row with all values of the keys in `cross`.

    Raises ConfigError for unequal numbers of values, with the first two keys that differ.
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
        swept_run = dict(zip(swept, row, strict=True))
        runs += grid({key: [swept_run[key]] if key in swept_run else given[key] for key in given})
    return runs


def listed(rows: Sequence[Mapping[str, str]], given: Columns) -> Runs:
    """Combine every row with all combinations of the values beside the rows.

    Raises ConfigError for a key that is in both places.
    """
    for number, row in enumerate(rows, 1):
        for key in row.keys() & given.keys():
            raise ConfigError(
                f"{key}: must be given once, got {row[key]} in run {number} of the list and {','.join(given[key])} "
                "beside it; drop one of them"
            )
    return [
        [*combination, *(f"{key}={value}" for key, value in row.items())] for row in rows for combination in grid(given)
    ]


def read_rows(runs: Any, file: str | None) -> list[dict[str, str]]:
    """Read the rows of ``hydra.sweeper.runs``, or of a yaml or CSV file.

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
    """Content of the file, empty cells of a table left out. Raises ConfigError for a file that is not readable."""
    try:
        if not file.endswith(".csv"):
            return read_values(Path(file), MOST_BYTES, MOST_VALUES)
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, skipinitialspace=True)
            return [{key: cell for key, cell in row.items() if cell not in ("", None)} for row in table]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        message = f"{file}: must be a yaml or CSV file in UTF-8, but: {str(error).splitlines()[0]}"
        raise ConfigError(f"{message}; correct it, or name another") from error


def _row(where: str, row: Any) -> dict[str, str]:
    """Check a row; returns its values as texts. Raises ConfigError for anything but one value per key."""
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
    """Keys as a list; a single one may come without brackets."""
    return [str(keys)] if isinstance(keys, str) or not isinstance(keys, Sequence) else [str(key) for key in keys]
