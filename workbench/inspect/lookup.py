"""What a name on the command line stands for: a sweep, or a run with the sweep around it."""

from dataclasses import dataclass, replace

from workbench.core.errors import TrackingError, UnknownNameError
from workbench.tracking.find_run import FullRun, find_run
from workbench.tracking.reader import ReadRun, ReadSweep, read_sweep
from workbench.tracking.store import Store, sweeps_of


@dataclass(frozen=True)
class Meant:
    """What a name means: the `runs`, all runs of their sweep as `others`, and what is missing or odd in them."""

    title: str
    runs: list[ReadRun]
    others: list[ReadRun]
    doubts: tuple[str, ...] = ()


def run_or_sweep(store: Store, name: str | None) -> Meant:
    """The runs of a sweep, or a run, with their series; without a name the newest run's sweep.

    Raises UnknownNameError for what is neither, with the runs that are nearest.
    """
    kept = find_run(store, None) if name is None else None
    try:
        if name is not None:
            return _whole(read_sweep(store, name))
    except (UnknownNameError, TrackingError):  # no sweep, or not this one
        pass
    kept = kept or find_run(store, name)
    around = sweep_around(store, kept)
    if around is None:
        run = replace(kept.run, arm=kept.run.name)
        return Meant(f"{run.name} ({run.id})", [run], [run])
    if name is None:
        return _whole(around)
    own = next(run for run in around.runs if run.id == kept.run.id)
    return Meant(f"{kept.run.name} ({own.id})", [own], around.runs, around.doubts)


def sweep_around(store: Store, kept: FullRun, histories: bool = True) -> ReadSweep | None:
    """The newest sweep that a run is in, whichever trained it; None where there is none."""
    for sweep in sweeps_of(kept.run.tags):
        try:
            found = read_sweep(store, sweep, histories)
        except (UnknownNameError, TrackingError):  # it is gone
            continue
        if any(run.id == kept.run.id for run in found.runs):
            return found
    return None


def _whole(sweep: ReadSweep) -> Meant:
    return Meant(f"{sweep.name} ({sweep.id})", sweep.runs, sweep.runs, sweep.doubts)
