"""``workbench recover``: send what could not be sent while the store was away."""

import argparse
import os
import sys
from pathlib import Path

from workbench.cli.options import add_store
from workbench.core.errors import ConfigError

HELP = "send what could not be sent while the store was away"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="also a file whose process cannot be seen from here")
    add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Exit code 1 where something is refused or left, 2 where the store is away."""
    from workbench.core.plain_text import say
    from workbench.tracking import unsent_files
    from workbench.tracking.recover import recover
    from workbench.tracking.store import find_store

    store = find_store(options.uri)
    known = {unsent.file.resolve(): unsent for unsent in unsent_files.unsent(store)}
    named = [Path(file) for file in options.files]
    for file in named:
        if Path(os.path.realpath(file)) not in known:  # resolve() itself raises for links in a circle
            listed = ", ".join(map(str, known)) or "none"
            raise ConfigError(
                f"recover: must name a file that holds what {store.shown} lacks, got {file}; found {listed}"
            )
    sent = recover(store, named)
    for result in sent:
        say(result.summary, sys.stdout)
    others = [unsent for unsent in unsent_files.unsent(store) if not unsent.is_free]
    for other in others if not named else ():
        owner = f"process {other.owner.get('pid')} on {other.owner.get('host')}"
        say(f"left alone: {other.file}, for {owner} may live", sys.stdout)
    damaged = [] if named else unsent_files.damaged(store)
    for file in damaged:
        say(f"not sent: {file}: its first line does not say for which store and experiment it is", sys.stdout)
    if not sent and not others and not damaged:
        say(f"{store.home / unsent_files.UNSENT} holds nothing for {store.shown}", sys.stdout)
    return int(any(result.error or result.aside for result in sent) or bool((others or damaged) and not named))
