"""Lookup of a name from the command line: a sweep, or a run with the sweep around it."""

from dataclasses import dataclass, replace

from workbench.core.errors import TrackingError, UnknownNameError
from workbench.tracking.find_run import FullRun, find_run
from workbench.tracking.reader import ReadRun, ReadSweep, read_sweep
from workbench.tracking.store import Store, sweeps_of


@dataclass(frozen=True)
class Target:
    """Result of a lookup: its `runs`, all runs of their sweep as `others`, and what is missing or odd in them."""

    title: str
    runs: list[ReadRun]
    others: list[ReadRun]
    doubts: tuple[str, ...] = ()


def run_or_sweep(store: Store, name: str | None) -> Target:
    """Find the runs of a sweep, or a run, with their series; without a name the newest run's sweep.

    Raises UnknownNameError for a name that is neither, with the nearest runs.
    """
    full_run = find_run(store, None) if name is None else None
    try:
        if name is not None:
            return _whole(read_sweep(store, name))
    except (UnknownNameError, TrackingError):  # no sweep, or not this one
        pass
    full_run = full_run or find_run(store, name)
    around = sweep_around(store, full_run)
    if around is None:
        run = replace(full_run.run, arm=full_run.run.name)
        return Target(f"{run.name} ({run.id})", [run], [run])
    if name is None:
        return _whole(around)
    run_in_sweep = next(run for run in around.runs if run.id == full_run.run.id)
    return Target(f"{full_run.run.name} ({run_in_sweep.id})", [run_in_sweep], around.runs, around.doubts)


def sweep_around(store: Store, full_run: FullRun, histories: bool = True) -> ReadSweep | None:
    """The newest sweep that a run is in, whichever trained it; None where there is none."""
    for sweep in sweeps_of(full_run.run.tags):
        try:
            around = read_sweep(store, sweep, histories)
        except (UnknownNameError, TrackingError):  # it is gone
            continue
        if any(run.id == full_run.run.id for run in around.runs):
            return around
    return None


def _whole(sweep: ReadSweep) -> Target:
    return Target(f"{sweep.name} ({sweep.id})", sweep.runs, sweep.runs, sweep.doubts)
