"""Runs of a sweep grouped into other arms: one for each value of chosen parameters."""

from collections.abc import Sequence
from dataclasses import replace

from workbench.config.arms import arms_of
from workbench.core.errors import unknown_name
from workbench.tracking.reader import ReadRun


def by_params(runs: Sequence[ReadRun], keys: Sequence[str]) -> list[ReadRun]:
    """Name arms for the runs' values of these parameters; returns the runs sorted by arm.

    Numbers come in their order, other values as the runs do. Raises UnknownNameError for a parameter that no run has.
    """
    known = {key for run in runs for key in run.params}
    for key in keys:
        if key not in known:
            raise unknown_name("compare --by", key, known)
    arms = arms_of([run.params for run in runs], keys)
    return [replace(runs[index], arm=arms.names[index]) for index in arms.order]


def in_common(sweeps: Sequence[Sequence[ReadRun]], keys: Sequence[str]) -> list[list[ReadRun]]:
    """Name arms of several sweeps alike: by all parameters in which arms of any sweep differ."""
    runs = [run for sweep in sweeps for run in sweep]
    names = iter(arms_of([run.params for run in runs], keys).names)
    return [[replace(run, arm=next(names)) for run in sweep] for sweep in sweeps]
