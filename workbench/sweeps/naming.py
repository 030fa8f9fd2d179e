"""Names of runs: what differs between the runs that are made together, in brief."""

from collections.abc import Sequence
from typing import Any

from workbench.config.arms import SEEDS, arms_of, brief
from workbench.config.schema import RunSpec

QUIET = ("tracking", "sweep", "debug")


def varying_keys(specs: Sequence[RunSpec]) -> list[str]:
    """Overridden keys whose values differ, in the order of the command line, the seed last.

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


def run_names(specs: Sequence[RunSpec]) -> list[str]:
    """Name each run for what differs; one that is made alone and overrides nothing, for its activation."""
    keys = varying_keys(specs)
    if len(specs) == 1 and not {*keys} - {*SEEDS}:
        keys = ["activation", *keys]
    return [label(spec, keys) for spec in specs]


def arm_names(specs: Sequence[RunSpec]) -> list[str]:
    """Name the arm of each run, by the params that will be stored."""
    return list(arms_of([params_of(spec) for spec in specs]).names)


def sort_arms(specs: Sequence[RunSpec]) -> list[str]:
    """Names of the arms of runs, in the order of figures and tables; repeated as often as they have runs."""
    arms = arms_of([params_of(spec) for spec in specs])
    return [arms.names[index] for index in arms.order]


def params_of(spec: RunSpec) -> dict[str, str]:
    """The configuration as texts, as a store has it."""
    return {key: str(value) for key, value in spec.settings.items()}


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _value(spec: RunSpec, key: str) -> Any:
    return spec.choices[key] if key in spec.choices else spec.settings.get(key)


def _text(value: Any) -> str:
    return brief(str(value))


def announcement(specs: Sequence[RunSpec], place: str) -> str:
    """Sentence that says how many runs there will be, and where they are kept."""
    arms = len(set(arm_names(specs)))
    runs = f"{len(specs)} runs of {arms} arms" if len(specs) > 1 else f"1 run: {run_names(specs)[0]}"
    return f"{runs}; kept in {place}"
