"""One run read back from MLflow, found by its id, the beginning of its id, or its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import hexdigits
from tempfile import TemporaryDirectory

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from workbench.errors import TrackingError, UnknownNameError, unknown_name
from workbench.tracking.client import PAGE, connect, kept_by, search_all
from workbench.tracking.reader import ReadRun, as_read
from workbench.tracking.store import Store

LEAST_PREFIX = 4  # characters of an id
SHOWN = 12  # names in an error


@dataclass(frozen=True)
class FullRun:
    """A run with its whole history, its `config` as it was resolved, and its files as path -> bytes.

    `data` is the digest of its data set. `start_ms` and `end_ms` are milliseconds since 1970, the second 0 for a run
    that has not ended.
    """

    run: ReadRun
    experiment_id: str
    start_ms: int
    end_ms: int
    data: str
    config: Mapping[str, object]
    files: Mapping[str, int]


def find_run(store: Store, name: str | None) -> FullRun:
    """The run with this id, whose id alone begins with it, or the newest with this name; without a name, the newest.

    Raises UnknownNameError with the names that are nearest, and TrackingError where there is no run.
    """
    if store.file is not None and not store.file.exists():
        raise TrackingError(f"tracking: no store at {store.shown}; train something first or name another with --uri")
    client = connect(store)
    with kept_by(store):
        return _full(client, _found(client, name, store))


def runs_where(store: Store, experiment_id: str, wanted: str) -> Sequence[Run]:
    """Every run of an experiment that MLflow's search finds."""
    client = connect(store)
    with kept_by(store):
        return search_all(client, [experiment_id], wanted)


def read_run(store: Store, run: str) -> FullRun:
    """The run with this id."""
    client = connect(store)
    with kept_by(store):
        return _full(client, client.get_run(run))


def _found(client: MlflowClient, name: str | None, store: Store) -> Run:
    newest = _search(client, "", 1)
    if not newest:
        raise TrackingError(f"tracking: {store.shown} holds no run; make one with: workbench train")
    if name is None:
        return newest[0]
    if len(name) >= LEAST_PREFIX and set(name) <= set(hexdigits):
        found = _search(client, f" AND attributes.run_id LIKE '{name.lower()}%'", SHOWN)
        if len(found) > 1:
            ids = ", ".join(run.info.run_id for run in found)
            raise UnknownNameError(f"run: {name!r} must begin one id only, but several do; write more of {ids}")
        if found:
            return found[0]
    quote = "'" if '"' in name else '"'
    named = _search(client, f" AND attributes.run_name = {quote}{name}{quote}", 1)
    if named:
        return named[0]
    names = dict.fromkeys(run.info.run_name for run in _search(client, ""))
    raise unknown_name("run", name, get_close_matches(name, names, n=SHOWN, cutoff=0.0))


def _search(client: MlflowClient, also: str, most: int = PAGE) -> list[Run]:
    """Runs of any experiment, the newest first."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    newest = ["attributes.start_time DESC"]
    found: list[Run] = client.search_runs(experiments, f"tags.kind = 'run'{also}", max_results=most, order_by=newest)
    return found


def _full(client: MlflowClient, run: Run) -> FullRun:
    identity = run.info.run_id
    files = dict(_files(client, identity, ""))
    config: Mapping[str, object] = {}
    if "config.yaml" in files:
        with TemporaryDirectory() as folder:
            place = client.download_artifacts(identity, "config.yaml", folder)
            config = yaml.safe_load(Path(place).read_text(encoding="utf-8"))
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return FullRun(
        as_read(client, run, True),
        run.info.experiment_id,
        run.info.start_time,
        run.info.end_time or 0,
        inputs[0].dataset.digest if inputs else "",
        config,
        files,
    )


def _files(client: MlflowClient, run: str, folder: str) -> list[tuple[str, int]]:
    found = []
    for file in client.list_artifacts(run, folder or None):
        found += _files(client, run, file.path) if file.is_dir else [(file.path, int(file.file_size or 0))]
    return found
