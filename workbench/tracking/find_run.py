"""Reading one run from MLflow, found by its id, the beginning of its id, or its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from string import hexdigits

from workbench.core.bounded_yaml import MOST_BYTES, parse_yaml
from workbench.core.errors import ConfigError, TrackingError, UnknownNameError, unknown_name
from workbench.core.plain_text import one_line
from workbench.tracking.artifacts import listed, read
from workbench.tracking.base import ARM, CONFIG, RUN
from workbench.tracking.metric_series import series_of_runs
from workbench.tracking.mlflow_environment import usual_experiments
from workbench.tracking.reader import ReadRun, as_read
from workbench.tracking.reading import Reading
from workbench.tracking.store import Store, sweeps_of
from workbench.tracking.store_errors import store_errors, translating_store_errors
from workbench.tracking.stored_run import RunFilter, StoredRun

LEAST_PREFIX = 4  # characters of an id
SHOWN = 12  # names in an error
OURS = RunFilter("kind", [RUN])  # other programs log into the same experiments


@dataclass(frozen=True)
class FullRun:
    """A run with its whole history, its resolved `config`, and the sizes of its files by path, in bytes.

    The configuration may name functions of the workbench and of modules that are `allowed`. `data` is the digest of its
    data set. `start_ms` and `end_ms` are milliseconds since 1970, the second 0 for a run that has not ended. `trouble`
    says why a stored configuration cannot be read.
    """

    run: ReadRun
    experiment_id: str
    start_ms: int
    end_ms: int
    data: str
    config: Mapping[str, object]
    files: Mapping[str, int]
    trouble: str = ""
    allowed: Sequence[str] = ()


def find_run(store: Store, name: str | None) -> FullRun:
    """Find the run with this id, or an id that only it begins with, or the newest with this name; None: the newest.

    Raises UnknownNameError with the names that are nearest, and TrackingError where there is no run.
    """
    if store.is_missing:
        raise TrackingError(f"tracking: no store at {store.shown}; train something first or name another with --uri")
    reading = Reading(store)
    with translating_store_errors(store):
        return _full(reading, _found(reading, name))


def tagged_like(store: Store, experiment_id: str, tag: str, start: str) -> dict[str, str]:
    """Values of a tag, by run, of every run of an experiment where they begin with `start`."""
    reading = Reading(store)
    with translating_store_errors(store):
        runs = reading.runs(replace(OURS, experiments=[experiment_id]), whole=False)
    return {run.id: run.tags[tag] for run in runs if run.tags.get(tag, "").startswith(start)}


def read_run(store: Store, run: str) -> FullRun:
    """The run with this id; raises TrackingError where there is none."""
    return find_run(store, run)


def _found(reading: Reading, name: str | None) -> str:
    """Id of a run, found by id or name; raises as `find_run`."""
    near = usual_experiments(reading) if name is None else None

    def newest(most: int | None, name: str | None = None) -> list[StoredRun]:
        """Ours before those of other programs."""
        for wanted in (OURS, RunFilter()):
            if runs := reading.runs(replace(wanted, name=name, experiments=near), whole=False, most=most):
                return runs
        return []

    if not (any_run := newest(1)):
        raise TrackingError(f"tracking: {reading.store.shown} holds no run; make one with: workbench train")
    if name is None:
        return any_run[0].id
    if len(name) >= LEAST_PREFIX and set(name) <= set(hexdigits):
        matches = reading.runs(RunFilter(prefix=name.lower()), whole=False, most=SHOWN)
        if len(matches) > 1:
            ids = ", ".join(run.id for run in matches)
            raise UnknownNameError(f"run: {name!r} must begin one id only, but several do; write more of {ids}")
        if matches:
            return matches[0].id
    if not {"'", '"'} <= {*name} and (matches := newest(1, name)):  # MLflow's filters can quote one of both
        return matches[0].id
    every = newest(None)
    if matches := [run for run in every if name in (run.name, one_line(run.name))]:
        return matches[0].id
    names = dict.fromkeys(one_line(run.name) for run in every)
    raise unknown_name("run", name, get_close_matches(name, names, n=SHOWN, cutoff=0.0))


def _full(reading: Reading, identity: str) -> FullRun:
    (stored,) = reading.runs(RunFilter(prefix=identity), most=1)
    if stored.tags.get("kind") == ARM:
        (sweep,) = sweeps_of(stored.tags, ARM) or [""]
        raise TrackingError(f"run: {identity} is the mean of an arm, not a run; its runs: workbench compare {sweep}")
    files = listed(reading, identity, stored.artifacts)
    config, trouble = _config(reading, stored) if CONFIG in files else ({}, "")
    return FullRun(
        as_read(stored, series_of_runs(reading, [stored])[identity]),
        stored.experiment_id,
        stored.start_ms,
        stored.end_ms,
        reading.data_digest(identity),
        config,
        files,
        trouble,
    )


def _config(reading: Reading, run: StoredRun) -> tuple[Mapping[str, object], str]:
    """Content of CONFIG; or nothing, and the reason."""
    unreadable: tuple[type[Exception], ...] = (TrackingError, ConfigError, *store_errors())
    try:
        content = read(reading, run.id, run.artifacts, CONFIG)
        if len(content) > MOST_BYTES:
            raise ConfigError(f"it has more than {MOST_BYTES} bytes")
        config = parse_yaml(content, CONFIG)
    except unreadable as error:
        return {}, f"its {CONFIG} cannot be read: {str(error).splitlines()[0]}"
    return (config, "") if isinstance(config, dict) else ({}, f"its {CONFIG} must hold keys with values")
