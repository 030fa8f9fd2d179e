"""Names of files and folders that stay within the folder they are meant for."""

import re
from hashlib import sha256
from pathlib import Path

from workbench.core.errors import TrackingError

LONGEST = 100  # characters of a folder's name
_SAFE = re.compile(r"[\w-][\w. -]*(?<![. ])", re.ASCII)


def segment(name: str) -> str:
    """Folder name of a name: as it stands where that is safe, else made unique by a digest."""
    plain = name.replace("/", "_")
    if len(plain) <= LONGEST and _SAFE.fullmatch(plain):
        return plain
    plain = re.sub(r"[^\w-]", "_", name[:40], flags=re.ASCII)
    return f"{plain}-{sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"


def within(folder: Path, name: str) -> Path:
    """Path of this name in a folder. Raises TrackingError for a name that leads out of it."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name or "\\" in name:
        raise TrackingError(f"tracking: a file must have a name within its folder, got {name!r}")
    return folder / name


def check_file(name: str) -> None:
    """Raise TrackingError for a text that is not a plain file name."""
    if name in ("", ".", "..") or len(name) > LONGEST or not name.isprintable() or set(name) & set("/\\"):
        raise TrackingError(f"tracking: a file must have a name of at most {LONGEST} characters, no path, got {name!r}")
