"""Signatures of the package's own functions, read from their source with `ast`: nothing is imported, no torch either.

Annotations are evaluated in the names of their module. What is neither typing's, nor a rule on numbers, nor one of the
LIGHT modules, is `Opaque`: tensors, and objects that nodes are made into.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from workbench.config.values import Parameter, Signature

PACKAGE = Path(__file__).resolve().parents[1]
LIGHT = ("annotated_types", "collections.abc", "typing", "workbench.data.option_types")


class Opaque:
    """Type that was not imported, and the value of what was not called."""

    def __init__(self, *arguments: object, **named: object) -> None: ...

    def __class_getitem__(cls, item: object) -> type["Opaque"]:
        return cls


@cache
def signature_in_source(target: str) -> Signature | None:
    """Parameters of a function of the package by name, None where it has no such function.

    A parameter of one number per replica is one number here.
    """
    module, _, name = target.rpartition(".")
    names = _names(module)
    function = names.nodes.get(name) if names else None
    if names is None or not isinstance(function, ast.FunctionDef):
        return None
    return {
        argument.arg: Parameter(_of_value(names.value_of(argument.annotation)), is_required)
        for argument, is_required in _arguments(function.args)
    }


def _arguments(arguments: ast.arguments) -> Iterator[tuple[ast.arg, bool]]:
    """Yield each parameter, and whether it has no default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    yield from ((argument, index < first) for index, argument in enumerate(positional))
    yield from (
        (argument, default is None)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    )


def _of_value(hint: Any) -> Any:
    """Annotation of the value in a configuration: a number for a tensor with rules, all else as it is."""
    if get_origin(hint) is not Annotated:
        return hint
    base, *rules = get_args(hint)
    known = [rule for rule in rules if not isinstance(rule, Opaque)]
    value = float if base is Opaque and len(known) < len(rules) else base
    return Annotated[value, *known] if known else value


class _Names(Mapping[str, Any]):
    """Values of the names at the top of a module, each evaluated when it is asked for."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: dict[str, ast.AST] = {}
        self.origins: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            match node:
                case ast.ImportFrom(module=str(module)):
                    self.origins |= {alias.asname or alias.name: (module, alias.name) for alias in node.names}
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.nodes[name] = value
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    self.nodes[name] = node

    def value_of(self, annotation: ast.expr | None) -> Any:
        """Evaluate an annotation; Any where there is none."""
        if annotation is None:
            return Any
        code = compile(ast.Expression(annotation), "annotation", "eval")
        return eval(code, {"__builtins__": {}}, self)  # source of this package

    def __getitem__(self, name: str) -> Any:
        node = self.nodes.get(name)
        if isinstance(node, ast.expr):
            return self.value_of(node)
        if name in self.origins:
            module, original = self.origins[name]
            if module in LIGHT:
                return getattr(import_module(module), original)
            names = _names(module)
            return Opaque if names is None else names[original]
        return Opaque if node is not None else getattr(builtins, name, Opaque)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


@cache
def _names(module: str) -> _Names | None:
    """Names of a module of the package; None for others."""
    package, *parts = module.split(".")
    file = PACKAGE.joinpath(*parts).with_suffix(".py")
    if package != PACKAGE.name or not file.is_file():
        return None
    return _Names(ast.parse(file.read_text(encoding="utf-8")))
