"""Runs that differ in plain values: the typed configuration of one, with the values of another in their places.

OmegaConf takes milliseconds to make typed objects of a whole configuration, nearly all of it for what stays the same.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from workbench.config.schema import RunSpec

Path = tuple[str, ...]
_REFERENCE = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")  # ${seed}: the value of another key
_SETTLED = re.compile(r"\$\{oc\.env:[^${}]*\}")  # an environment variable is the same for all runs
PLAIN = bool | int | float | str | None
Copies = dict[tuple[object, ...], DictConfig]


def copy_of(base: DictConfig, copies: Copies, chosen: tuple[str, ...], values: Mapping[str, Any]) -> DictConfig:
    """A copy of `base`, of these choices, to set values in: the one before, where the same keys are set once more."""
    if any(isinstance(one, dict) for one in values.values()):  # is merged into what is there, all else takes its place
        return base.copy()
    keys = chosen, *values
    if keys not in copies:
        copies[keys] = base.copy()
    return copies[keys]


@dataclass(frozen=True)
class _Template:
    """A run whose others differ at `places`; `references` are keys that repeat another one: (key, the other)."""

    spec: RunSpec
    places: Sequence[Path]
    references: Sequence[tuple[Path, Path]]


class Variants:
    """Makes runs of configurations in which the same keys are set: the first one wholly, others from it."""

    def __init__(self) -> None:
        self._templates: dict[tuple[object, ...], _Template | None] = {}

    def spec(
        self,
        job: DictConfig,
        chosen: tuple[object, ...],
        values: Mapping[str, Any],
        overrides: tuple[str, ...],
        whole: Callable[[], RunSpec],
    ) -> RunSpec:
        """The run of `job`, in which `values` were set by dotted key; `whole` makes it without others."""
        if not all(map(_is_plain, values.values())):
            return whole()
        kind = chosen, *values
        if kind not in self._templates:
            spec = whole()
            self._templates[kind] = _template(job, spec, list(values))
            return spec
        template = self._templates[kind]
        return whole() if template is None else _varied(template, job, overrides)


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) and not (isinstance(value, str) and ("${" in value or value == "???"))


def _template(job: DictConfig, spec: RunSpec, keys: Sequence[str]) -> _Template | None:
    """None where values may depend on others in ways that are not known here."""
    places = [tuple(key.split(".")) for key in keys]
    if any(_at(spec.resolved, place) is _NOTHING for place in places):
        return None
    references = []
    for place, text in _texts(OmegaConf.to_container(job, resolve=False), ()):
        if _SETTLED.fullmatch(text) or place[0] == "claim":
            continue
        found = _REFERENCE.fullmatch(text)
        other = tuple(found[1].split(".")) if found else ()
        if not found or type(_at(spec.resolved, place)) is not type(_at(spec.resolved, other)):
            return None
        references.append((place, other))
    return _Template(spec, places, references)


def _texts(node: Any, place: Path) -> Iterator[tuple[Path, str]]:
    """Every text with an interpolation, by its place."""
    if isinstance(node, str) and "${" in node:
        yield place, node
    elif isinstance(node, Mapping | list):
        for key, inner in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(inner, (*place, str(key)))


def _varied(template: _Template, job: DictConfig, overrides: tuple[str, ...]) -> RunSpec:
    config, resolved = template.spec.config, template.spec.resolved
    for place in template.places:
        value = OmegaConf.select(job, ".".join(place))
        config, resolved = _with(config, place, value), _with(resolved, place, _named(value))
    for place, other in template.references:
        value = _at(resolved, other)
        config, resolved = _with(config, place, value), _with(resolved, place, value)
    return replace(template.spec, config=config, resolved=resolved, overrides=overrides)


def _named(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value


_NOTHING = object()


def _at(node: Any, place: Path) -> Any:
    """The plain value at a place of nested dicts; _NOTHING where there is none."""
    for key in place:
        node = node[key] if isinstance(node, dict) and key in node else _NOTHING
    return node if _is_plain(node) else _NOTHING


def _with(node: Any, place: Path, value: Any) -> Any:
    """A copy of dataclasses and dicts with another value at a place; all beside it is shared."""
    head, rest = place[0], place[1:]
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{head: _with(getattr(node, head), rest, value) if rest else value})
    return {**node, head: _with(node[head], rest, value) if rest else value}
