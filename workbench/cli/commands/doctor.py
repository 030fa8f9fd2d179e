"""``workbench doctor``: problems of a store, and what processes that are gone have left behind."""

import argparse
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import add_store

if TYPE_CHECKING:
    from workbench.sweeps.checkpoints import Abandoned
    from workbench.tracking.store import Store
    from workbench.tracking.store_checks import StoreProblem

HELP = "end runs whose process is gone, and list what is wrong with the store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_store(parser)
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--end", metavar="RUN", nargs="+", default=[], help="end these, which you know to be dead")


def run(options: argparse.Namespace) -> int:
    """Print problems; returns 1 where something is left to do, 2 where the store does not answer."""
    from workbench.tracking import store_checks
    from workbench.tracking.store import find_store

    store = find_store(options.uri)
    if options.end:
        _print(store_checks.end_runs(store, options.end))
        return 0
    return _print(_examine(store, options.dry_run))


def _examine(store: "Store", dry_run: bool) -> "list[StoreProblem]":
    from workbench.core.errors import StoreAway
    from workbench.tracking import store_checks
    from workbench.tracking.store_checks import StoreProblem

    try:
        problems = store_checks.health(store)
        away = False
    except StoreAway as error:
        problems, away = [StoreProblem(str(error), "start it, or name another with --uri")], True
    is_well = not away and not any(problem.todo for problem in problems)
    if is_well:
        problems += store_checks.places(store, dry_run)
        problems += store_checks.open_runs(store, dry_run)
    return problems + _unsent(store) + _checkpoints(store if is_well else None, store)


def _print(problems: "list[StoreProblem]") -> int:
    from workbench.core.plain_text import say

    for problem in problems:
        say(problem.says, sys.stdout)
        if problem.todo:
            say(f"  -> {problem.todo}", sys.stdout)
    left = sum(bool(problem.todo) for problem in problems)
    say(f"{left} to do" if left else "nothing to do", sys.stdout)
    return int(left > 0)


def _unsent(store: "Store") -> "list[StoreProblem]":
    from workbench.tracking import unsent_files
    from workbench.tracking.recover import recovery_command
    from workbench.tracking.store_checks import StoreProblem

    problems = []
    for unsent in unsent_files.unsent(store):
        says = f"{unsent.file} holds {_mib(unsent.file):.1f} MiB that are not in the store yet"
        if unsent.is_free:
            problems.append(StoreProblem(says, f"send it: {recovery_command(store)}"))
        else:
            owner = f"process {unsent.owner.get('pid')} on {unsent.owner.get('host')}"
            todo = f"{owner} sends it if it lives; else: {recovery_command(store)} {shlex.quote(str(unsent.file))}"
            problems.append(StoreProblem(f"{says}; left alone, for {owner} may live", todo))
    for file in unsent_files.damaged(store):
        says = f"{file} cannot be sent: its first line does not name its store and experiment"
        problems.append(StoreProblem(says, f"mend that line, or remove the file: rm {shlex.quote(str(file))}"))
    for file in unsent_files.refused(store):
        says = f"{file} holds lines that could not be sent"
        problems.append(StoreProblem(says, f"inspect them, then remove the file: rm {shlex.quote(str(file))}"))
    return problems


def _mib(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_size / 2**20
    return 0.0


def _checkpoints(answering: "Store | None", store: "Store") -> "list[StoreProblem]":
    from workbench.sweeps.checkpoints import abandoned
    from workbench.tracking.store_checks import StoreProblem

    says: dict[str, list[str]] = {}
    for checkpoint in abandoned(store):
        line = checkpoint.error or f"{checkpoint.file} is a checkpoint whose process is gone"
        says.setdefault(_what_to_do(checkpoint, answering), []).append(line)
    return [StoreProblem("\n".join(lines), todo) for todo, lines in says.items()]


def _what_to_do(checkpoint: "Abandoned", answering: "Store | None") -> str:
    from workbench.core.version import __version__
    from workbench.tracking import store_checks

    if checkpoint.error:
        return f"remove it, its pack trains from the start: rm {shlex.quote(str(checkpoint.file))}"
    if checkpoint.about["version"] != __version__:
        return f"remove it: version {checkpoint.about['version']} made it, {__version__} cannot resume it"
    runs = [run for run in checkpoint.about["runs"] if run]
    command = store_checks.repeat_command(answering, runs[0]) if answering and runs else ""
    return f"resume it: {command}" if command else "resume it by the command that wrote it, or remove it"
