"""Runs of arms: for each arm of a sweep an MLflow run with the mean of its runs and their interval, step by step.

MLflow's pages load a hundred runs at a time, which of a large sweep are all of one arm; a sweep's saved view shows
these runs instead. They are derived: whenever their sweep changes they are written anew, as MLflow deletes no row, and
those before them are deleted. Their tag `kind` is ``arm``: whatever counts runs asks for the kind ``run``.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from time import time
from uuid import uuid4

import numpy as np
from mlflow import MlflowClient
from numpy.typing import NDArray

from workbench.config.arms import SEEDS, color_of
from workbench.core.errors import TrackingError
from workbench.core.stats import mean_intervals
from workbench.tracking.base import ARM, COLOR_TAG, Ended, Event, Opened, Outcome, Rows, RunInfo, Tagged
from workbench.tracking.liveness import owner_tags
from workbench.tracking.reader import ReadRun, ReadSweep, read_sweep
from workbench.tracking.reading import Reading
from workbench.tracking.store import Store, member_tag, runs_view, search_link, sweep_link
from workbench.tracking.stored_run import RunFilter

POINTS = 50  # of a curve at most: a server stores some thousand rows a second
LOW, HIGH = ".low", ".high"  # behind a metric's name: ends of its 95 % interval
DIGEST = "arms.digest"  # a tag: of all arms of a sweep and their numbers
LINKED = 40  # runs that an arm's note names

Series = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class ArmRun:
    """The run of an arm: params that its `members` share, and rows as (step, metrics).

    `seeds` of its members finished, and only those count in the rows; `unfinished` did not.
    """

    name: str
    color: str
    params: Mapping[str, str]
    members: Sequence[tuple[str, str]]
    seeds: int
    unfinished: int
    rows: Sequence[tuple[int, Mapping[str, float]]]


def arm_runs(sweep: ReadSweep) -> list[ArmRun]:
    """Make the run of each arm of a sweep that was read with histories.

    There is none where no arm has two runs, or no run finished.
    """
    by_arm: dict[str, list[ReadRun]] = {}
    for run in sweep.runs:
        by_arm.setdefault(run.arm, []).append(run)
    if max(map(len, by_arm.values()), default=0) < 2 or not any(map(_finished, sweep.runs)):
        return []
    return [_arm_run(arm, number, members) for number, (arm, members) in enumerate(by_arm.items())]


def _finished(run: ReadRun) -> bool:
    return run.outcome == Outcome.finished.value


def _arm_run(arm: str, number: int, members: Sequence[ReadRun]) -> ArmRun:
    finished = [run for run in members if _finished(run)]
    first = members[0].params
    params = {
        key: text
        for key, text in first.items()
        if key not in SEEDS and all(run.params.get(key) == text for run in members)
    }
    named = [(run.id, run.name) for run in members]
    unfinished = len(members) - len(finished)
    return ArmRun(arm, color_of(number), params, named, len(finished), unfinished, _rows(finished))


def _rows(runs: Sequence[ReadRun]) -> list[tuple[int, dict[str, float]]]:
    """Mean of each metric, and the ends of its interval where two runs have it, by step."""
    by_step: dict[int, dict[str, float]] = {}
    for name in sorted({name for run in runs for name in run.history}):
        steps, values = at_same_steps([run.history[name] for run in runs if run.history.get(name)])
        if not len(steps):
            continue
        for suffix, numbers in zip(("", LOW, HIGH), mean_intervals(values), strict=True):
            for step, number in zip(steps.tolist(), numbers.tolist(), strict=True):
                if np.isfinite(number):
                    by_step.setdefault(step, {})[f"{name}{suffix}"] = number
    return sorted(by_step.items())


def at_same_steps(series: Sequence[Series]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Values [runs, steps] of runs at the same steps, POINTS at most, from the first that all of them have.

    A value holds until the run's next, the last one to the end: so the last mean is that of last values, though runs
    may have stopped early.
    """
    if not series:
        return np.empty(0, np.int64), np.empty((0, 0))
    of_run = [(np.array([step for step, _ in one]), np.array([value for _, value in one])) for one in series]
    every = np.unique(np.concatenate([steps for steps, _ in of_run]))
    every = every[every >= max(steps[0] for steps, _ in of_run)]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(POINTS, len(every))).round().astype(np.int64))
    steps = every[chosen]
    return steps, np.stack([values[np.searchsorted(own, steps, side="right") - 1] for own, values in of_run])


def keep_arms(
    store: Store,
    client: MlflowClient,
    experiment_id: str,
    sweep: str,
    metrics: Collection[str],
    write: Callable[[list[Event]], None],
) -> int:
    """Bring the runs of a sweep's arms up to date, and the colors of its runs; returns how many arms have one.

    Histories are read of the `metrics`; `write` writes events. Runs of arms that are out of date are deleted last.
    """
    try:
        read = read_sweep(store, sweep, wanted=frozenset(metrics).__contains__)
    except TrackingError:  # no run of it was begun
        return 0
    arms = arm_runs(read)
    digest = sha256(json.dumps([asdict(arm) for arm in arms]).encode()).hexdigest()[:16]
    stored = Reading(store).runs(RunFilter(member_tag(sweep), [ARM], experiments=[experiment_id]), whole=False)
    whole = [run for run in stored if run.tags.get(DIGEST) == digest and run.status == "FINISHED"]
    is_kept = len(whole) == len(stored) == len(arms)
    if events := [*_recolored(read), *(() if is_kept else _opened(arms, experiment_id, sweep, digest))]:
        write(events)
    for run in () if is_kept else stored:
        client.delete_run(run.id)
    return len(arms)


def _recolored(sweep: ReadSweep) -> Iterator[Event]:
    """Give runs that other sweeps have colored the color of their arm in this one."""
    numbers = {arm: number for number, arm in enumerate(dict.fromkeys(run.arm for run in sweep.runs))}
    for run in sweep.runs:
        if run.tags.get(COLOR_TAG) != (color := color_of(numbers[run.arm])):
            yield Tagged(run.id, {COLOR_TAG: color})


def _opened(arms: Sequence[ArmRun], experiment_id: str, sweep: str, digest: str) -> Iterator[Event]:
    """Yield the events of the arms' runs, begun in the arms' order."""
    now = int(time() * 1000)
    for number, arm in enumerate(arms):
        run, time_ms = uuid4().hex, now + number
        tags = {
            **owner_tags(),
            "kind": ARM,
            member_tag(sweep): ARM,
            DIGEST: digest,
            COLOR_TAG: arm.color,
            "seeds": str(arm.seeds),
            "unfinished": str(arm.unfinished),
            "mlflow.source.name": "workbench",
            "mlflow.note.content": _note(arm, experiment_id, sweep),
        }
        yield Opened(run, RunInfo(arm.name, arm.params, tags, "", {}, None), time_ms)
        for step, metrics in arm.rows:
            yield Rows((run,), step, time_ms, {name: [value] for name, value in metrics.items()})
        yield Ended(run, Outcome.finished, {}, time_ms)


def _note(arm: ArmRun, experiment_id: str, sweep: str) -> str:
    """Say what the numbers are, with links to the arm's runs and the sweep."""
    lost = f" {arm.unfinished} did not finish, and are in no mean." if arm.unfinished else ""
    runs = ", ".join(f"[{name}](#/experiments/{experiment_id}/runs/{run})" for run, name in arm.members[:LINKED])
    more = f", and {len(arm.members) - LINKED} more" if len(arm.members) > LINKED else ""
    ids = ",".join(f"'{run}'" for run, _ in arm.members)
    charts = search_link("", experiment_id, f"attributes.run_id IN ({ids})")[1:]
    arms, every_run = (sweep_link("", experiment_id, view, saved_view=True)[1:] for view in (sweep, runs_view(sweep)))
    return (
        f"[Charts of its runs]({charts}). [All arms]({arms}), [all runs]({every_run}) of the sweep.\n\n"
        f"An arm of the sweep {sweep}, and no run of its own: each metric is the mean over {arm.seeds} finished runs, "
        f"and `{LOW}` and `{HIGH}` behind its name are the ends of that mean's 95 % t interval. A run that stopped "
        f"early keeps its last values.{lost} As a table:\n\n    workbench compare {sweep}\n\nIts runs: {runs}{more}\n"
    )
