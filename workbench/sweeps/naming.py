"""Names of runs and arms: what differs between the runs of a sweep, said briefly."""

from collections.abc import Sequence
from typing import Any

from workbench.config import RunSpec

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#F0E442",
    "#000000",
)  # Okabe and Ito
QUIET = ("tracking", "sweep", "debug")


def varying_keys(specs: Sequence[RunSpec]) -> list[str]:
    """The overridden keys whose values differ, in the order of the command line, the seed last.

    For a single run: every key it overrides.
    """
    keys = dict.fromkeys(key for spec in specs for key in map(_key, spec.overrides))
    keys = {key: None for key in keys if key.partition(".")[0] not in QUIET}
    if len(specs) > 1:
        keys = {key: None for key in keys if len({_text(_value(spec, key)) for spec in specs}) > 1}
    return [key for key in keys if key != "seed"] + ["seed"]


def label(spec: RunSpec, keys: Sequence[str]) -> str:
    """``relu lr=0.1 seed=3``: a group's choice by its name alone, other values after the last part of their key."""
    parts = []
    for key in keys:
        value = _value(spec, key)
        short = key.rpartition(".")[2]
        if sum(other.rpartition(".")[2] == short for other in keys) > 1:
            short = key
        parts.append(_text(value) if key in spec.choices else f"{short}={_text(value)}")
    return " ".join(parts)


def arm_label(spec: RunSpec, keys: Sequence[str]) -> str:
    """The run's label without its seed; where nothing else differs, its activation's name."""
    return label(spec, [key for key in keys if key not in ("seed", "split.seed")]) or spec.choices["activation"]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _value(spec: RunSpec, key: str) -> Any:
    return spec.choices[key] if key in spec.choices else spec.settings.get(key)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace(", ", ",")
