"""Reading of sweeps, their runs, and verdicts from MLflow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.config.arms import arms_of
from workbench.core.errors import TrackingError, unknown_name
from workbench.core.plain_text import one_line
from workbench.tracking.artifacts import listed, read
from workbench.tracking.base import CERTIFICATE_TAGS, RUN, SWEEP, VERDICT, VIEW_TAG, Outcome, disagreement_of
from workbench.tracking.metric_series import series_of_runs
from workbench.tracking.mlflow_environment import usual_experiments
from workbench.tracking.mlflow_tables import EndedRun, ended_runs
from workbench.tracking.reading import Reading
from workbench.tracking.store import Store, member_tag, sweep_link
from workbench.tracking.store_errors import translating_store_errors
from workbench.tracking.stored_run import RunFilter, StoredRun, doubts, whole_number

SWEEP_KINDS = (SWEEP, VERDICT)  # own runs of sweeps, and verdicts that trained runs
RUNNING, FINISHED = "RUNNING", "FINISHED"  # MLflow's statuses
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
    reading = Reading(store)
    with translating_store_errors(store):
        sweep_run, members = _found(reading, sweep)
        runs = sorted(members, key=_made)
        series = series_of_runs(reading, runs, wanted) if histories else {}
    identity = sweep_run.tags["sweep"]
    arms = arms_of([run.params for run in runs])
    read = [_member(run, identity, arm, series.get(run.id, {})) for run, arm in zip(runs, arms.names, strict=True)]
    saved = VIEW_TAG in sweep_run.tags
    ordered = [read[index] for index in arms.order]
    sentences = tuple(doubts(runs, arms.keys))
    return ReadSweep(
        identity, one_line(sweep_run.name), sweep_run.id, sweep_run.experiment_id, saved, ordered, arms.keys, sentences
    )


def _found(reading: Reading, sweep: str | None) -> tuple[StoredRun, list[StoredRun]]:
    """Find a sweep's own run and its members; raises as `read_sweep`."""
    shown, sweeps = reading.store.shown, dict[str, StoredRun]()
    for run in reading.runs(RunFilter("kind", SWEEP_KINDS), whole=False):
        if run.tags.get("sweep"):
            sweeps.setdefault(run.tags["sweep"], run)
    if sweep:
        if sweep not in sweeps and (members := reading.runs(RunFilter(member_tag(sweep), [RUN]))):
            experiment = members[0].experiment_id  # its own run is gone
            return StoredRun("", f"sweep {sweep}", experiment, "", 0, 0, "", {"sweep": sweep}), members
        chosen = [sweeps[_only(sweep, sweeps)]] if sweeps else []
    else:
        near = usual_experiments(reading)
        chosen = [own for own in sweeps.values() if near is None or own.experiment_id in near]
    for own in chosen:
        of_sweep = RunFilter(member_tag(own.tags["sweep"]), [RUN], experiments=[own.experiment_id])
        if members := reading.runs(of_sweep):
            return own, members
    if chosen and sweep:
        raise TrackingError(
            f"tracking: the sweep {chosen[0].tags['sweep']} has no runs in {shown}; restore them in MLflow, or "
            "give its command again"
        )
    raise TrackingError(f"tracking: {shown} holds no sweep; make one with: workbench train -m ...")


def _only(name: str, options: Iterable[str]) -> str:
    """The option of this name, or the only one that begins with it; raises UnknownNameError."""
    known = list(options)
    matches = [option for option in known if option.startswith(name)]
    if name in known or len(matches) != 1:
        matches = [name]
    if matches[0] not in known:
        raise unknown_name("sweep", name, known)
    return matches[0]


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
    reading = Reading(store)
    with translating_store_errors(store):
        identity = reading.experiments.get(experiment)
        if identity is None:
            return []
        if reading.engine is not None:
            return ended_runs(reading.engine, identity, ("key", "outcome", "sweep", *CERTIFICATE_TAGS))
        runs = reading.runs(RunFilter("kind", [RUN], experiments=[identity]))
        return [EndedRun(run.id, run.start_ms, run.tags, run.metrics) for run in runs if run.status != RUNNING]


def own_run(store: Store, experiment: str, key: str) -> tuple[str, str] | None:
    """(id, own run) of the newest ended sweep with this key; None where there is none."""
    runs = _of_kind(store, SWEEP, experiment)
    ended = [
        run for run in runs if run.status != RUNNING and run.tags.get("sweep.key") == key and run.tags.get("sweep")
    ]
    return (ended[0].tags["sweep"], ended[0].id) if ended else None


def tags_of(store: Store, run: str) -> Mapping[str, str]:
    """Read the tags of a run."""
    reading = Reading(store)
    with translating_store_errors(store):
        return _run(reading, run).tags


def series(store: Store, runs: Sequence[str], metric: str) -> list[list[float]]:
    """Values of one metric of every run, over its steps."""
    reading = Reading(store)
    with translating_store_errors(store):
        stored = [_run(reading, run) for run in runs]
        series_by_run = series_of_runs(reading, stored, lambda name: name == metric)
    return [[value for _, value in series_by_run[run].get(metric, [])] for run in runs]


@dataclass(frozen=True)
class ReadVerdict:
    """A stored verdict: its run, its begin (milliseconds since 1970), and its tags."""

    run: str
    start_ms: int
    tags: Mapping[str, str]


def read_verdicts(store: Store, unfinished: bool = False) -> list[ReadVerdict]:
    """Read all finished verdicts, the newest first."""
    runs = _of_kind(store, VERDICT, None)
    return [ReadVerdict(run.id, run.start_ms, run.tags) for run in runs if unfinished or run.status == FINISHED]


def artifact(store: Store, run: str, path: str) -> bytes:
    """Content of a file stored with a run."""
    reading = Reading(store)
    with translating_store_errors(store):
        return read(reading, run, _run(reading, run).artifacts, path)


def artifacts(store: Store, run: str) -> list[str]:
    """Names of the files stored with a run."""
    reading = Reading(store)
    with translating_store_errors(store):
        return [*listed(reading, run, _run(reading, run).artifacts)]


def _run(reading: Reading, run: str) -> StoredRun:
    """The run with this id, with its tags; raises TrackingError where there is none."""
    runs = reading.runs(RunFilter(prefix=run), whole=True, most=1)
    if not runs:
        raise TrackingError(f"tracking: {reading.store.shown} holds no run {run}; it was deleted")
    return runs[0]


def _of_kind(store: Store, kind: str, experiment: str | None) -> list[StoredRun]:
    """Runs of a kind in an experiment (None: in all), the newest first; empty where there is no store."""
    if store.is_missing:
        return []
    reading = Reading(store)
    with translating_store_errors(store):
        near = None if experiment is None else [reading.experiments.get(experiment, "")]
        return [] if near == [""] else reading.runs(RunFilter("kind", [kind], experiments=near), whole=False)


def _made(run: StoredRun) -> tuple[int, int]:
    """Sort key: when a run was begun, then its number among those begun with it."""
    return run.start_ms, whole_number(run.tags, "number") or 0


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
