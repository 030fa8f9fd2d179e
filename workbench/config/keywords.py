"""Configurations said in Python: keywords become the overrides of the command line, so that there is one grammar.

| keyword | override |
|---|---|
| ``activation="relu"`` | ``activation=relu`` |
| ``optimizer={"lr": 0.1}`` | ``optimizer.lr=0.1`` |
| ``optimizer=option("adam", lr=0.01)`` | ``optimizer=adam optimizer.lr=0.01`` |
| ``seed=range(3)`` in a sweep | ``seed=0,1,2`` |
| ``architecture={"hidden": (64, 64)}`` | ``architecture.hidden=[64,64]`` |

In a sweep a list, a range or an array holds alternatives, and a tuple is one value; elsewhere both are one value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from workbench.core.errors import ConfigError
from workbench.core.quoting import plain_override


@dataclass(frozen=True)
class Option:
    """An option of a group with values of its own: made by `option`."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


def option(name: str, **values: Any) -> Option:
    """Choose an option of a group together with its values: ``optimizer=option("adam", lr=0.01)``."""
    return Option(name, values)


def overrides_of(overrides: Sequence[str], keywords: Mapping[str, Any], alternatives: bool = False) -> list[str]:
    """Overrides of a configuration said by override strings and keywords, in this order.

    With `alternatives`, as in a sweep, a list, a range or an array holds several values of its key. Raises ConfigError
    for what is no text among the strings, and for values that a configuration cannot hold.
    """
    for line in overrides:
        if not isinstance(line, str) or line.startswith("-"):
            raise ConfigError(f"{line!r}: must be an override; write for example 'seed=3', or the keyword seed=3")
    return [*overrides, *(line for key, value in keywords.items() for line in _lines(key, value, alternatives))]


def _lines(key: str, value: Any, alternatives: bool) -> Iterator[str]:
    if isinstance(value, Option):
        yield plain_override(key, value.name)
        yield from _lines(key, dict(value.values), alternatives)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _lines(f"{key}.{name}", inner, alternatives)
    elif alternatives and (several := _alternatives(value)) is not None:
        if not several:
            raise ConfigError(f"{key}: must have one value or more, got none; write for example {key}=[0, 1]")
        texts = [plain_override(key, _plain(key, one)).removeprefix(f"{key}=") for one in several]
        yield f"{key}={','.join(texts)}"
    else:
        yield plain_override(key, _plain(key, value))


def _alternatives(value: Any) -> list[Any] | None:
    """The values that a list, a range or an array holds; None for a single value."""
    if isinstance(value, list | range):
        return list(value)
    return list(value.tolist()) if getattr(value, "ndim", 0) == 1 else None


def _plain(key: str, value: Any) -> Any:
    """A value as a configuration holds it; raises ConfigError for others."""
    if hasattr(value, "tolist"):  # NumPy's and torch's
        value = value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | range):
        return [_plain(key, inner) for inner in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    raise ConfigError(
        f"{key}: must be a finite number, a text, None, or a tuple of them, got {type(value).__name__} {value!r}; "
        f'write a name, as in {key}="..."'
    )
