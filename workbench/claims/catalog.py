"""The claims there are: those that come with the workbench, and those of a folder of the user's.

A claim NAME is ``experiments/NAME.py`` with ``conf/experiment/NAME.yaml``; in a folder of one's own, ``NAME.py`` with
``experiment/NAME.yaml``, so that the folder also serves as Hydra's ``--config-dir``.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from workbench.claims.claim import Claim, parse_claim
from workbench.config.schema import packaged
from workbench.config.yaml_files import read_yaml
from workbench.core.errors import ConfigError, unknown_name

NEEDED = ("measure", "draw")


@dataclass(frozen=True)
class Entry:
    """A claim, its two files, and the folder it came from (None: the workbench's own)."""

    name: str
    claim: Claim
    code: Path
    yaml: Path
    folder: Path | None = None

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over what a verdict depends on: its two files, and sources that are no other claim's.

        Sources are those of the package, its configuration, and what else lies in the claim's folder.
        """
        content = sha256(self.code.read_bytes() + self.yaml.read_bytes())
        places = [(Path(__file__).resolve().parents[1], "*.py"), (packaged("conf"), "*.yaml")]
        places += [(self.folder, pattern) for pattern in ("*.py", "*.yaml") if self.folder]
        for folder, pattern in places:
            for file in sorted(set(folder.rglob(pattern)) - _of_claims(folder)):
                content.update(file.read_bytes())
        return content.hexdigest()[:16]

    def load(self) -> ModuleType:
        """The module of its code.

        Raises ConfigError where it does not define what a claim needs.
        """
        if self.folder is not None and str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))  # its own modules, named by _target_ in its yaml files
        spec = spec_from_file_location(f"workbench_claim_{self.name}", self.code)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ConfigError(f"{self.code}: must be a Python module that can be imported: {error!r}") from error
        for name in NEEDED:
            if not callable(getattr(module, name, None)):
                raise ConfigError(f"{self.code}: must define {' and '.join(NEEDED)}, {name} is missing")
        return module


def catalog(folder: Path | None = None) -> dict[str, Entry]:
    """All claims by name, those of `folder` first.

    Raises ConfigError for a folder or a file that is not what it must be, and for a name that is taken.
    """
    own = {entry.name: entry for entry in _entries(folder, folder / "experiment", folder)} if folder else {}
    if folder and not own:
        raise ConfigError(
            f"--claims: {folder} must hold NAME.py and experiment/NAME.yaml of a claim; "
            f"make the first with: workbench new claim NAME --claims {folder}"
        )
    shipped = {entry.name: entry for entry in _entries(packaged("experiments"), packaged("conf") / "experiment", None)}
    if twice := own.keys() & shipped.keys():
        raise ConfigError(f"--claims: {sorted(twice)[0]} is a claim of the workbench's own; give yours another name")
    return own | shipped


def _entries(code: Path, yaml: Path, folder: Path | None) -> Iterator[Entry]:
    for file in sorted(yaml.glob("*.yaml")):
        node = read_yaml(file).get("claim")
        if node is None:
            continue
        program = code / f"{file.stem}.py"
        if not program.exists():
            raise ConfigError(f"{file}: its code {program} must exist, with functions {' and '.join(NEEDED)}")
        yield Entry(file.stem, parse_claim(file, node), program, file, folder)


def _of_claims(folder: Path) -> set[Path]:
    """The files of a folder's claims, or of the folder ``conf``."""
    yamls = set((folder / "experiment").glob("*.yaml"))
    return yamls | {folder / f"{file.stem}.py" for file in yamls}


def choose(names: list[str], folder: Path | None = None) -> list[Entry]:
    """The claims of these names, in the catalog's order for ``all``.

    Raises UnknownNameError.
    """
    known = catalog(folder)
    for name in names:
        if name != "all" and name not in known:
            raise unknown_name("claim", name, [*known, "all"])
    return list(known.values()) if "all" in names else [known[name] for name in dict.fromkeys(names)]
