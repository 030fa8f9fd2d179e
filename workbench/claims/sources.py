"""Source that a measurement runs, found with `ast`: which files it imports, and which of their lines count.

Nothing is imported to be looked at. Comments, docstrings and empty lines do not count.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from workbench.core.source_text import meaningful_lines

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT.name


def code_of(file: Path) -> str:
    """The lines of a file that count; of one that is no Python, all of it."""
    return meaningful_lines(file.read_text(encoding="utf-8"))


def reached(files: Iterable[Path], modules: Iterable[str] = (), folder: Path | None = None) -> dict[str, Path]:
    """The files that these files and modules are, and all of the workbench and of `folder` that they import, by name.

    Imports inside functions count, those for type checkers too. Of what the package itself hands out
    (``import workbench as wb``), the names that are used count.
    """
    found: dict[str, Path] = {}
    waiting = [(_name(file, folder), file) for file in files]
    waiting += [(name, file) for name in modules for file in [_file(name, folder)] if file]
    while waiting:
        name, file = waiting.pop()
        if name in found:
            continue
        found[name] = file
        waiting += [
            (one, place) for one in _imported(file, name) if one not in found for place in [_file(one, folder)] if place
        ]
    return dict(sorted(found.items()))


def texts_of(file: Path) -> list[str]:
    """The texts in a Python file, pieces of formatted ones too."""
    values = (node.value for node in ast.walk(_tree(file)) if isinstance(node, ast.Constant))
    return [value for value in values if isinstance(value, str)]


@lru_cache(maxsize=1024)
def _parsed(file: Path, changed_ns: int) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError:
        return ast.Module([], [])


def _tree(file: Path) -> ast.Module:
    return _parsed(file, file.stat().st_mtime_ns)


def _name(file: Path, folder: Path | None) -> str:
    """The dotted name of a file: of the workbench, of its experiments, or of a user's folder."""
    for place, prefix in ((ROOT, PACKAGE), (folder, "")):
        if place and file.is_relative_to(place):
            parts = file.relative_to(place).with_suffix("").parts
            return ".".join(filter(None, (prefix, *(part for part in parts if part != "__init__"))))
    return f"{PACKAGE}.experiments.{file.parent.name}.{file.stem}"


def _file(name: str, folder: Path | None) -> Path | None:
    """File of a module of the workbench or of the user's folder; None for others."""
    parts = name.split(".")
    if parts[:2] == [PACKAGE, "experiments"] and len(parts) > 2:
        place = _experiments().joinpath(*parts[2:])
    elif parts[0] == PACKAGE:
        place = ROOT.joinpath(*parts[1:])
    elif folder:
        place = folder.joinpath(*parts)
    else:
        return None
    files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _experiments() -> Path:
    inside = ROOT / "experiments"
    return inside if any(inside.glob("*/*.yaml")) else ROOT.parent / "experiments"


@lru_cache(maxsize=1)
def _handed_out() -> Mapping[str, str]:
    """Module of each public name of the package."""
    found: dict[str, str] = {}
    for node in ast.walk(_tree(ROOT / "__init__.py")):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found[alias.asname or alias.name] = inner if _file(inner, None) else node.module
    return found


def _imported(file: Path, name: str) -> Iterator[str]:
    """The modules that a file imports; of ``from a import b`` both a and a.b."""
    if file == ROOT / "__init__.py":
        return
    tree = _tree(file)
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    itself = {PACKAGE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            itself |= {alias.asname for alias in node.names if alias.name == PACKAGE and alias.asname}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join(filter(None, [*parents, node.module or ""]))
            if module == PACKAGE:
                yield from (_handed_out().get(alias.name, f"{PACKAGE}.{alias.name}") for alias in node.names)
            else:
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in itself:
            yield from filter(None, [_handed_out().get(node.attr)])
