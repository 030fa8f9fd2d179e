"""Runs read back from MLflow by their sweep."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from workbench.errors import TrackingError, unknown_name
from workbench.tracking.base import Outcome
from workbench.tracking.client import PAGE, connect, kept_by, search_all
from workbench.tracking.history import HISTORY, columns_of, series_of
from workbench.tracking.mlflow import VIEW_TAG
from workbench.tracking.store import Store, runs_filter, sweep_link
from workbench.tracking.tables import EndedRun, ended_runs, engine_of

SWEEPS = "tags.kind != 'run' AND tags.sweep LIKE '%'"  # own runs of sweeps, and verdicts that trained runs


@dataclass(frozen=True)
class ReadRun:
    """One run: latest `metrics`, and `history` as name -> [(step, value)]."""

    id: str
    name: str
    arm: str
    seed: int
    outcome: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    history: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadSweep:
    """A sweep: its own run's id and name, its experiment, and its runs in the order they were made."""

    id: str
    name: str
    run: str
    experiment_id: str
    saved_view: bool
    runs: list[ReadRun]


def read_sweep(store: Store, sweep: str | None, histories: bool = True) -> ReadSweep:
    """The sweep with this id (or what only one id begins with), or the newest.

    Raises UnknownNameError for an id the store does not know and TrackingError where it holds no sweep.
    """
    if store.file is not None and not store.file.exists():
        raise TrackingError(f"tracking: no store at {store.shown}; train something first or name another with --uri")
    client = connect(store)
    with kept_by(store):
        experiments = [found.experiment_id for found in client.search_experiments()]
        sweeps = {
            run.data.tags["sweep"]: run
            for run in client.search_runs(
                experiments,
                SWEEPS,
                max_results=PAGE,
                order_by=["attributes.start_time DESC"],
            )
        }
        if not sweeps:
            raise TrackingError(f"tracking: {store.shown} holds no sweep; make one with: workbench train -m ...")
        own = sweeps[_only(sweep, sweeps)] if sweep else next(iter(sweeps.values()))
        identity, experiment = own.data.tags["sweep"], own.info.experiment_id
        runs = [as_read(client, run, histories) for run in _runs(client, experiment, identity)]
        return ReadSweep(identity, own.info.run_name, own.info.run_id, experiment, VIEW_TAG in own.data.tags, runs)


def _only(name: str, options: Iterable[str]) -> str:
    """The option of this name, or the only one that begins with it."""
    known = list(options)
    found = [one for one in known if one.startswith(name)]
    if name in known or len(found) != 1:
        found = [name]
    if found[0] not in known:
        raise unknown_name("sweep", name, known)
    return found[0]


def newest_link(store: Store, base: str) -> str:
    """The newest sweep's charts, or the pages' front where there is none."""
    try:
        newest = read_sweep(store, None, histories=False)
    except TrackingError:
        return base
    return sweep_link(base, newest.experiment_id, newest.id, newest.saved_view)


@dataclass(frozen=True)
class KeptRun:
    """A run that ended: its id, how, its last metrics, and the sweep that trained it."""

    id: str
    outcome: Outcome
    metrics: Mapping[str, float]
    sweep: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it ended by itself: a diverged run is a result."""
        return self.outcome in (Outcome.finished, Outcome.diverged)


def kept_runs(store: Store, experiment: str) -> dict[str, KeptRun]:
    """The ended runs of an experiment by run key; of several with one key the one that is done, then the newest."""
    found: dict[str, KeptRun] = {}
    for run in sorted(_ended(store, experiment), key=lambda run: run.start_ms):
        outcome = Outcome(run.tags.get("outcome", Outcome.failed.value))
        kept = KeptRun(run.id, outcome, run.metrics, run.tags.get("sweep", ""))
        if kept.is_done or run.tags["key"] not in found or not found[run.tags["key"]].is_done:
            found[run.tags["key"]] = kept
    return found


def _ended(store: Store, experiment: str) -> list[EndedRun]:
    """From the tables of a database, else by MLflow's search."""
    if store.file is not None and not store.file.exists():
        return []
    client = connect(store)
    with kept_by(store):
        named = client.get_experiment_by_name(experiment)
        if named is None:
            return []
        if engine := engine_of(client):
            return ended_runs(engine, named.experiment_id, ("key", "outcome", "sweep"))
        runs = search_all(client, [named.experiment_id], "tags.kind = 'run' AND attributes.status != 'RUNNING'")
        return [EndedRun(run.info.run_id, run.info.start_time, run.data.tags, run.data.metrics) for run in runs]


def own_run(store: Store, experiment: str, key: str) -> tuple[str, str] | None:
    """(id, own run) of the newest sweep over exactly the runs that `key` stands for, if it has ended."""
    wanted = f"tags.kind = 'sweep' AND tags.`sweep.key` = '{key}' AND attributes.status != 'RUNNING'"
    runs = _all_of(store, experiment, wanted)
    newest = max(runs, key=lambda run: run.info.start_time, default=None)
    return None if newest is None else (newest.data.tags["sweep"], newest.info.run_id)


def tags_of(store: Store, run: str) -> Mapping[str, str]:
    """The tags of a run."""
    with kept_by(store):
        tags: Mapping[str, str] = connect(store).get_run(run).data.tags
        return tags


def series(store: Store, runs: Sequence[str], metric: str) -> list[list[float]]:
    """One metric of every run, over its steps."""
    client = connect(store)
    with kept_by(store):
        found = [_history(client, client.get_run(run), [metric]) for run in runs]
    return [[value for _, value in one.get(metric, [])] for one in found]


@dataclass(frozen=True)
class ReadVerdict:
    """A kept verdict: its run, when it was begun (milliseconds since 1970), and its tags."""

    run: str
    start_ms: int
    tags: Mapping[str, str]


def read_verdicts(store: Store) -> list[ReadVerdict]:
    """All finished verdicts, the newest first."""
    runs = _all_of(store, None, "tags.kind = 'verdict' AND attributes.status = 'FINISHED'")
    read = [ReadVerdict(run.info.run_id, run.info.start_time, run.data.tags) for run in runs]
    return sorted(read, key=lambda verdict: -verdict.start_ms)


def artifact(store: Store, run: str, path: str) -> bytes:
    """The content of a file kept with a run."""
    with kept_by(store), TemporaryDirectory() as folder:
        return Path(connect(store).download_artifacts(run, path, folder)).read_bytes()


def _all_of(store: Store, experiment: str | None, wanted: str) -> list[Run]:
    """Every run that a search finds in an experiment (in all of them, if none is named), if there are any."""
    if store.file is not None and not store.file.exists():
        return []
    client = connect(store)
    with kept_by(store):
        if experiment is None:
            return search_all(client, [found.experiment_id for found in client.search_experiments()], wanted)
        found = client.get_experiment_by_name(experiment)
        return [] if found is None else search_all(client, [found.experiment_id], wanted)


def _runs(client: MlflowClient, experiment: str, sweep: str) -> list[Run]:
    return sorted(search_all(client, [experiment], runs_filter(sweep)), key=_made)


def _made(run: Run) -> tuple[int, int]:
    """When a run was begun, and its number among those begun together."""
    return run.info.start_time, int(run.data.tags["number"])


def as_read(client: MlflowClient, run: Run, histories: bool) -> ReadRun:
    """MLflow's run as ours, with its series or without."""
    data, info = run.data, run.info
    return ReadRun(
        info.run_id,
        info.run_name,
        data.tags["arm"],
        int(data.params["seed"]),
        data.tags.get("outcome", info.status.lower()),
        data.tags,
        data.params,
        data.metrics,
        _history(client, run, data.metrics) if histories else {},
    )


def _history(client: MlflowClient, run: Run, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """[(step, value)] of metrics: whole from the file that an ended run has, else what MLflow was given so far."""
    try:
        file = download_artifacts(f"{run.info.artifact_uri}/{HISTORY}", tracking_uri=client.tracking_uri)
    except (MlflowException, OSError):
        rows = {name: client.get_metric_history(run.info.run_id, name) for name in names}
        return {name: sorted((row.step, row.value) for row in one) for name, one in rows.items()}
    columns = columns_of(Path(file).read_bytes())
    last = max((int(step) for step in columns["step"] if step is not None), default=0)
    beside = {name: [(last, value)] for name, value in run.data.metrics.items()}  # numbers of the run as a whole
    return {name: series_of(columns, name) or beside.get(name, []) for name in names}
