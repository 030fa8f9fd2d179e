"""Reading of sweeps, their runs, and verdicts from MLflow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlflow import MlflowClient
from mlflow.entities import Run

from workbench.config.arms import arms_of
from workbench.core.errors import TrackingError, unknown_name
from workbench.core.plain_text import one_line
from workbench.tracking.artifacts import listed, read
from workbench.tracking.base import CERTIFICATE_TAGS, Outcome, disagreement_of
from workbench.tracking.client import connect, search_all, translating_store_errors
from workbench.tracking.metric_series import series_of_runs
from workbench.tracking.mlflow_environment import usual_experiments
from workbench.tracking.mlflow_sink import VIEW_TAG
from workbench.tracking.mlflow_tables import EndedRun, ended_runs, engine_of, stored_runs
from workbench.tracking.store import Store, member_tag, sweep_link
from workbench.tracking.stored_run import StoredRun, doubts, whole_number

SWEEP_KINDS = ("sweep", "verdict")  # own runs of sweeps, and verdicts that trained runs
OUTCOMES = {outcome.value for outcome in Outcome}


@dataclass(frozen=True)
class ReadRun:
    """Run as read: latest `metrics`, and `history` as name -> [(step, value)].

    `arm` is its arm in the sweep it was read with, empty for a run by itself; `seed` is None where none was stored.
    """

    id: str
    name: str
    arm: str
    seed: int | None
    outcome: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    history: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadSweep:
    """A sweep: its own run's id and name, its experiment, and its runs by arm, each in the order they were made.

    `keys` are the params that its arms differ in, `doubts` sentences on missing or odd content of its runs. `run` is
    empty where the sweep's own run is gone.
    """

    id: str
    name: str
    run: str
    experiment_id: str
    saved_view: bool
    runs: list[ReadRun]
    keys: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def read_sweep(
    store: Store, sweep: str | None, histories: bool = True, wanted: Callable[[str], bool] = lambda name: True
) -> ReadSweep:
    """Read the sweep with this id (or a unique beginning of it), or the newest that has runs.

    With `histories` its runs have the series of the metrics that are `wanted`. Raises UnknownNameError for an id that
    the store does not have and TrackingError where it holds no sweep.
    """
    if store.is_missing:
        raise TrackingError(f"tracking: no store at {store.shown}; train something first or name another with --uri")
    client = connect(store)
    with translating_store_errors(store):
        sweep_run, members = _found(client, store, sweep)
        runs = sorted(members, key=_made)
        series = series_of_runs(client, runs, wanted) if histories else {}
    identity = sweep_run.tags["sweep"]
    arms = arms_of([run.params for run in runs])
    read = [_member(run, identity, arm, series.get(run.id, {})) for run, arm in zip(runs, arms.names, strict=True)]
    saved = VIEW_TAG in sweep_run.tags
    ordered = [read[index] for index in arms.order]
    sentences = tuple(doubts(runs, arms.keys))
    return ReadSweep(
        identity, one_line(sweep_run.name), sweep_run.id, sweep_run.experiment_id, saved, ordered, arms.keys, sentences
    )


def _found(client: MlflowClient, store: Store, sweep: str | None) -> tuple[StoredRun, list[StoredRun]]:
    """Find a sweep's own run and its members; raises as `read_sweep`."""
    sweeps: dict[str, StoredRun] = {}
    for run in sorted(_runs_with(client, "kind", SWEEP_KINDS, whole=False), key=lambda run: -run.start_ms):
        if run.tags.get("sweep"):
            sweeps.setdefault(run.tags["sweep"], run)
    if sweep:
        if sweep not in sweeps and (members := _runs_with(client, member_tag(sweep), ["run"])):
            experiment = members[0].experiment_id  # its own run is gone
            return StoredRun("", f"sweep {sweep}", experiment, "", 0, 0, "", {"sweep": sweep}), members
        chosen = [sweeps[_only(sweep, sweeps)]] if sweeps else []
    else:
        near = usual_experiments(client, store)
        chosen = [own for own in sweeps.values() if near is None or own.experiment_id in near]
    for own in chosen:
        if members := _runs_with(client, member_tag(own.tags["sweep"]), ["run"], [own.experiment_id]):
            return own, members
    if chosen and sweep:
        raise TrackingError(
            f"tracking: the sweep {chosen[0].tags['sweep']} has no runs in {store.shown}; restore them in MLflow, or "
            "give its command again"
        )
    raise TrackingError(f"tracking: {store.shown} holds no sweep; make one with: workbench train -m ...")


def _only(name: str, options: Iterable[str]) -> str:
    """The option of this name, or the only one that begins with it; raises UnknownNameError."""
    known = list(options)
    matches = [option for option in known if option.startswith(name)]
    if name in known or len(matches) != 1:
        matches = [name]
    if matches[0] not in known:
        raise unknown_name("sweep", name, known)
    return matches[0]


def _runs_with(
    client: MlflowClient,
    tag: str,
    values: Sequence[str],
    experiments: Sequence[str] | None = None,
    whole: bool = True,
) -> list[StoredRun]:
    """Runs with one of these values of a tag: from the tables of a database, else by MLflow's search."""
    if engine := engine_of(client):
        return stored_runs(engine, tag, values, experiments, whole)
    experiment_ids = (
        [experiment.experiment_id for experiment in client.search_experiments()] if experiments is None else experiments
    )
    runs = [
        run
        for value in values
        for run in search_all(client, list(experiment_ids), f"tags.`{tag}` = '{_quoted(value)}'")
    ]
    return [as_stored(run) for run in runs]


def _quoted(text: str) -> str:
    return text.replace("'", "")  # no id of ours has one, and MLflow's filters cannot quote it


def newest_link(store: Store, base: str) -> str:
    """Link to the newest sweep's charts, or to the front page where there is none."""
    try:
        newest = read_sweep(store, None, histories=False)
    except TrackingError:
        return base
    return sweep_link(base, newest.experiment_id, newest.id, newest.saved_view)


@dataclass(frozen=True)
class ReusableRun:
    """An ended run: its id, outcome, last metrics, the sweep that trained it, and how its gradients are wrong."""

    id: str
    outcome: Outcome
    metrics: Mapping[str, float]
    sweep: str = ""
    disagreement: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it ended by itself: a diverged run is a result."""
        return self.outcome in (Outcome.finished, Outcome.diverged)


def reusable_runs(store: Store, experiment: str) -> dict[str, ReusableRun]:
    """Ended runs of an experiment by run key; of several with one key the one that is done, then the newest.

    Runs without a key are left out, and an unknown outcome counts as failed.
    """
    by_key: dict[str, ReusableRun] = {}
    for run in sorted(_ended(store, experiment), key=lambda run: run.start_ms):
        key, recorded = run.tags.get("key"), run.tags.get("outcome", Outcome.failed.value)
        if not key:
            continue
        outcome = Outcome(recorded) if recorded in OUTCOMES else Outcome.failed
        ended = ReusableRun(run.id, outcome, run.metrics, run.tags.get("sweep", ""), disagreement_of(run.tags))
        if ended.is_done or key not in by_key or not by_key[key].is_done:
            by_key[key] = ended
    return by_key


def _ended(store: Store, experiment: str) -> list[EndedRun]:
    """Ended runs, from the tables of a database, else by MLflow's search."""
    if store.is_missing:
        return []
    client = connect(store)
    with translating_store_errors(store):
        named = client.get_experiment_by_name(experiment)
        if named is None:
            return []
        if engine := engine_of(client):
            return ended_runs(engine, named.experiment_id, ("key", "outcome", "sweep", *CERTIFICATE_TAGS))
        runs = search_all(client, [named.experiment_id], "tags.kind = 'run' AND attributes.status != 'RUNNING'")
        return [EndedRun(run.info.run_id, run.info.start_time, run.data.tags, run.data.metrics) for run in runs]


def own_run(store: Store, experiment: str, key: str) -> tuple[str, str] | None:
    """(id, own run) of the newest ended sweep with this key; None where there is none."""
    wanted = f"tags.kind = 'sweep' AND tags.`sweep.key` = '{key}' AND attributes.status != 'RUNNING'"
    runs = [run for run in _all_of(store, experiment, wanted) if run.data.tags.get("sweep")]
    newest = max(runs, key=lambda run: run.info.start_time, default=None)
    return None if newest is None else (newest.data.tags["sweep"], newest.info.run_id)


def tags_of(store: Store, run: str) -> Mapping[str, str]:
    """Read the tags of a run."""
    with translating_store_errors(store):
        tags: Mapping[str, str] = connect(store).get_run(run).data.tags
        return tags


def series(store: Store, runs: Sequence[str], metric: str) -> list[list[float]]:
    """Values of one metric of every run, over its steps."""
    client = connect(store)
    with translating_store_errors(store):
        stored = [as_stored(client.get_run(run)) for run in runs]
        series_by_run = series_of_runs(client, stored, lambda name: name == metric)
    return [[value for _, value in series_by_run[run].get(metric, [])] for run in runs]


@dataclass(frozen=True)
class ReadVerdict:
    """A stored verdict: its run, its begin (milliseconds since 1970), and its tags."""

    run: str
    start_ms: int
    tags: Mapping[str, str]


def read_verdicts(store: Store, unfinished: bool = False) -> list[ReadVerdict]:
    """Read all finished verdicts, the newest first."""
    runs = _all_of(store, None, "tags.kind = 'verdict'" + ("" if unfinished else " AND attributes.status = 'FINISHED'"))
    read = [ReadVerdict(run.info.run_id, run.info.start_time, run.data.tags) for run in runs]
    return sorted(read, key=lambda verdict: -verdict.start_ms)


def artifact(store: Store, run: str, path: str) -> bytes:
    """Content of a file stored with a run."""
    client = connect(store)
    with translating_store_errors(store):
        return read(client, run, client.get_run(run).info.artifact_uri, path)


def artifacts(store: Store, run: str) -> list[str]:
    """Names of the files stored with a run."""
    client = connect(store)
    with translating_store_errors(store):
        return [*listed(client, run, client.get_run(run).info.artifact_uri)]


def _all_of(store: Store, experiment: str | None, wanted: str) -> list[Run]:
    """Every run that a search finds in an experiment (None: in all); empty where there is no store."""
    if store.is_missing:
        return []
    client = connect(store)
    with translating_store_errors(store):
        if experiment is None:
            return search_all(client, [found.experiment_id for found in client.search_experiments()], wanted)
        found = client.get_experiment_by_name(experiment)
        return [] if found is None else search_all(client, [found.experiment_id], wanted)


def _made(run: StoredRun) -> tuple[int, int]:
    """Sort key: when a run was begun, then its number among those begun with it."""
    return run.start_ms, whole_number(run.tags, "number") or 0


def as_stored(run: Run) -> StoredRun:
    """Convert MLflow's run."""
    info, data = run.info, run.data
    times = info.start_time or 0, info.end_time or 0
    about = (info.run_id, info.run_name or "", info.experiment_id, info.status, *times, info.artifact_uri or "")
    return StoredRun(*about, dict(data.tags), dict(data.params), dict(data.metrics))


def as_read(run: StoredRun, history: Mapping[str, list[tuple[int, float]]]) -> ReadRun:
    """A run by itself."""
    outcome = run.tags.get("outcome", "")
    if not outcome:
        outcome = Outcome.diverged.value if "diverged.step" in run.tags else run.status.lower()
    name, seed = one_line(run.name) or run.id[:8], whole_number(run.params, "seed")
    return ReadRun(run.id, name, "", seed, one_line(outcome), run.tags, run.params, run.metrics, history)


def _member(run: StoredRun, sweep: str, arm: str, history: Mapping[str, list[tuple[int, float]]]) -> ReadRun:
    """A run in a sweep: renamed where another sweep has named it."""
    read = replace(as_read(run, history), arm=arm)
    if run.tags.get("sweep") == sweep:
        return read
    seed = "" if read.seed is None else f" seed={read.seed}"
    return replace(read, name=f"{arm}{seed} ({run.id[:8]})")
