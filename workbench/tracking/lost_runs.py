"""The runs of a worker that is gone, and those that other commands have made."""

from collections.abc import Container
from operator import itemgetter

from mlflow.entities import Run

from workbench.core.errors import StoreAway
from workbench.tracking.base import Outcome, disagreement_of
from workbench.tracking.client import search_all, translating_store_errors
from workbench.tracking.mlflow_sink import DONE, ERROR_TAG, MlflowSink
from workbench.tracking.reader import ReusableRun
from workbench.tracking.store import runs_filter


def settle(sink: MlflowSink, sweep: str, keys: Container[str], reason: str) -> dict[str, list[ReusableRun]]:
    """The runs of a sweep with these keys, by key: what is done last, before that the newest.

    Those that are open are ended: as they had said before, or as failed for this reason. A store that is away knows
    none; the next sweep ends them.
    """
    try:
        with translating_store_errors(sink.store):
            runs = search_all(sink.client, [sink.experiment_id], runs_filter(sweep))
    except StoreAway:
        return {}
    found: dict[str, list[tuple[bool, int, ReusableRun]]] = {}
    for run in runs:
        key = run.data.tags.get("key", "")
        if key in keys:
            kept = _ended(sink, run, reason)
            found.setdefault(key, []).append((kept.outcome.value in DONE, run.info.start_time, kept))
    return {key: [kept for *_, kept in sorted(tries, key=itemgetter(0, 1))] for key, tries in found.items()}


def _ended(sink: MlflowSink, run: Run, reason: str) -> ReusableRun:
    said = run.data.tags.get("outcome", "")
    outcome = Outcome(said) if said in DONE else Outcome.failed
    if run.info.status == "RUNNING":
        tags = {} if said in DONE else {ERROR_TAG: reason[:500]}
        sink.close(run.info.run_id, outcome, tags)
    return ReusableRun(run.info.run_id, outcome, run.data.metrics, disagreement=disagreement_of(run.data.tags))


def kept(sink: MlflowSink, run: str) -> ReusableRun:
    """A run that has ended by itself."""
    with translating_store_errors(sink.store):
        data = sink.client.get_run(run).data
    return ReusableRun(run, Outcome(data.tags["outcome"]), data.metrics, disagreement=disagreement_of(data.tags))
