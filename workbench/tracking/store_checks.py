"""Checks of a store and its open runs, with advice on each problem."""

import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import requests
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from sqlalchemy import Engine, NullPool, create_engine

from workbench.core.errors import ConfigError, TrackingError
from workbench.tracking import sqlite
from workbench.tracking.artifact_writes import moved, settle
from workbench.tracking.base import Outcome
from workbench.tracking.client import SECONDS_TO_REACH, connect, search_all
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags
from workbench.tracking.missing_database import way_out
from workbench.tracking.mlflow_sink import ERROR_TAG, NOTE_TAG, MlflowSink
from workbench.tracking.sqlite import check_access, engine_uri, is_read_only, on_network
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors

SHOWN = 10  # runs of a kind
LONG_LOG = 256 * 2**20  # bytes of a write-ahead log
untyped: Any = utils


@dataclass(frozen=True)
class StoreProblem:
    """A finding, and advice on it; `todo` is empty where nothing needs to be done."""

    says: str
    todo: str = ""


def health(store: Store) -> list[StoreProblem]:
    """Check that the store answers, its database is whole, and this MLflow can use it. Raises StoreAway otherwise."""
    if store.is_server:
        connect(store)
        with translating_store_errors(store):
            answer = requests.get(f"{store.uri.rstrip('/')}/version", timeout=2 * SECONDS_TO_REACH)
        return [StoreProblem(f"the server {store.shown} answers; it has MLflow {answer.text[:20]}, here is {_here()}")]
    if store.file is not None and not store.file.exists():
        return [StoreProblem(f"there is no database {store.file}", f"{way_out(store)}, or train something")]
    with translating_store_errors(store):
        check_access(store, writing=False)
        engine = create_engine(engine_uri(store), poolclass=NullPool)
        damage = sqlite.damage(store.file) if store.file is not None else ""
        if damage:
            file = shlex.quote(str(store.file))
            todo = f"put a copy back, or save what can be read: sqlite3 {file} .recover | sqlite3 new.db"
            return [StoreProblem(f"the database {store.file} is damaged: {damage}", todo)]
        return [_schema(engine, store), *(_files(engine, store) if store.file is not None else ())]


def places(store: Store, dry_run: bool) -> list[StoreProblem]:
    """Check addresses of files in a moved or copied database. Mends them, unless it is a `dry_run`."""
    if store.file is None or not store.file.exists():
        return []
    engine = create_engine(engine_uri(store), poolclass=NullPool)
    with translating_store_errors(store), engine.begin() as connection:
        outdated = moved(connection, store)
        if not outdated:
            return []
        counts = ", ".join(f"{len(of_kind)} {kind}s" for kind, of_kind in outdated.items())
        says = f"the database was moved or copied: {counts} still name the former folder, but lie in {store.artifacts}"
        if is_read_only(store):
            return [StoreProblem(f"{says}; they are read from there")]
        if dry_run:
            return [StoreProblem(says, "correct them: workbench doctor")]
        settle(connection, outdated)
        return [StoreProblem(f"{says}; corrected")]


def _here() -> str:
    return str(mlflow.__version__)


def _schema(engine: Engine, store: Store) -> StoreProblem:
    """Check that the tables are those of this MLflow."""
    tables = ScriptDirectory.from_config(untyped._get_alembic_config(""))
    revision = untyped._get_schema_version(engine)
    if revision is None:
        return StoreProblem(f"the database {store.shown} has no tables yet")
    if revision == tables.get_current_head():
        return StoreProblem(f"the database {store.shown} is whole, with the tables of MLflow {_here()}")
    try:
        tables.get_revision(revision)
    except CommandError:
        says = f"the database {store.shown} was made by a newer MLflow than {_here()}: it has tables of {revision}"
        return StoreProblem(says, "install that MLflow: pip install --upgrade mlflow")
    says = f"the database {store.shown} was made by an older MLflow than {_here()}: it has tables of {revision}"
    address = store.shown if store.file is None else engine_uri(store)
    return StoreProblem(says, f"copy the database, then write: mlflow db upgrade {shlex.quote(address)}")


def _files(engine: Engine, store: Store) -> list[StoreProblem]:
    assert store.file is not None
    if on_network(store.file):
        says = f"{store.file} lies on a network disk, where commands of two hosts at the same time can damage it"
        server = f"mlflow server --workers 1 --backend-store-uri {shlex.quote(engine_uri(store))}"
        return [StoreProblem(says, f"run on one host: {server}; on the others write tracking.uri=http://HOST:5000")]
    with engine.connect() as connection:
        mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    log = store.file.with_name(f"{store.file.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LONG_LOG:
        says = f"{size / 2**20:.0f} MiB of {store.file.name} are still in its log"
        file = shlex.quote(str(store.file))
        return [StoreProblem(says, f"with no process writing: sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'")]
    read_only = (
        [StoreProblem("this user may only read it: nothing is ended, mended or sent")] if is_read_only(store) else []
    )
    return [StoreProblem(f"its log: {mode}, {size / 2**20:.1f} MiB"), *read_only]


def open_runs(store: Store, dry_run: bool) -> list[StoreProblem]:
    """Check RUNNING runs of all experiments. Ends those whose process is gone, unless it is a `dry_run`."""
    client = connect(store)
    with translating_store_errors(store):
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = search_all(client, experiments, "attributes.status = 'RUNNING'") if experiments else []
    gone = [run for run in runs if owner_is_gone(run.data.tags)]
    dry_run = dry_run or is_read_only(store)
    if not dry_run:
        for experiment in dict.fromkeys(run.info.experiment_id for run in gone):
            MlflowSink(store, experiment_id=experiment).end_gone()
    state, todo = ("", "end them: workbench doctor") if dry_run else (", ended as killed", "")
    problems = _listed(gone, f"whose process is gone{state}", todo)
    this_host = {name: value for name, value in owner_tags().items() if name in OWNER[:2]}
    living = [run for run in runs if run not in gone]
    living_here = [run for run in living if this_host.items() <= run.data.tags.items()]
    problems += _listed(living_here, "in training here", "")
    elsewhere = [run for run in living if run not in living_here]
    if elsewhere:
        problems += _listed(elsewhere, "of processes that cannot be seen from here, left alone", "")
        problems.append(StoreProblem("  if you know that one of them is dead: workbench doctor --end RUN"))
    return problems


def _listed(runs: Sequence[Run], state: str, todo: str) -> list[StoreProblem]:
    if not runs:
        return []
    problems = [StoreProblem(f"{len(runs)} open runs {state}:", todo)]
    for run in runs[:SHOWN]:
        tags = run.data.tags
        owner = f"process {tags['pid']} on {tags.get('host')}" if "pid" in tags else "a process that left no name"
        problems.append(StoreProblem(f"  {run.info.run_id} {run.info.run_name}: {owner}"))
    more = len(runs) - SHOWN
    return [*problems, *([StoreProblem(f"  and {more} more")] if more > 0 else [])]


def end_own(store: Store, outcome: Outcome) -> None:
    """End the runs that this process has left open."""
    if store.file is not None and not store.file.exists():
        return
    client, own_tags = connect(store), owner_tags().items()
    with translating_store_errors(store):
        experiments = [found.experiment_id for found in client.search_experiments()]
        runs = search_all(client, experiments, "attributes.status = 'RUNNING'") if experiments else []
    for run in runs:
        if own_tags <= run.data.tags.items():
            MlflowSink(store, experiment_id=run.info.experiment_id).close(run.info.run_id, outcome)


def end_runs(store: Store, runs: Sequence[str]) -> list[StoreProblem]:
    """End runs that the user declares dead, as killed.

    Raises ConfigError, with none of them ended, for one that does not exist, has ended, or whose process lives here.
    """
    client = connect(store)
    open_ones = [_open_run(client, store, run) for run in runs]
    for run in open_ones:
        sink = MlflowSink(store, experiment_id=run.info.experiment_id)
        sink.close(run.info.run_id, Outcome.killed, {ERROR_TAG: "ended by workbench doctor --end"})
    return [StoreProblem(f"{run.info.run_id} {run.info.run_name} is ended as killed") for run in open_ones]


def _open_run(client: MlflowClient, store: Store, name: str) -> Run:
    """Find an open run; raises ConfigError as `end_runs`."""
    with translating_store_errors(store):
        try:
            run = client.get_run(name)
        except MlflowException as error:
            raise ConfigError(
                f"doctor: --end must name a run by its whole id, got {name!r}; see: workbench doctor"
            ) from (error)
    if run.info.status != "RUNNING":
        raise ConfigError(f"doctor: --end must name a run that is open, but {name} is {run.info.status}; drop it")
    tags = run.data.tags
    if tags.get("host") == platform.node() and tags.get("boot") == owner_tags()["boot"] and not owner_is_gone(tags):
        raise ConfigError(
            f"doctor: --end must name a run whose process is gone, but process {tags['pid']} trains {name} here; "
            f"end that first: kill {tags['pid']}"
        )
    return run


def repeat_command(store: Store, run: str) -> str:
    """The command that repeats a run or its sweep, from its note; empty where there is none."""
    try:
        client = connect(store)
        with translating_store_errors(store):
            noted = client.get_run(run)
            sweep = noted.data.tags.get("sweep")
            if sweep:
                wanted = f"tags.kind = 'sweep' AND tags.sweep = '{sweep}'"
                noted = (search_all(client, [noted.info.experiment_id], wanted) or [noted])[0]
    except TrackingError:
        return ""
    command = re.search(r"^    (workbench .*)$", noted.data.tags.get(NOTE_TAG, ""), re.MULTILINE)
    return command[1] if command else ""
