"""The commands `doctor` and `recover`: what was left by processes that are gone, or whose store was."""

import argparse
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from workbench import __version__
from workbench.core import signals
from workbench.core.errors import ConfigError, StoreAway, TrackingError
from workbench.core.plain_text import say
from workbench.sweeps.checkpoints import Abandoned, abandoned
from workbench.tracking import store_checks, unsent_files
from workbench.tracking.base import Outcome
from workbench.tracking.recover import recover
from workbench.tracking.store import DATABASE, Store, find_store
from workbench.tracking.store_checks import StoreProblem
from workbench.tracking.unsent_files import unsent

SECONDS_AT_THE_END = 5.0  # for a store to come back before a command leaves what it could not send
NOT_ALL_SENT, INTERRUPTED = 3, 130  # exit codes


def doctor_command(options: argparse.Namespace) -> int:
    """Say what was found; exit code 1 where something is left to do, 2 where the store does not answer."""
    store = find_store(options.uri)
    if options.end:
        _say(store_checks.end_runs(store, options.end))
        return 0
    return _say(_examine(store, options.dry_run))


def _examine(store: Store, dry_run: bool) -> list[StoreProblem]:
    try:
        found = store_checks.health(store)
        away = False
    except StoreAway as error:
        found, away = [StoreProblem(str(error), "start it, or name another with --uri")], True
    is_well = not away and not any(one.todo for one in found)
    if is_well:
        found += store_checks.places(store, dry_run)
        found += store_checks.open_runs(store, dry_run)
    return found + _unsent(store) + _checkpoints(store if is_well else None, store)


def _say(found: list[StoreProblem]) -> int:
    for one in found:
        say(one.says, sys.stdout)
        if one.todo:
            say(f"  -> {one.todo}", sys.stdout)
    left = sum(bool(one.todo) for one in found)
    say(f"{left} to do" if left else "nothing to do", sys.stdout)
    return int(left > 0)


def _unsent(store: Store) -> list[StoreProblem]:
    found = []
    for one in unsent(store):
        says = f"{one.file} holds {_mib(one.file):.1f} MiB that the store has not"
        if one.is_free:
            found.append(StoreProblem(says, f"send it: {_recovery(store)}"))
        else:
            owner = f"process {one.owner.get('pid')} on {one.owner.get('host')}"
            todo = f"{owner} sends it if it lives; else: {_recovery(store)} {shlex.quote(str(one.file))}"
            found.append(StoreProblem(f"{says}; left alone, for {owner} may live", todo))
    for file in unsent_files.damaged(store):
        says = f"{file} cannot be sent: its first line does not say for which store and experiment it is"
        found.append(StoreProblem(says, f"mend that line, or remove the file: rm {shlex.quote(str(file))}"))
    for file in unsent_files.refused(store):
        says = f"{file} holds lines that could not be sent"
        found.append(StoreProblem(says, f"look what they are, then remove them: rm {shlex.quote(str(file))}"))
    return found


def _mib(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_size / 2**20
    return 0.0


def _checkpoints(answering: Store | None, store: Store) -> list[StoreProblem]:
    found: dict[str, list[str]] = {}
    for one in abandoned(store):
        says = one.error or f"{one.file} is a checkpoint that nobody trains on from"
        found.setdefault(_what_to_do(one, answering), []).append(says)
    return [StoreProblem("\n".join(lines), todo) for todo, lines in found.items()]


def _what_to_do(one: Abandoned, answering: Store | None) -> str:
    if one.error:
        return f"remove it, its pack trains from the start: rm {shlex.quote(str(one.file))}"
    if one.about["version"] != __version__:
        return f"remove it: version {one.about['version']} made it, {__version__} cannot go on with it"
    runs = [run for run in one.about["runs"] if run]
    command = store_checks.repeats(answering, runs[0]) if answering and runs else ""
    return f"go on with it: {command}" if command else "go on with it by the command that left it, or remove it"


def recover_command(options: argparse.Namespace) -> int:
    """Send what was left for a store; exit code 1 where something is refused or left, 2 where the store is away."""
    store = find_store(options.uri)
    known = {one.file.resolve(): one for one in unsent(store)}
    named = [Path(file) for file in options.files]
    for file in named:
        if Path(os.path.realpath(file)) not in known:  # resolve() itself raises for links in a circle
            listed = ", ".join(map(str, known)) or "none"
            raise ConfigError(
                f"recover: must name a file that holds what {store.shown} lacks, got {file}; found {listed}"
            )
    sent = recover(store, named)
    for one in sent:
        say(one.said, sys.stdout)
    others = [one for one in unsent(store) if not one.is_free]
    for other in others if not named else ():
        say(
            f"left alone: {other.file}, for process {other.owner.get('pid')} on {other.owner.get('host')} may live",
            sys.stdout,
        )
    damaged = [] if named else unsent_files.damaged(store)
    for file in damaged:
        say(f"not sent: {file}: its first line does not say for which store and experiment it is", sys.stdout)
    if not sent and not others and not damaged:
        say(f"{store.home / unsent_files.UNSENT} holds nothing for {store.shown}", sys.stdout)
    return int(any(one.error or one.aside for one in sent) or bool((others or damaged) and not named))


def end_own() -> None:
    """End what this process has left open in the stores that it wrote to, as far as they answer."""
    outcome = Outcome.interrupted if signals.code() == INTERRUPTED else Outcome.killed
    for store in list(unsent_files.used):
        with suppress(TrackingError):
            store_checks.end_own(store, outcome)


def send_rest(code: int) -> int:
    """A command's exit code at its end: 3 in the place of 0 where the store has not everything.

    What this process and its workers could not send is tried for some seconds more.
    """
    late = monotonic() + SECONDS_AT_THE_END
    for store in list(unsent_files.used):
        while any(one.is_free for one in unsent(store)):
            sent = recover(store)
            for one in sent:
                if not one.error:
                    say(f"workbench: {one.said}")
            if monotonic() > late or not any(one.error for one in sent):
                break
            sleep(1)
        for left in unsent(store):
            if left.is_free:
                line = f"not everything is in {store.shown}, the rest is in {left.file}; send it: {_recovery(store)}"
                say(f"workbench: {line}")
                code = code or NOT_ALL_SENT
    return code


def _recovery(store: Store) -> str:
    """The command that sends what was left for a store."""
    is_default = store.uri == os.environ.get("MLFLOW_TRACKING_URI") or store.file == Path.cwd() / DATABASE
    return "workbench recover" + ("" if is_default else f" --uri {shlex.quote(store.shown)}")
