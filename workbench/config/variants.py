"""Runs that differ in plain values: one typed configuration is made, and others copy it with their values.

OmegaConf takes milliseconds to make typed objects of a whole configuration, nearly all of it for equal parts.
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
    """A copy of `base`, composed of these choices, to set values in; reused where the same keys are set again."""
    if any(isinstance(value, dict) for value in values.values()):
        return base.copy()  # Hydra merges a dict into the present value, all else replaces it
    keys = chosen, *values
    if keys not in copies:
        copies[keys] = base.copy()
    return copies[keys]


@dataclass(frozen=True)
class _Template:
    """A run from which others are made: they differ at `paths`; `references` are (key, the key that it repeats)."""

    spec: RunSpec
    paths: Sequence[Path]
    references: Sequence[tuple[Path, Path]]


class Variants:
    """Makes runs of configurations in which the same keys are set: the first in full, others from it."""

    def __init__(self) -> None:
        self._templates: dict[tuple[object, ...], _Template | None] = {}

    def spec(
        self,
        job: DictConfig,
        chosen: tuple[object, ...],
        values: Mapping[str, Any],
        overrides: tuple[str, ...],
        make_spec: Callable[[], RunSpec],
    ) -> RunSpec:
        """The run of `job`, in which `values` were set by dotted key; `make_spec` makes it in full."""
        if not all(map(_is_plain, values.values())):
            return make_spec()
        set_keys = chosen, *values
        if set_keys not in self._templates:
            spec = make_spec()
            self._templates[set_keys] = _template(job, spec, list(values))
            return spec
        template = self._templates[set_keys]
        return make_spec() if template is None else _varied(template, job, overrides)


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) and not (isinstance(value, str) and ("${" in value or value == "???"))


def _template(job: DictConfig, spec: RunSpec, keys: Sequence[str]) -> _Template | None:
    """The template of a run, or None where values may depend on others by more than plain references."""
    paths = [tuple(key.split(".")) for key in keys]
    if any(_at(spec.resolved, path) is _NOTHING for path in paths):
        return None
    references = []
    for path, text in _texts(OmegaConf.to_container(job, resolve=False), ()):
        if _SETTLED.fullmatch(text) or path[0] == "claim":
            continue
        reference = _REFERENCE.fullmatch(text)
        other = tuple(reference[1].split(".")) if reference else ()
        if not reference or type(_at(spec.resolved, path)) is not type(_at(spec.resolved, other)):
            return None
        references.append((path, other))
    return _Template(spec, paths, references)


def _texts(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every text with an interpolation, with its path."""
    if isinstance(node, str) and "${" in node:
        yield path, node
    elif isinstance(node, Mapping | list):
        for key, inner in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(inner, (*path, str(key)))


def _varied(template: _Template, job: DictConfig, overrides: tuple[str, ...]) -> RunSpec:
    config, resolved = template.spec.config, template.spec.resolved
    for path in template.paths:
        value = OmegaConf.select(job, ".".join(path))
        config, resolved = _with(config, path, value), _with(resolved, path, _named(value))
    for path, source in template.references:
        value = _at(resolved, source)
        config, resolved = _with(config, path, value), _with(resolved, path, value)
    return replace(template.spec, config=config, resolved=resolved, overrides=overrides)


def _named(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value


_NOTHING = object()


def _at(node: Any, path: Path) -> Any:
    """The plain value at a path of nested dicts; _NOTHING where there is none."""
    for key in path:
        node = node[key] if isinstance(node, dict) and key in node else _NOTHING
    return node if _is_plain(node) else _NOTHING


def _with(node: Any, path: Path, value: Any) -> Any:
    """Copy dataclasses and dicts with another value at a path; share everything else."""
    head, tail = path[0], path[1:]
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{head: _with(getattr(node, head), tail, value) if tail else value})
    return {**node, head: _with(node[head], tail, value) if tail else value}
