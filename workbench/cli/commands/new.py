"""``workbench new``: write the files of an activation, a layer, a data set, a diagnostic or a claim of your own."""

import argparse
import ast
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from keyword import iskeyword
from pathlib import Path
from string import Template

HELP = "write working files, with a test, of an activation, layer, data set, diagnostic or claim of your own"
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class Kind:
    """Hydra's group of what is made, the command that tries it, and the folder of its yaml."""

    group: str
    command: str
    folder: str = "mine"


KINDS = {
    "activation": Kind("activation", "workbench check --config-dir {folder} activation={name}"),
    "layer": Kind("architecture", "workbench check --config-dir {folder} architecture={name}"),
    "data": Kind("data", "workbench train --config-dir {folder} data={name} loss=binary_nll"),
    "diagnostic": Kind("diagnostics", "workbench train --config-dir {folder} diagnostics={name}"),
    "claim": Kind("experiment", "workbench reproduce {name} --claims {folder}", "claims"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", metavar="NAME")
    folder = "the folder of its yaml, for --config-dir (default: mine), or of a claim, for --claims (default: claims)"
    parser.add_argument("--into", metavar="DIR", help=folder)


def run(options: argparse.Namespace) -> int:
    """Write working files for the user to change; raises ConfigError for a name that cannot be, or is taken."""
    from workbench.core.errors import ConfigError
    from workbench.core.places import check_folder

    kind, name, made = options.kind, options.name, KINDS[options.kind]
    folder = options.into or made.folder
    _check_name(kind, name)
    files = dict(_files(kind, name, folder))
    for file in files:
        if file.exists():
            raise ConfigError(f"new {kind}: {file} must not exist; choose another name, or remove it")
    if name in _modules_and_words(kind, name):
        raise ConfigError(f"new {kind}: {name} must be no module or name that its code uses; choose another name")
    for place in sorted({file.parent for file in files}):
        check_folder(f"new {kind} --into", place, f"write workbench new {kind} {name} --into {made.folder}")
    _write(files)
    print(f"run it: {made.command.format(name=name, folder=shlex.quote(folder))}")
    for file in files:
        if file.name.startswith("test_"):
            print(f"test it: python -m pytest {file}")
    return 0


def _check_name(kind: str, name: str) -> None:
    from workbench.core.errors import ConfigError

    if not name.isidentifier() or iskeyword(name):
        raise ConfigError(
            f"new {kind}: NAME must be a Python identifier, got {name!r}; write workbench new {kind} my_{kind}"
        )
    if name in _taken(kind):
        raise ConfigError(f"new {kind}: {name} is a name of the workbench's own; choose another name")


def _taken(kind: str) -> Iterable[str]:
    if kind == "claim":
        from workbench.claims.catalog import catalog

        return (*catalog(), "all")
    from workbench.config.options import option, options

    quantities = option("diagnostics", "full")["quantities"] if kind == "diagnostic" else ()
    return (*options(KINDS[kind].group), *quantities)


def _modules_and_words(kind: str, name: str) -> Iterator[str]:
    """Yield the name where Python finds a module of this name, and names that the code would lose to it."""
    if kind == "claim":  # whose code is found by its place
        return
    if name in sys.stdlib_module_names or PathFinder.find_spec(name):
        yield name
    for file, code in _files(kind, f"{name}_", ""):
        for node in ast.walk(ast.parse(code if file.suffix == ".py" else "")):
            match node:
                case ast.Name(id=word) | ast.alias(name=word) | ast.ClassDef(name=word):
                    yield word


def _files(kind: str, name: str, folder: str) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each file to write."""
    places = {"NAME": name, "FOLDER": folder}
    for template in sorted((TEMPLATES / kind).rglob("*.txt")):
        text = Template(template.read_text(encoding="utf-8"))
        parts = template.relative_to(TEMPLATES / kind).with_suffix("").parts
        path = Path(*(places.get(part, part.replace("NAME", name)) for part in parts))
        yield path, text.substitute(name=name, folder=shlex.quote(folder), place=repr(folder))


def _write(files: Mapping[Path, str]) -> None:
    """Write all of the files, or none."""
    written: list[Path] = []
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                written.append(file)
                stream.write(text)
    except BaseException:
        for file in written:
            file.unlink()
        raise
    print("\n".join(f"wrote {file}" for file in files))
