"""Claims on run keys: a key is held by the run that a living process trains for it, or that is done.

A run is not begun while another holds its key. A database checks and begins in one transaction. A server offers none:
there a run is begun first, without params, then others are searched, and its params confirm that it stays. Of two runs
without params, the one whose process comes first in the order of names stays.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from time import monotonic, sleep, time

from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy import Connection, select

from workbench.core.errors import KeyTaken
from workbench.tracking.base import RUN, ClaimedKey, Event, Opened, Outcome, Reopened
from workbench.tracking.client import search_all
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags
from workbench.tracking.mlflow_tables import RUNNING, RUNS, TAGS

DONE = (Outcome.finished.value, Outcome.diverged.value)
KEYS_PER_QUERY = 500
LOCK = 7_020_251_125  # and more, by experiment: PostgreSQL's name for beginning runs there
LATE_MS = 3_600_000  # that the clocks of two hosts may differ by, and a command take before it trains
SECONDS_TO_AGREE, SECONDS_BETWEEN_LOOKS = 30.0, 0.05
_begun_ms = int(time() * 1000)


def tags_of(events: Iterable[Event]) -> dict[str, Mapping[str, str]]:
    """Tags of the runs with a key that these events begin or resume, by run."""
    tags = {event.run: event.info.tags for event in events if isinstance(event, Opened)}
    tags |= {event.run: event.tags for event in events if isinstance(event, Reopened)}
    return {run: run_tags for run, run_tags in tags.items() if "key" in run_tags}


def keys_of(events: Iterable[Event]) -> dict[str, str]:
    """Keys of the runs that these events begin or resume, by run."""
    return {run: tags["key"] for run, tags in tags_of(events).items()}


def refuse(wanted: Mapping[str, str], claims: Iterable[ClaimedKey], known: Container[str]) -> None:
    """Raise KeyTaken where a key is held by a run that is neither `known` nor one of those `wanted`."""
    taken = {claim.key: claim.run for claim in claims if claim.run not in known and claim.run not in wanted}
    if taken:
        raise KeyTaken(taken)


def only(connection: Connection, experiment_id: int, wanted: Mapping[str, str], known: Container[str]) -> None:
    """Do `refuse` in a transaction that others which begin runs of the experiment wait for; raises KeyTaken."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK + experiment_id})")
    refuse(wanted, in_tables(connection, experiment_id, wanted.values()), known)


def in_tables(connection: Connection, experiment_id: int, keys: Collection[str] | None) -> list[ClaimedKey]:
    """Claims on these keys, or on any, in an experiment, read from the tables of a database."""
    claims: list[ClaimedKey] = []
    members = select(TAGS.c.run_uuid, TAGS.c.value, RUNS.c.status).join(RUNS, RUNS.c.run_uuid == TAGS.c.run_uuid)
    members = members.where(RUNS.c.experiment_id == experiment_id, RUNS.c.lifecycle_stage == "active")
    members = members.where(TAGS.c.key == "key", RUNS.c.status.in_((RUNNING, "FINISHED")))
    for statement in [members] if keys is None else [members.where(TAGS.c.value.in_(part)) for part in _parts(keys)]:
        runs = {run: (key, status) for run, key, status in connection.execute(statement)}
        tags = _tags_of(connection, runs)
        claims += _holding((run, key, status, tags.get(run, {}), True) for run, (key, status) in runs.items())
    return claims


def _parts(names: Iterable[str]) -> list[list[str]]:
    ordered = sorted(names)
    return [ordered[start : start + KEYS_PER_QUERY] for start in range(0, len(ordered), KEYS_PER_QUERY)]


def _tags_of(connection: Connection, runs: Iterable[str]) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = {}
    named = select(TAGS.c.run_uuid, TAGS.c.key, TAGS.c.value).where(TAGS.c.key.in_((*OWNER, "outcome")))
    for part in _parts(runs):
        for run, name, value in connection.execute(named.where(TAGS.c.run_uuid.in_(part))):
            tags.setdefault(run, {})[name] = value
    return tags


def by_search(client: MlflowClient, experiment_id: str, keys: Container[str] | None) -> list[ClaimedKey]:
    """Claims found by MLflow's search; of done runs only those that ended since this process began."""
    runs: list[Run] = []
    for wanted in (f"attributes.status = '{RUNNING}'", f"attributes.end_time > {_begun_ms - LATE_MS}"):
        runs += search_all(client, [experiment_id], f"tags.kind = '{RUN}' AND {wanted}")
    return _holding(
        (run.info.run_id, run.data.tags["key"], run.info.status, run.data.tags, bool(run.data.params))
        for run in {run.info.run_id: run for run in runs}.values()
        if "key" in run.data.tags and (keys is None or run.data.tags["key"] in keys)
    )


def _holding(runs: Iterable[tuple[str, str, str, Mapping[str, str], bool]]) -> list[ClaimedKey]:
    """Select the runs that hold their key; runs left open by this process do not."""
    claims = []
    for run, key, status, tags, is_sure in runs:
        owner = {name: tags.get(name, "") for name in OWNER}
        is_done = tags.get("outcome") in DONE
        if is_done or (status == RUNNING and owner != owner_tags() and not owner_is_gone(tags)):
            claims.append(ClaimedKey(run, key, owner, is_done, is_sure or is_done))
    return claims


def agree(
    wanted: Mapping[str, Mapping[str, str]], look: Callable[[], Iterable[ClaimedKey]], known: Container[str]
) -> None:
    """Wait until the runs `wanted`, begun with these tags, are the only ones with their keys.

    `look` returns the claims on the keys. Raises KeyTaken where other runs stay.
    """
    late = monotonic() + SECONDS_TO_AGREE
    precedence = {tags["key"]: _precedence(tags, run) for run, tags in wanted.items()}
    keys = {run: tags["key"] for run, tags in wanted.items()}
    while True:
        rivals = [claim for claim in look() if claim.run not in wanted and claim.run not in known]
        staying = [
            claim
            for claim in rivals
            if claim.is_sure or monotonic() > late or _precedence(claim.owner, claim.run) < precedence[claim.key]
        ]
        refuse(keys, staying, known)
        if not rivals:
            return
        sleep(SECONDS_BETWEEN_LOOKS)


def _precedence(owner: Mapping[str, str], run: str) -> tuple[str, ...]:
    """Sort key of precedence: the first process stays, so that of many that overlap one gets all its runs."""
    return (*(owner.get(name, "") for name in OWNER), run)
