"""``workbench new``: write the files of a claim of your own."""

import argparse
from pathlib import Path
from string import Template

from workbench.core.errors import ConfigError

HELP = "write the files of a claim of your own"
TEMPLATES = Path(__file__).parents[2] / "claims" / "template"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("kind", choices=["claim"])
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--claims", metavar="DIR", default="claims", help="where to (default: claims)")


def run(options: argparse.Namespace) -> int:
    """Write three working files for the user to change; raises ConfigError for a name that is taken."""
    from workbench.claims.catalog import CODE, FIGURE, catalog
    from workbench.config.yaml_files import EXPERIMENT
    from workbench.core.places import check_folder

    kind, name, folder = options.kind, options.name, options.claims
    if not name.isidentifier():
        raise ConfigError(
            f"new {kind}: NAME must be a Python identifier, got {name!r}; write workbench new {kind} my_claim"
        )
    if name in (*catalog(), "all"):
        raise ConfigError(f"new {kind}: {name} is a name of the workbench's own; choose another name")
    target = Path(folder) / name
    files = {target / file: f"{file}.txt" for file in (CODE, FIGURE, EXPERIMENT)}
    for file in files:
        if file.exists():
            raise ConfigError(f"new {kind}: {file} must not exist; choose another name, or remove it")
    check_folder("new claim --claims", target, f"write workbench new claim {name} --claims claims")
    target.mkdir(parents=True, exist_ok=True)
    for file, template in files.items():
        text = Template((TEMPLATES / template).read_text(encoding="utf-8"))
        file.write_text(text.substitute(name=name, folder=folder), encoding="utf-8")
        print(f"wrote {file}")
    print(f"run it: workbench reproduce {name} --claims {folder}")
    return 0
