"""Nodes of a configuration -> objects: the function a ``_target_`` names, called with checked values.

A node's values are checked against the annotations of that function; a value that is itself a node, or a mapping of
names to nodes, is built first.
Parameters marked `PerReplica` are one number in a node, and a tensor [R] where the nodes of R runs are built as one.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from workbench.axes import PER_REPLICA, is_per_replica
from workbench.config import TARGET, packaged
from workbench.data.datasets import Dataset
from workbench.diagnostics.plan import Diagnostics
from workbench.errors import ConfigError, closest
from workbench.nn.activations import Activation
from workbench.nn.initializers import BiasInitializer, Initializer
from workbench.nn.layers.norms import Norm
from workbench.nn.losses import Loss
from workbench.nn.model import Model
from workbench.nn.optimizers import Optimizer
from workbench.nn.pretraining import Pretraining
from workbench.nn.schedules import Schedule

Node = Mapping[str, Any]
Stack = Callable[[list[float]], Tensor]

KINDS: dict[str, type] = {
    "architecture": Model,
    "activation": Activation,
    "init": Initializer,
    "bias": BiasInitializer,
    "norm": Norm,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "pretraining": Pretraining,
    "data": Dataset,
    "diagnostics": Diagnostics,
}


def options(group: str) -> list[str]:
    """The names of a group's options that come with the workbench."""
    return sorted(file.stem for file in (packaged("conf") / group).glob("*.yaml"))


def option(group: str, name: str) -> dict[str, Any]:
    """The node of one option with the options it chooses for its parts, as composing without overrides gives it."""
    content: Any = OmegaConf.to_container(OmegaConf.load(packaged("conf") / group / f"{name}.yaml"))
    node: dict[str, Any] = content.get(group, content)
    for default in node.pop("defaults", []):
        ((place, inner),) = default.items()
        other, _, key = place.lstrip("/").partition("@")
        node[key] = option(other, inner)
    return node


@lru_cache(maxsize=1)
def _usual_options() -> dict[str, str]:
    """The option of each group that a run has without overrides."""
    content: Any = OmegaConf.to_container(OmegaConf.load(packaged("conf") / "config.yaml"))
    return {
        group: name for default in content["defaults"] if isinstance(default, dict) for group, name in default.items()
    }


def is_node(value: Any) -> bool:
    """Whether a value of a configuration names a function to call."""
    return isinstance(value, Mapping) and TARGET in value


def is_family(value: Any) -> bool:
    """Whether a value of a configuration maps names to nodes; null leaves one out."""
    return (
        isinstance(value, Mapping)
        and not is_node(value)
        and all(inner is None or is_node(inner) for inner in value.values())
    )


@lru_cache(maxsize=256)
def resolve_target(key: str, target: str) -> Any:
    """The function a ``_target_`` names.

    Raises ConfigError where there is none.
    """
    try:
        bound: partial[Any] = instantiate({TARGET: target, "_partial_": True})
    except InstantiationException as error:
        raise ConfigError(f"{key}: _target_ {target!r} cannot be used: {str(error).splitlines()[0]}") from error
    return bound.func


def call(key: str, node: Node, **given: Any) -> Any:
    """The object of a node: its checked values, and of what the caller gives what it asks for, to its function."""
    values = {name: _built(f"{key}.{name}", value) for name, value in checked(key, node, tuple(given)).items()}
    return _made(key, node, values, given)


def _built(key: str, value: Any) -> Any:
    if is_node(value):
        return call(key, value)
    if is_family(value):
        return {name: call(f"{key}.{name}", inner) for name, inner in value.items() if inner is not None}
    return value


def call_stacked(key: str, nodes: Sequence[Node], stack: Stack) -> Any:
    """One object from the nodes of R runs: per-replica values stacked to [R], all else the first run's."""
    rows = [checked(key, node) for node in nodes]
    hints = _hints(key, nodes[0])
    values: dict[str, Any] = {}
    for name, value in rows[0].items():
        column = [row[name] for row in rows]
        if is_node(value):
            values[name] = call_stacked(f"{key}.{name}", column, stack)
        else:
            values[name] = stack(column) if is_per_replica(hints[name]) else value
    return _made(key, nodes[0], values, {})


def per_replica_keys(key: str, node: Node) -> Iterator[str]:
    """Dotted keys of the values that may differ within a pack."""
    hints = _hints(key, node)
    for name, value in checked(key, node).items():
        if is_node(value):
            yield from per_replica_keys(f"{key}.{name}", value)
        elif is_per_replica(hints[name]):
            yield f"{key}.{name}"


def targets(node: Any) -> Iterator[str]:
    """Every function named in a node and in the nodes inside it."""
    if is_node(node):
        yield node[TARGET]
    if is_node(node) or is_family(node):
        for value in node.values():
            yield from targets(value)


def asks_for(key: str, node: Node, name: str) -> bool:
    """Whether the node's function has a parameter of this name."""
    return name in _parameters(resolve_target(key, node[TARGET]))


def checked(key: str, node: Node, given: Sequence[str] = ()) -> dict[str, Any]:
    """The node's values in the types that its function asks for; nodes inside it are left as they are.

    Raises ConfigError with the key, the rule and the value for an unknown key, a wrong type or a value out of range.
    """
    if not is_node(node):
        raise ConfigError(f"{key}: must name a function in {TARGET}, got {node!r}; choose one of the group's options")
    parameters = _parameters(resolve_target(key, node[TARGET]))
    hints = _hints(key, node)
    open_keys = [name for name in parameters if name not in given]
    values = {}
    for name, value in node.items():
        if name == TARGET:
            continue
        if name not in open_keys:
            near = closest(name, open_keys)
            hint = f"did you mean {key}.{near}? " if near else ""
            raise ConfigError(f"{key}.{name}: unknown key; {hint}keys of {key}: {', '.join(open_keys) or 'none'}")
        hint = hints.get(name, Any)
        inner = is_node(value) or (is_family(value) and get_origin(hint) is Mapping)
        values[name] = value if inner else _checked_value(f"{key}.{name}", value, hint)
    for name in open_keys:
        if name not in values and parameters[name].default is inspect.Parameter.empty:
            raise ConfigError(f"{key}.{name}: must be given, it has no default{_example(f'{key}.{name}')}")
    return values


def _hints(key: str, node: Node) -> dict[str, Any]:
    return _hints_of(resolve_target(key, node[TARGET]))


@lru_cache(maxsize=256)
def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


@lru_cache(maxsize=256)
def _hints_of(function: Any) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))


def _made(key: str, node: Node, values: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    asked = {name: value for name, value in given.items() if asks_for(key, node, name)}
    made = resolve_target(key, node[TARGET])(**values, **asked)
    if key in KINDS and not isinstance(made, KINDS[key]):
        kind = KINDS[key].__name__
        raise ConfigError(f"{key}: {node[TARGET]} must return {kind}, got {type(made).__name__}; name another")
    return made


def _checked_value(key: str, value: Any, annotation: Any) -> Any:
    if is_per_replica(annotation):
        rules = tuple(rule for rule in get_args(annotation)[1:] if rule is not PER_REPLICA)
        annotation = Annotated[float, *rules]
    try:
        return _adapter(annotation).validate_python(value, strict=True if isinstance(value, bool) else None)
    except ValidationError as error:
        first = error.errors()[0]
        place = key + "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
        rule = first["msg"].removeprefix("Input should be ")
        raise ConfigError(f"{place}: must be {rule}, got {first['input']!r}{_example(key)}") from error


def _example(key: str) -> str:
    """A default for this key as a hint: the default option's, else the first among the options of its group."""
    group, _, name = key.partition(".")
    usual = _usual_options().get(group)
    for stem in sorted(options(group), key=lambda stem: stem != usual):
        value = option(group, stem).get(name)
        if value not in (None, "???") and not is_node(value):
            return f"; write for example {key}={json.dumps(value).replace(' ', '')}"
    return ""
