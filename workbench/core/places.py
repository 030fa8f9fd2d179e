"""Checks that a command can write its output, made before its work begins; they leave no files behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from workbench.core.errors import ConfigError


def check_folder(who: str, folder: str | Path, way: str) -> None:
    """Raise ConfigError where files cannot be written into a folder, which need not exist; `way` is what to do."""
    path = Path(folder)
    with writing(who, "a folder", path, way), _made(path), TemporaryFile(dir=path):
        pass


def check_file(who: str, file: str | Path, way: str) -> None:
    """Raise ConfigError where a file, old or new, cannot be written; one that exists is not touched."""
    with writing(who, "a file", Path(file), way):
        path = Path(os.path.realpath(file))  # writing through a dangling link makes the link's target
        with _made(path.parent):
            existed = path.exists()
            if existed and not path.is_file() and not path.is_dir():
                return  # such as /dev/stdout
            with path.open("ab"):
                pass
            if not existed:
                path.unlink()


@contextmanager
def writing(who: str, kind: str, path: Path, way: str) -> Iterator[None]:
    """Raise ConfigError for an OSError or ValueError of the block, naming the path; `way` is what to do."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte, or of letters that no file has
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{who}: must be {kind} that can be written, got {str(path)!r} ({reason}); {way}") from error


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder and its missing parents for the block; remove those made afterwards."""
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    made = list[Path]()
    try:
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        yield
    finally:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
