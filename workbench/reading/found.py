"""What a name on the command line stands for: a sweep, or a run with the sweep around it."""

from workbench.errors import TrackingError, UnknownNameError
from workbench.tracking.reader import ReadRun, read_sweep
from workbench.tracking.single import find_run
from workbench.tracking.store import Store


def run_or_sweep(store: Store, name: str | None) -> tuple[str, list[ReadRun], list[ReadRun]]:
    """(title, the runs that are meant, all runs of their sweep), with their series; None: the newest run's.

    Raises UnknownNameError for what is neither, with the runs that are nearest.
    """
    kept = find_run(store, None) if name is None else None
    wanted = kept.run.tags.get("sweep") if kept else name
    try:
        if wanted:
            sweep = read_sweep(store, wanted)
            return f"{sweep.name} ({sweep.id})", sweep.runs, sweep.runs
    except (UnknownNameError, TrackingError):  # no sweep, or not this one
        pass
    run = (kept or find_run(store, name)).run
    others = read_sweep(store, run.tags["sweep"]).runs if "sweep" in run.tags else [run]
    return f"{run.name} ({run.id})", [run], others
