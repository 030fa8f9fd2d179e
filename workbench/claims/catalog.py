"""The claims there are: those that come with the workbench, and those of a folder of the user's.

A claim NAME is a folder ``NAME`` with ``experiment.yaml``, ``measure.py``, ``figure.py``, and whatever modules these
import from beside them; no verdict hangs on `figure.py`. Hydra finds the claim as ``experiment=NAME``
(`config.yaml_files`), also where ``--config-dir`` names a user's folder of claims.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module, invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from workbench.claims.claim import Claim, parse_claim
from workbench.config.schema import packaged
from workbench.config.yaml_files import EXPERIMENT, experiments_in, read_yaml
from workbench.core.errors import ConfigError, unknown_name

CODE, FIGURE = "measure.py", "figure.py"
NEEDED = {CODE: "measure", FIGURE: "draw"}  # function of each


@dataclass(frozen=True)
class Entry:
    """A claim, its `yaml`, and the user's `folder` that it lies in (None: it comes with the workbench)."""

    name: str
    claim: Claim
    yaml: Path
    folder: Path | None = None

    @property
    def code(self) -> Path:
        """The file that measures it."""
        return self.yaml.with_name(CODE)

    def load(self) -> ModuleType:
        """Load the module that measures it.

        Raises ConfigError where it does not define ``measure``.
        """
        return self._load(self.code)

    def load_figure(self) -> ModuleType:
        """Load the module that draws its figure.

        Raises ConfigError where it does not define ``draw``.
        """
        return self._load(self.yaml.with_name(FIGURE))

    def _load(self, file: Path) -> ModuleType:
        if self.folder is not None and str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))  # its own modules, named by _target_ in its yaml files
        try:
            spec = spec_from_file_location(f"{self._package()}.{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
        except Exception as error:
            raise ConfigError(f"{file}: must be a Python module that can be imported: {error!r}") from error
        if not callable(getattr(module, NEEDED[file.name], None)):
            raise ConfigError(f"{file}: must define a function {NEEDED[file.name]}, which is missing")
        return module

    def _package(self) -> str:
        """The package of the claim's folder, from which its code imports the modules beside it."""
        if self.folder is None:
            return import_module(f"workbench.experiments.{self.name}").__name__
        folder = self.yaml.parent
        digest = sha256(b"".join(file.read_bytes() for file in sorted(folder.rglob("*.py")))).hexdigest()
        package = ModuleType(f"workbench_claim_{self.name}")
        package.__path__ = [str(folder)]
        package.digest = digest  # type: ignore[attr-defined]
        known = sys.modules.get(package.__name__)
        if (getattr(known, "__path__", None), getattr(known, "digest", None)) != (package.__path__, digest):
            for name in [name for name in sys.modules if name.partition(".")[0] == package.__name__]:
                del sys.modules[name]  # of another folder, or of sources that were changed since
            invalidate_caches()
            sys.modules[package.__name__] = package
        return package.__name__


def catalog(folder: Path | None = None) -> dict[str, Entry]:
    """All claims by name, those of `folder` first.

    Raises ConfigError for a folder or a file that is not what it must be, and for a name that is taken.
    """
    own = {entry.name: entry for entry in _entries(folder, folder)} if folder else {}
    if folder and not own:
        raise ConfigError(
            f"--claims: {folder} must hold NAME/{EXPERIMENT}, NAME/{CODE} and NAME/{FIGURE} of a claim"
            f"{_former(folder)}; "
            f"make the first with: workbench new claim NAME --into {folder}"
        )
    shipped = {entry.name: entry for entry in _entries(packaged("experiments"), None)}
    if twice := own.keys() & shipped.keys():
        raise ConfigError(f"--claims: {sorted(twice)[0]} is a claim of the workbench's own; give yours another name")
    return own | shipped


def _entries(place: Path, folder: Path | None) -> Iterator[Entry]:
    for name, file in experiments_in(place).items():
        node = read_yaml(file).get("claim")
        if node is None:
            continue
        entry = Entry(name, parse_claim(file, node), file, folder)
        for code, function in NEEDED.items():
            if not file.with_name(code).exists():
                raise ConfigError(f"{file}: its code {file.with_name(code)} must exist, with a function {function}")
        yield entry


def _former(folder: Path) -> str:
    """Commands that move a claim out of the layout of version 0.1; empty where there is none."""
    for file in sorted((folder / "experiment").glob("*.yaml")):
        code, new = folder / f"{file.stem}.py", folder / file.stem
        if code.exists():
            return f"; move yours: mkdir {new} && mv {file} {new / EXPERIMENT} && mv {code} {new / CODE}"
    return ""


def choose(names: list[str], folder: Path | None = None) -> list[Entry]:
    """The claims of these names, in the catalog's order for ``all``.

    Raises UnknownNameError.
    """
    known = catalog(folder)
    for name in names:
        if name != "all" and name not in known:
            raise unknown_name("claim", name, [*known, "all"])
    return list(known.values()) if "all" in names else [known[name] for name in dict.fromkeys(names)]


def claims_folder(path: str | None) -> Path | None:
    """The folder of ``--claims``; raises ConfigError where there is none."""
    if path is None:
        return None
    folder = Path(os.path.realpath(path))  # resolve() itself raises for links in a circle
    if not folder.is_dir():
        raise ConfigError(f"--claims: must be a folder, got {path!r}; make one with: workbench new claim NAME")
    return folder
