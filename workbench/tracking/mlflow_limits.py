"""Limits of MLflow on names and values."""

import posixpath
import re
from functools import lru_cache

from workbench.core.errors import TrackingError

LONGEST_NAME = 250
LONGEST_EXPERIMENT = 250  # characters: a PostgreSQL database takes few more
LEGAL = re.compile(r"[\w\-.: /]+")


@lru_cache(maxsize=4096)
def check_name(kind: str, name: str) -> None:
    """Raise TrackingError for a name of a metric, param or tag that MLflow refuses."""
    path = posixpath.normpath(name)
    if not LEGAL.fullmatch(name) or path != name or path == "." or path.startswith(("..", "/")):
        raise TrackingError(
            f"tracking: the name of a {kind} must have letters, digits, _ - . : / and spaces only, and be no other "
            f"path than it looks, got {name!r}"
        )
    if len(name) > LONGEST_NAME:
        raise TrackingError(
            f"tracking: the name of a {kind} must have at most {LONGEST_NAME} characters, got {len(name)}: {name[:40]}"
        )


def check_experiment(name: str) -> None:
    """Raise TrackingError for the name of an experiment that some store refuses, or that no terminal can show."""
    if not name.strip() or len(name) > LONGEST_EXPERIMENT or not name.isprintable():
        shown = name if len(name) <= 60 else f"{name[:60]}... ({len(name)} characters)"
        raise TrackingError(
            f"tracking.experiment: must have 1 to {LONGEST_EXPERIMENT} printable characters, got {shown!r}; write for "
            "example tracking.experiment=digits"
        )


def shortened(text: str, most: int) -> str:
    """Cut a text to `most` characters, with a note of its length where it was longer."""
    if len(text) <= most:
        return text
    note = f"... ({len(text)} characters)"
    return text[: most - len(note)] + note
