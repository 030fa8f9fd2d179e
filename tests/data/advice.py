"""Read and carry out what an error message about data says to write: the overrides of each way out."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests import advised
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.core.errors import WorkbenchError
from workbench.data.datasets import Dataset


def ways_out(message: str) -> list[dict[str, Any]]:
    """Return the overrides of each way that a message offers behind "write", as values by key."""
    parser = OverridesParser.create()
    parsed = [parser.parse_overrides(list(way.more)) for way in advised.ways_out(message, ["train"])]
    return [{override.key_or_group: override.value() for override in overrides} for overrides in parsed]


def read(name: str = "table", /, **given: Any) -> Dataset:
    """Return the data set of an option with these values, checked as a configuration's values are."""
    dataset: Dataset = call("data", {**option("data", name), **given})
    return dataset


def refused(name: str = "table", /, **given: Any) -> str:
    """Return the one-line message by which the data set is refused."""
    with pytest.raises(WorkbenchError) as said:
        read(name, **given)
    assert len(str(said.value).splitlines()) == 1
    return str(said.value)


def done(way: dict[str, Any], name: str = "table", /, **given: Any) -> Dataset:
    """Return the data set read with one way out applied."""
    changed = {key.removeprefix("data."): value for key, value in way.items() if key.startswith("data.")}
    return read(name, **{**given, **changed})
