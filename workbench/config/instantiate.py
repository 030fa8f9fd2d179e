"""Nodes of a configuration -> objects: the function a ``_target_`` names, called with checked values.

A node's values are checked against the annotations of that function; a value that is itself a node, or a mapping of
names to nodes, is built first.
Parameters marked `PerReplica` are one number in a node, and a tensor [R] where the nodes of R runs are built as one.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from omegaconf import OmegaConf
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from workbench.config.schema import LARGEST, MOST, TARGET, packaged
from workbench.config.targets import PACKAGE, hints_of, named, parameters_of, resolve_target, typed_target
from workbench.core.axes import PER_REPLICA, is_per_replica
from workbench.core.errors import ConfigError, WorkbenchError, closest
from workbench.core.quoting import override
from workbench.data.datasets import Dataset
from workbench.diagnostics.plan import Diagnostics
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

PLAIN = ("builtins", "collections.abc", "torch", "types", "typing")  # modules of types whose values are written

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
    """Names of a group's options that come with the workbench."""
    return sorted(file.stem for file in (packaged("conf") / group).glob("*.yaml"))


def option(group: str, name: str) -> dict[str, Any]:
    """Node of one option, with the options that it chooses for its parts, as composed without overrides."""
    content: Any = OmegaConf.to_container(OmegaConf.load(packaged("conf") / group / f"{name}.yaml"))
    node: dict[str, Any] = content.get(group, content)
    for default in node.pop("defaults", []):
        ((slot, inner),) = default.items()
        group_of_part, _, key = slot.lstrip("/").partition("@")
        node[key] = option(group_of_part, inner)
    return node


@lru_cache(maxsize=1)
def _usual_options() -> dict[str, str]:
    """Option of each group in a run without overrides."""
    content: Any = OmegaConf.to_container(OmegaConf.load(packaged("conf") / "config.yaml"))
    return {
        group: name for default in content["defaults"] if isinstance(default, dict) for group, name in default.items()
    }


def is_node(value: Any) -> bool:
    """Whether a value of a configuration names a function to call."""
    return isinstance(value, Mapping) and isinstance(value.get(TARGET), str)


def is_family(value: Any) -> bool:
    """Whether a value of a configuration maps names to nodes; null leaves one out."""
    return (
        isinstance(value, Mapping)
        and not is_node(value)
        and all(inner is None or is_node(inner) for inner in value.values())
    )


def call(key: str, node: Node, **inputs: Any) -> Any:
    """Call the node's function with its checked values and those of `inputs` that it has parameters for.

    Raises ConfigError where the function or a value is wrong.
    """
    return _called(key, node, KINDS[key], inputs)


def _called(key: str, node: Node, kind: Any, inputs: Mapping[str, Any]) -> Any:
    if is_node(node):
        typed_target(key, node[TARGET], kind)
    checked_values = checked(key, node, tuple(inputs))
    hints = _hints(key, node)
    values = {name: _built(f"{key}.{name}", value, hints.get(name)) for name, value in checked_values.items()}
    return _made(key, node, kind, values, inputs)


def _built(key: str, value: Any, hint: Any) -> Any:
    if is_node(value) and (kind := _kind(hint)):
        return _called(key, value, kind, {})
    if is_family(value) and (kind := _member_kind(hint)):
        return {name: _called(f"{key}.{name}", inner, kind, {}) for name, inner in value.items() if inner is not None}
    return value


def call_stacked(key: str, nodes: Sequence[Node], stack: Stack) -> Any:
    """Build one object from the nodes of R runs: per-replica values stacked to [R], all others the first run's."""
    return _stacked(key, nodes, KINDS[key], stack)


def _stacked(key: str, nodes: Sequence[Node], kind: Any, stack: Stack) -> Any:
    if is_node(nodes[0]):
        typed_target(key, nodes[0][TARGET], kind)
    rows = [checked(key, node) for node in nodes]
    hints = _hints(key, nodes[0])
    values: dict[str, Any] = {}
    for name, value in rows[0].items():
        column = [row[name] for row in rows]
        if is_node(value) and (inner := _kind(hints.get(name))):
            values[name] = _stacked(f"{key}.{name}", column, inner, stack)
        else:
            values[name] = stack(column) if is_per_replica(hints.get(name)) else value
    return _made(key, nodes[0], kind, values, {})


def per_replica_keys(key: str, node: Node) -> Iterator[str]:
    """Yield dotted keys of the values that may differ within a pack."""
    hints = _hints(key, node)
    for name, value in node.items():
        if is_node(value):
            yield from per_replica_keys(f"{key}.{name}", value)
        elif is_per_replica(hints.get(name)):
            yield f"{key}.{name}"


def asks_for(key: str, node: Node, name: str) -> bool:
    """Whether the node's function has a parameter of this name."""
    return name in parameters_of(resolve_target(key, node[TARGET]))


def checked(key: str, node: Node, supplied: Sequence[str] = ()) -> dict[str, Any]:
    """The node's values in the types of its function's parameters; nodes inside it are left as they are.

    Parameters named in `supplied` are the caller's. Raises ConfigError with the key, the rule and the value for an
    unknown key, a wrong type or a value out of range.
    """
    if not is_node(node):
        raise ConfigError(f"{key}: must name a function in {TARGET}, got {node!r}; choose one of the group's options")
    parameters = parameters_of(resolve_target(key, node[TARGET]))
    hints = _hints(key, node)
    open_keys = [name for name in parameters if name not in supplied]
    values = {}
    for name, value in node.items():
        if name == TARGET:
            continue
        if name not in open_keys:
            near = closest(str(name), open_keys)
            hint = f"did you mean {key}.{near}? " if near else ""
            raise ConfigError(f"{key}.{name}: unknown key; {hint}keys of {key}: {', '.join(open_keys) or 'none'}")
        hint = hints.get(name, Any)
        inner = (is_node(value) and _kind(hint)) or (is_family(value) and _member_kind(hint))
        values[name] = value if inner else _checked_value(f"{key}.{name}", value, hint, node)
    for name in open_keys:
        if name not in values and parameters[name].default is inspect.Parameter.empty:
            raise ConfigError(f"{key}.{name}: must be given, it has no default{_example(f'{key}.{name}', node)}")
    return values


def _hints(key: str, node: Node) -> dict[str, Any]:
    return hints_of(resolve_target(key, node[TARGET]))


def _kind(hint: Any) -> Any:
    """Type of the objects that a parameter takes; None for plain values, which no function makes."""
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        hint = members[0] if len(members) == 1 else None
    base = get_origin(hint) or hint
    return hint if base is Callable or (inspect.isclass(base) and base.__module__ not in PLAIN) else None


def _member_kind(hint: Any) -> Any:
    """Type of the objects in a mapping of names to objects; None for other parameters."""
    return _kind(get_args(hint)[1]) if get_origin(hint) is Mapping else None


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))


def _made(key: str, node: Node, kind: Any, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    """Call the node's function once its return type is known to be this kind; raises ConfigError where it fails."""
    target = node[TARGET]
    function = typed_target(key, target, kind)
    accepted = {name: value for name, value in inputs.items() if asks_for(key, node, name)}
    try:
        result = function(**values, **accepted)
    except WorkbenchError:
        raise
    except Exception as error:
        if target.startswith(f"{PACKAGE}."):
            raise
        raise ConfigError(f"{key}: {target} raised {error!r}; mend it, or choose other values") from error
    if not isinstance(result, get_origin(kind) or kind):
        raise ConfigError(f"{key}: {target} must return {named(kind)}, got {type(result).__name__}; name another")
    return result


def _checked_value(key: str, value: Any, annotation: Any, node: Node) -> Any:
    """Validate a value by its annotation; raises ConfigError with the key, the rule and the value."""
    if is_per_replica(annotation):
        rules = tuple(rule for rule in get_args(annotation)[1:] if rule is not PER_REPLICA)
        annotation = Annotated[float, *rules]
    try:
        validated = _adapter(annotation).validate_python(value, strict=True if isinstance(value, bool) else None)
        _refuse_unheld(key, validated, node)
        return validated
    except (PydanticUserError, TypeError) as error:  # what a user's function asks for cannot be checked
        raise ConfigError(f"{key}: its annotation must be a type, got {annotation!r}; correct it") from error
    except ValidationError as error:
        first = error.errors()[0]
        location = key + "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
        rule, given = first["msg"].removeprefix("Input should be "), first["input"]
        way = _example(key, node) or (_as_text(key, given) if first["type"] == "string_type" else "")
        raise ConfigError(f"{location}: must be {rule}, got {given!r}{way}") from error


def _as_text(key: str, given: Any) -> str:
    """Hint for a key whose value must be a text: the text itself where it stands alone in a list."""
    match given:
        case [str(text)]:
            return f"; write {override(key, text)}"
        case _:
            return "; give one text, without brackets"


def _refuse_unheld(key: str, value: Any, node: Node) -> None:
    """Raise ConfigError for a number that neither a 64-bit integer nor float32 can hold."""
    for number in value if isinstance(value, list | tuple) else [value]:
        if isinstance(number, int | float) and abs(number) > (LARGEST if isinstance(number, int) else MOST):
            most = f"{LARGEST}" if isinstance(number, int) else f"{MOST:g}"
            raise ConfigError(f"{key}: must be at most {most} in size, got {number}{_example(key, node)}")


def _example(key: str, node: Node) -> str:
    """Example value for this key as a hint: from the default option, else the first with the same function."""
    group, _, name = key.partition(".")
    usual = _usual_options().get(group)
    for stem in sorted(options(group), key=lambda stem: stem != usual):
        other = option(group, stem)
        value = other.get(name)
        if other.get(TARGET) == node[TARGET] and value not in (None, "???") and not is_node(value):
            return f"; write for example {override(key, value)}"
    return ""
