"""Reading one run from MLflow, found by its id, the beginning of its id, or its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from string import hexdigits

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from workbench.core.bounded_yaml import MOST_BYTES, parse_yaml
from workbench.core.errors import ConfigError, TrackingError, UnknownNameError, unknown_name
from workbench.core.plain_text import one_line
from workbench.tracking.artifacts import listed, read
from workbench.tracking.client import PAGE, connect, search_all, translating_store_errors
from workbench.tracking.metric_series import series_of_runs
from workbench.tracking.mlflow_environment import usual_experiments
from workbench.tracking.mlflow_sink import CONFIG
from workbench.tracking.reader import ReadRun, as_read, as_stored
from workbench.tracking.store import Store
from workbench.tracking.stored_run import StoredRun

LEAST_PREFIX = 4  # characters of an id
SHOWN = 12  # names in an error
OURS = "tags.kind = 'run'"  # other programs log into the same experiments


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
    client = connect(store)
    with translating_store_errors(store):
        return _full(client, _found(client, name, store))


def runs_where(store: Store, experiment_id: str, wanted: str) -> Sequence[Run]:
    """Every run of an experiment that MLflow's search finds."""
    client = connect(store)
    with translating_store_errors(store):
        return search_all(client, [experiment_id], wanted)


def read_run(store: Store, run: str) -> FullRun:
    """The run with this id."""
    client = connect(store)
    with translating_store_errors(store):
        return _full(client, client.get_run(run))


def _found(client: MlflowClient, name: str | None, store: Store) -> Run:
    """Find a run by id or name; raises as `find_run`."""
    near = usual_experiments(client, store) if name is None else None
    newest = _search(client, OURS, 1, near) or _search(client, "", 1, near)
    if not newest:
        raise TrackingError(f"tracking: {store.shown} holds no run; make one with: workbench train")
    if name is None:
        return newest[0]
    if len(name) >= LEAST_PREFIX and set(name) <= set(hexdigits):
        matches = _search(client, f"attributes.run_id LIKE '{name.lower()}%'", SHOWN)
        if len(matches) > 1:
            ids = ", ".join(run.info.run_id for run in matches)
            raise UnknownNameError(f"run: {name!r} must begin one id only, but several do; write more of {ids}")
        if matches:
            return matches[0]
    if not {"'", '"'} <= {*name}:  # MLflow's filters can quote one of both
        quote = "'" if '"' in name else '"'
        named = f"attributes.run_name = {quote}{name}{quote}"
        if matches := _search(client, f"{OURS} AND {named}", 1) or _search(client, named, 1):
            return matches[0]
    every = _search(client, OURS) or _search(client, "")
    if matches := [run for run in every if name in (run.info.run_name, one_line(run.info.run_name))]:
        return matches[0]
    names = dict.fromkeys(one_line(run.info.run_name) for run in every)
    raise unknown_name("run", name, get_close_matches(name, names, n=SHOWN, cutoff=0.0))


def _search(client: MlflowClient, wanted: str, most: int = PAGE, near: list[str] | None = None) -> list[Run]:
    """Runs of any experiment, or of those in `near`, the newest first."""
    experiments = near or [experiment.experiment_id for experiment in client.search_experiments()]
    newest = ["attributes.start_time DESC"]
    runs: list[Run] = client.search_runs(experiments, wanted, max_results=most, order_by=newest)
    return runs


def _full(client: MlflowClient, run: Run) -> FullRun:
    identity, stored = run.info.run_id, as_stored(run)
    files = listed(client, identity, stored.artifacts)
    config, trouble = _config(client, stored) if CONFIG in files else ({}, "")
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return FullRun(
        as_read(stored, series_of_runs(client, [stored])[identity]),
        stored.experiment_id,
        stored.start_ms,
        stored.end_ms,
        inputs[0].dataset.digest if inputs else "",
        config,
        files,
        trouble,
    )


def _config(client: MlflowClient, run: StoredRun) -> tuple[Mapping[str, object], str]:
    """Content of CONFIG; or nothing, and the reason."""
    try:
        content = read(client, run.id, run.artifacts, CONFIG)
        if len(content) > MOST_BYTES:
            raise ConfigError(f"it has more than {MOST_BYTES} bytes")
        config = parse_yaml(content, CONFIG)
    except (TrackingError, ConfigError, OSError, MlflowException) as error:
        return {}, f"its {CONFIG} cannot be read: {str(error).splitlines()[0]}"
    return (config, "") if isinstance(config, dict) else ({}, f"its {CONFIG} must hold keys with values")
