"""What is wrong with a store, and which of its runs are open though nobody trains them."""

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
from workbench.tracking.artifacts import moved, settle
from workbench.tracking.base import Outcome
from workbench.tracking.client import SECONDS_TO_REACH, connect, search_all, translating_store_errors
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags
from workbench.tracking.missing_database import way_out
from workbench.tracking.mlflow_sink import ERROR_TAG, NOTE_TAG, MlflowSink
from workbench.tracking.sqlite import check_access, engine_uri, is_read_only, on_network
from workbench.tracking.store import Store

SHOWN = 10  # runs of a kind
LONG_LOG = 256 * 2**20  # bytes of a write-ahead log
untyped: Any = utils


@dataclass(frozen=True)
class StoreProblem:
    """What was found, and what to do about it: nothing, where `todo` is empty."""

    says: str
    todo: str = ""


def health(store: Store) -> list[StoreProblem]:
    """Whether the store answers, its database is whole, and this MLflow can use it. Raises StoreAway where not."""
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
    """What names the folder of before its database was moved or copied. Mends that, unless it is a `dry_run`."""
    if store.file is None or not store.file.exists():
        return []
    engine = create_engine(engine_uri(store), poolclass=NullPool)
    with translating_store_errors(store), engine.begin() as connection:
        found = moved(connection, store)
        if not found:
            return []
        counts = ", ".join(f"{len(of_kind)} {kind}s" for kind, of_kind in found.items())
        says = f"the database was moved or copied: {counts} name the folder of before, and lie in {store.artifacts}"
        if is_read_only(store):
            return [StoreProblem(f"{says}; they are read from there")]
        if dry_run:
            return [StoreProblem(says, "let them name it: workbench doctor")]
        settle(connection, found)
        return [StoreProblem(f"{says}; mended, they name it now")]


def _here() -> str:
    return str(mlflow.__version__)


def _schema(engine: Engine, store: Store) -> StoreProblem:
    """Whether the tables are those that this MLflow works with."""
    here = ScriptDirectory.from_config(untyped._get_alembic_config(""))
    there = untyped._get_schema_version(engine)
    if there is None:
        return StoreProblem(f"the database {store.shown} has no tables yet")
    if there == here.get_current_head():
        return StoreProblem(f"the database {store.shown} is whole, with the tables of MLflow {_here()}")
    try:
        here.get_revision(there)
    except CommandError:
        says = f"the database {store.shown} was made by a newer MLflow than {_here()}: it has tables of {there}"
        return StoreProblem(says, "install that MLflow: pip install --upgrade mlflow")
    says = f"the database {store.shown} was made by an older MLflow than {_here()}: it has tables of {there}"
    address = store.shown if store.file is None else engine_uri(store)
    return StoreProblem(says, f"copy the database, then write: mlflow db upgrade {shlex.quote(address)}")


def _files(engine: Engine, store: Store) -> list[StoreProblem]:
    assert store.file is not None
    if on_network(store.file):
        says = f"{store.file} lies on a network disk, where two hosts that write at once can damage it"
        return [StoreProblem(says, "let one host run: mlflow server --workers 1, and the others write to that")]
    with engine.connect() as connection:
        mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    log = store.file.with_name(f"{store.file.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LONG_LOG:
        says = f"{size / 2**20:.0f} MiB of {store.file.name} are still in its log"
        file = shlex.quote(str(store.file))
        return [StoreProblem(says, f"with no process writing: sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'")]
    only = [StoreProblem("this user may only read it: nothing is ended, mended or sent")] if is_read_only(store) else []
    return [StoreProblem(f"its log: {mode}, {size / 2**20:.1f} MiB"), *only]


def open_runs(store: Store, dry_run: bool) -> list[StoreProblem]:
    """The runs that are RUNNING, in all experiments. Ends those whose process is gone, unless it is a `dry_run`."""
    client = connect(store)
    with translating_store_errors(store):
        experiments = [found.experiment_id for found in client.search_experiments()]
        runs = search_all(client, experiments, "attributes.status = 'RUNNING'") if experiments else []
    gone = [run for run in runs if owner_is_gone(run.data.tags)]
    dry_run = dry_run or is_read_only(store)
    if not dry_run:
        for experiment in dict.fromkeys(run.info.experiment_id for run in gone):
            MlflowSink(store, experiment_id=experiment).end_gone()
    what, todo = ("", "end them: workbench doctor") if dry_run else (", ended as killed", "")
    found = _listed(gone, f"whose process is gone{what}", todo)
    here = {name: value for name, value in owner_tags().items() if name in OWNER[:2]}
    rest = [run for run in runs if run not in gone]
    near = [run for run in rest if here.items() <= run.data.tags.items()]
    found += _listed(near, "in training here", "")
    far = [run for run in rest if run not in near]
    if far:
        found += _listed(far, "of processes that cannot be seen from here, left alone", "")
        found.append(StoreProblem("  if you know that one of them is dead: workbench doctor --end RUN"))
    return found


def _listed(runs: Sequence[Run], what: str, todo: str) -> list[StoreProblem]:
    if not runs:
        return []
    found = [StoreProblem(f"{len(runs)} open runs {what}:", todo)]
    for run in runs[:SHOWN]:
        tags = run.data.tags
        owner = f"process {tags['pid']} on {tags.get('host')}" if "pid" in tags else "a process that left no name"
        found.append(StoreProblem(f"  {run.info.run_id} {run.info.run_name}: {owner}"))
    more = len(runs) - SHOWN
    return [*found, *([StoreProblem(f"  and {more} more")] if more > 0 else [])]


def end_own(store: Store, outcome: Outcome) -> None:
    """End the runs that this process has left open."""
    if store.file is not None and not store.file.exists():
        return
    client, own = connect(store), owner_tags().items()
    with translating_store_errors(store):
        experiments = [found.experiment_id for found in client.search_experiments()]
        runs = search_all(client, experiments, "attributes.status = 'RUNNING'") if experiments else []
    for run in runs:
        if own <= run.data.tags.items():
            MlflowSink(store, experiment_id=run.info.experiment_id).close(run.info.run_id, outcome)


def end_runs(store: Store, runs: Sequence[str]) -> list[StoreProblem]:
    """End runs that somebody knows to be dead, as killed.

    Raises ConfigError, with none of them ended, for one that is not there, has ended, or whose process lives here.
    """
    client = connect(store)
    found = [_open_run(client, store, run) for run in runs]
    for run in found:
        sink = MlflowSink(store, experiment_id=run.info.experiment_id)
        sink.close(run.info.run_id, Outcome.killed, {ERROR_TAG: "ended by workbench doctor --end"})
    return [StoreProblem(f"{run.info.run_id} {run.info.run_name} is ended as killed") for run in found]


def _open_run(client: MlflowClient, store: Store, name: str) -> Run:
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


def repeats(store: Store, run: str) -> str:
    """The command that goes on with a run, as its sweep's note or its own says; empty where none does."""
    try:
        client = connect(store)
        with translating_store_errors(store):
            found = client.get_run(run)
            sweep = found.data.tags.get("sweep")
            if sweep:
                wanted = f"tags.kind = 'sweep' AND tags.sweep = '{sweep}'"
                found = (search_all(client, [found.info.experiment_id], wanted) or [found])[0]
    except TrackingError:
        return ""
    command = re.search(r"^    (workbench .*)$", found.data.tags.get(NOTE_TAG, ""), re.MULTILINE)
    return command[1] if command else ""
