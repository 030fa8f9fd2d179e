"""The runs of workers that are gone: kept where they are done, ended and perhaps tried again where they are not."""

from collections.abc import Container, Iterable

from mlflow.entities import Run

from workbench.tracking.base import Outcome
from workbench.tracking.mlflow import MlflowSink, kept_by, search_all
from workbench.tracking.reader import KeptRun
from workbench.tracking.store import member_tag, runs_filter

DONE = {outcome.value: outcome for outcome in (Outcome.finished, Outcome.diverged, Outcome.pruned)}


def settle(sink: MlflowSink, sweep: str, keys: Container[str], reason: str, again: bool = False) -> dict[str, KeptRun]:
    """The runs of a sweep with these keys that are done, by key; the others are ended as failed.

    With `again`, those are of the sweep no longer, because others will take their place. What has its outcome is done:
    it is the last thing that a run is given.
    """
    done = {}
    for run in _members(sink, sweep, keys):
        outcome = DONE.get(run.data.tags.get("outcome", ""))
        if outcome is None:
            _end(sink, run, reason, sweep if again else "")
            continue
        if run.info.status == "RUNNING":
            sink.close(run.info.run_id, outcome)
        done[run.data.tags["key"]] = KeptRun(run.info.run_id, outcome, run.data.metrics)
    return done


def supersede_strays(sink: MlflowSink, sweep: str, keys: Container[str], known: Container[str], reason: str) -> None:
    """End the runs of a sweep with these keys that are none of the `known`: a lost worker may have opened them late."""
    for run in _members(sink, sweep, keys):
        if run.info.run_id not in known:
            _end(sink, run, reason, sweep)


def _members(sink: MlflowSink, sweep: str, keys: Container[str]) -> Iterable[Run]:
    with kept_by(sink.store):
        runs = search_all(sink.client, [sink.experiment_id], runs_filter(sweep))
    return [run for run in runs if run.data.tags.get("key") in keys]


def _end(sink: MlflowSink, run: Run, reason: str, superseded_in: str) -> None:
    identity = run.info.run_id
    if superseded_in:
        sink.tag([identity], member_tag(superseded_in), "superseded")
    if run.info.status == "RUNNING":
        sink.close(identity, Outcome.failed, {"error": reason[:500]})
