"""Errors that a user can meet, and the helper that words an unknown name.

    WorkbenchError
    ├── ConfigError          a config key, its rule and the value that broke it
    │   └── UnknownNameError a name that is not among the options
    ├── ShapeError           a tensor whose axes do not fit
    ├── NumericsError        numbers that cannot be used (all replicas diverged, gradients that disagree)
    ├── DataError            a data set that is missing or malformed
    ├── DamagedError         a file written by the workbench whose content has changed since
    ├── KeyTaken             run keys that another process's runs have claimed
    └── TrackingError        a store that cannot record what was sent
        └── StoreAway        a store that does not answer, for now or for good

A message says who asked, what must hold, what came, and what to do.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MANY = 50  # options that a message lists


class WorkbenchError(Exception):
    """Base of all errors the workbench raises on purpose; the CLI prints it without a traceback."""


class ConfigError(WorkbenchError):
    """A configuration that cannot run."""


class UnknownNameError(ConfigError):
    """A name outside its list of options."""


class ShapeError(WorkbenchError):
    """A tensor whose shape breaks a layer's contract."""


class NumericsError(WorkbenchError):
    """Numbers that cannot be used."""


class DataError(WorkbenchError):
    """A data set that is missing or malformed."""


class DamagedError(WorkbenchError):
    """A file written by the workbench whose content has changed since."""


class KeyTaken(WorkbenchError):
    """Run keys that runs of another process have claimed, training or finished: `runs` maps each key to a run id."""

    def __init__(self, runs: Mapping[str, str]) -> None:
        super().__init__(f"tracking: {len(runs)} runs are others' already")
        self.runs = dict(runs)


class TrackingError(WorkbenchError):
    """A tracking store that cannot be reached or refuses data."""


class StoreAway(TrackingError):
    """A tracking store that does not answer, or whose disk is full: the same write may succeed later."""


class Terminated(BaseException):
    """The process was asked to end by SIGTERM; passes every handler of errors, like KeyboardInterrupt."""


def closest(name: str, options: Iterable[str], least: float = 0.5) -> str | None:
    """Return the option most similar to `name`, or None when none has at least that similarity (1: the same)."""
    matches = get_close_matches(name, list(options), n=1, cutoff=least)
    return matches[0] if matches else None


def unknown_name(who: str, name: str, options: Iterable[str]) -> UnknownNameError:
    """Make the error for `name`: it lists the options in order and names the closest one."""
    listed = sorted(options)
    near = closest(name, listed)
    hint = f"did you mean {near!r}? " if near else ""
    more = f" and {len(listed) - MANY} more" if len(listed) > MANY else ""
    return UnknownNameError(f"{who}: unknown name {name!r}; {hint}options: {', '.join(listed[:MANY])}{more}")
