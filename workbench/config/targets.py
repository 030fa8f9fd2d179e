"""Functions named by ``_target_``, accepted by the type they declare to return, before they are called.

A configuration of this command line may name any module: whoever writes it runs Python here anyway. A configuration
read from a store is data: it may name functions of the workbench's own leaves, and of modules that the command allows.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from importlib import import_module, invalidate_caches
from inspect import Parameter, isclass, isroutine, signature
from typing import Any, get_origin, get_type_hints

from workbench.config.schema import TARGET
from workbench.core.errors import ConfigError

PACKAGE = "workbench"
LEAVES = ("workbench.nn", "workbench.data", "workbench.diagnostics")
EXAMPLE = "def sine() -> Activation"


def import_also_from(folder: str) -> None:
    """Let modules of this folder be found, after all others: a user's own need no package."""
    place = os.path.abspath(folder)
    if place not in sys.path:
        sys.path.append(place)
        invalidate_caches()


@lru_cache(maxsize=256)
def resolve_target(key: str, target: str) -> Any:
    """Import the function, or class, that a ``_target_`` names as MODULE.NAME.

    Modules are found where Python finds them, then in the current folder. Raises ConfigError where there is none.
    """
    wrong = f"{key}: {TARGET} {target!r} cannot be used"
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise ConfigError(f"{wrong}: it must be MODULE.FUNCTION; write for example {TARGET}: my_module.sine")
    import_also_from(os.curdir)
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        where = "put it into the current folder or that of --config-dir, or correct the name"
        raise ConfigError(f"{wrong}: there is no module {error.name!r}; {where}") from error
    except (Exception, SystemExit) as error:  # whatever a user's module does when it is imported
        raise ConfigError(f"{wrong}: importing {module} raised {error!r}; mend the module") from error
    if not hasattr(home, name):
        raise ConfigError(f"{wrong}: module {module} has no {name!r}; correct the name")
    function = getattr(home, name)
    if not (isclass(function) or isroutine(function)):
        raise ConfigError(f"{wrong}: it must be a function, got {type(function).__name__}; name one")
    return function


def typed_target(key: str, target: str, kind: Any) -> Any:
    """The function of a ``_target_``, which must declare that it returns a `kind` and take its values by name.

    Raises ConfigError before it is called.
    """
    function = resolve_target(key, target)
    wanted = named(kind)
    try:
        returned = function if isclass(function) else hints_of(function).get("return")
    except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{key}: {target} must have annotations that can be read, but: {error}; write for example {EXAMPLE}"
        ) from error
    if returned is None:
        raise ConfigError(f"{key}: {target} must say that it returns {wanted}; write '-> {wanted}', or name another")
    if not _is_kind(returned, kind):
        raise ConfigError(f"{key}: {target} must return {wanted}, got {named(returned)}; name another")
    for parameter in parameters_of(function).values():
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            raise ConfigError(f"{key}: {target} must take {parameter.name!r} by name; drop the '/' from its parameters")
    return function


def named(kind: Any) -> str:
    """Name of a type in a message."""
    return str(getattr(kind, "__name__", kind))


def _is_kind(annotation: Any, kind: Any) -> bool:
    """Whether values of one annotation are of another."""
    actual, expected = get_origin(annotation) or annotation, get_origin(kind) or kind
    return isclass(actual) and isclass(expected) and issubclass(actual, expected)


@lru_cache(maxsize=256)
def parameters_of(function: Any) -> Mapping[str, Parameter]:
    """Parameters that can be passed by name."""
    variadic = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return {
        name: parameter for name, parameter in signature(function).parameters.items() if parameter.kind not in variadic
    }


@lru_cache(maxsize=256)
def hints_of(function: Any) -> dict[str, Any]:
    """Type annotations of a function, with their metadata; a class's are those of its constructor."""
    annotated = function.__init__ if isclass(function) else function
    return get_type_hints(annotated, include_extras=True)


def names_in(value: Any) -> Iterator[Any]:
    """Yield every ``_target_``, of any type, at any depth of a configuration."""
    if isinstance(value, Mapping):
        if TARGET in value:
            yield value[TARGET]
        for inner in value.values():
            yield from names_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from names_in(inner)


def refuse_foreign(who: str, resolved: Mapping[str, Any], allowed: Collection[str] = ()) -> None:
    """Raise ConfigError where a stored configuration names a function of a module that may not be imported.

    Allowed are the modules of the workbench's leaves and the `allowed` ones, with the modules in them.
    """
    for target in names_in(resolved):
        module = target.rpartition(".")[0] if isinstance(target, str) else ""
        if not any(module == package or module.startswith(f"{package}.") for package in (*LEAVES, *allowed)):
            raise ConfigError(
                f"{who}: its configuration names {target!r}, which is none of the workbench's options and is not run "
                f"from a store; if you trust it, add --allow {module or 'MODULE'}"
            )
