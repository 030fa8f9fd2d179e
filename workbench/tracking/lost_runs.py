"""Runs of workers that are gone, and runs of other commands."""

from collections.abc import Container
from operator import itemgetter

from mlflow.entities import Run

from workbench.core.errors import StoreAway
from workbench.tracking.base import Outcome, disagreement_of
from workbench.tracking.client import search_all
from workbench.tracking.mlflow_sink import DONE, ERROR_TAG, MlflowSink
from workbench.tracking.reader import ReusableRun
from workbench.tracking.store import runs_filter
from workbench.tracking.store_errors import translating_store_errors


def settle(sink: MlflowSink, sweep: str, keys: Container[str], reason: str) -> dict[str, list[ReusableRun]]:
    """Runs of a sweep with these keys, by key, done ones last, each group by time.

    Open runs are ended: with the outcome they had recorded, or as failed for this reason. Empty for a store that is
    away; the next sweep ends its runs.
    """
    try:
        with translating_store_errors(sink.store):
            runs = search_all(sink.client, [sink.experiment_id], runs_filter(sweep))
    except StoreAway:
        return {}
    tries_by_key: dict[str, list[tuple[bool, int, ReusableRun]]] = {}
    for run in runs:
        key = run.data.tags.get("key", "")
        if key in keys:
            ended = _ended(sink, run, reason)
            tries_by_key.setdefault(key, []).append((ended.outcome.value in DONE, run.info.start_time, ended))
    return {key: [ended for *_, ended in sorted(tries, key=itemgetter(0, 1))] for key, tries in tries_by_key.items()}


def _ended(sink: MlflowSink, run: Run, reason: str) -> ReusableRun:
    recorded = run.data.tags.get("outcome", "")
    outcome = Outcome(recorded) if recorded in DONE else Outcome.failed
    if run.info.status == "RUNNING":
        tags = {} if recorded in DONE else {ERROR_TAG: reason[:500]}
        sink.close(run.info.run_id, outcome, tags)
    return ReusableRun(run.info.run_id, outcome, run.data.metrics, disagreement=disagreement_of(run.data.tags))


def ended_run(sink: MlflowSink, run: str) -> ReusableRun:
    """Read a run that has ended by itself."""
    with translating_store_errors(sink.store):
        data = sink.client.get_run(run).data
    return ReusableRun(run, Outcome(data.tags["outcome"]), data.metrics, disagreement=disagreement_of(data.tags))
