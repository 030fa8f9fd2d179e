"""Values of a node, checked against the parameters of its function: names, types and ranges. Imports no torch."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from workbench.config.options import option, options, usual_options
from workbench.config.schema import LARGEST, MOST, TARGET
from workbench.core.errors import ConfigError, closest
from workbench.core.quoting import override

PLAIN = ("builtins", "collections.abc", "torch", "types", "typing")  # modules of types whose values are written
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a node's function: the annotation of its value, and whether it must be given."""

    hint: Any
    is_required: bool


Signature = Mapping[str, Parameter]


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


def checked_values(key: str, node: Node, signature: Signature, supplied: Sequence[str] = ()) -> dict[str, Any]:
    """The node's values in the types of its function's parameters; nodes inside it are left as they are.

    Parameters named in `supplied` are the caller's. Raises ConfigError with the key, the rule and the value for an
    unknown key, a wrong type or a value out of range.
    """
    open_keys = [name for name in signature if name not in supplied]
    values = {}
    for name, value in node.items():
        if name == TARGET:
            continue
        if name not in open_keys:
            near = closest(str(name), open_keys)
            hint = f"did you mean {key}.{near}? " if near else ""
            raise ConfigError(f"{key}.{name}: unknown key; {hint}keys of {key}: {', '.join(open_keys) or 'none'}")
        hint = signature[name].hint
        inner = (is_node(value) and kind_of(hint)) or (is_family(value) and member_kind(hint))
        values[name] = value if inner else _checked_value(f"{key}.{name}", value, hint, node)
    for name in open_keys:
        if name not in values and signature[name].is_required:
            raise ConfigError(f"{key}.{name}: must be given, it has no default{_example(f'{key}.{name}', node)}")
    return values


def kind_of(hint: Any) -> Any:
    """Type of the objects that a parameter takes; None for plain values, which no function makes."""
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        hint = members[0] if len(members) == 1 else None
    base = get_origin(hint) or hint
    return hint if base is Callable or (inspect.isclass(base) and base.__module__ not in PLAIN) else None


def member_kind(hint: Any) -> Any:
    """Type of the objects in a mapping of names to objects; None for other parameters."""
    return kind_of(get_args(hint)[1]) if get_origin(hint) is Mapping else None


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True))


def _checked_value(key: str, value: Any, annotation: Any, node: Node) -> Any:
    """Validate a value by its annotation; raises ConfigError with the key, the rule and the value."""
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
    usual = usual_options().get(group)
    for stem in sorted(options(group), key=lambda stem: stem != usual):
        other = option(group, stem)
        value = other.get(name)
        if other.get(TARGET) == node[TARGET] and value not in (None, "???") and not is_node(value):
            return f"; write for example {override(key, value)}"
    return ""
