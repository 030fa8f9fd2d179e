"""Where a command is to write: tried before its work begins, with nothing left of the trial."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from workbench.core.errors import ConfigError


def check_folder(who: str, folder: str | Path, way: str) -> None:
    """Raise ConfigError where files cannot be written into a folder, which need not exist; `way` is what to do."""
    place = Path(folder)
    with _refused(who, "a folder", place, way), _made(place), TemporaryFile(dir=place):
        pass


def check_file(who: str, file: str | Path, way: str) -> None:
    """Raise ConfigError where a file, old or new, cannot be written; one that exists is not touched."""
    with _refused(who, "a file", Path(file), way):
        place = Path(os.path.realpath(file))  # of a link that leads nowhere, what writing would make
        with _made(place.parent):
            existed = place.exists()
            if existed and not place.is_file() and not place.is_dir():
                return  # such as /dev/stdout
            with place.open("ab"):
                pass
            if not existed:
                place.unlink()


@contextmanager
def writing(who: str, kind: str, place: Path, way: str) -> Iterator[None]:
    """A block that writes: what stops it names the place and what to do."""
    with _refused(who, kind, place, way):
        yield


@contextmanager
def _refused(who: str, kind: str, place: Path, way: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte, or of letters that no file has
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{who}: must be {kind} that can be written, got {str(place)!r} ({reason}); {way}") from error


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A block in which a folder exists; those that were made for it are gone after it."""
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    made = list[Path]()
    try:
        for one in reversed(missing):
            one.mkdir()
            made.append(one)
        yield
    finally:
        for one in reversed(made):
            with suppress(OSError):
                one.rmdir()
