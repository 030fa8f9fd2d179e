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
    """Send files and print a line for each; returns 1 where something is refused or left.

    Raises ConfigError for a named file that holds nothing to send.
    """
    from workbench.core.plain_text import say
    from workbench.tracking import unsent_files
    from workbench.tracking.recover import recover
    from workbench.tracking.store import find_store

    store = find_store(options.uri)
    waiting = {unsent.file.resolve(): unsent for unsent in unsent_files.unsent(store)}
    named = [Path(file) for file in options.files]
    for file in named:
        if Path(os.path.realpath(file)) not in waiting:  # resolve() itself raises for links in a circle
            listed = ", ".join(map(str, waiting)) or "none"
            raise ConfigError(
                f"recover: must name a file that holds what {store.shown} lacks, got {file}; found {listed}"
            )
    sent = recover(store, named)
    for result in sent:
        say(result.summary, sys.stdout)
    of_living = [unsent for unsent in unsent_files.unsent(store) if not unsent.is_free]
    for unsent in of_living if not named else ():
        owner = f"process {unsent.owner.get('pid')} on {unsent.owner.get('host')}"
        say(f"left alone: {unsent.file}, for {owner} may live", sys.stdout)
    damaged = [] if named else unsent_files.damaged(store)
    for file in damaged:
        say(f"not sent: {file}: its first line does not name its store and experiment", sys.stdout)
    if not sent and not of_living and not damaged:
        say(f"{store.home / unsent_files.UNSENT} holds nothing for {store.shown}", sys.stdout)
    return int(any(result.error or result.aside for result in sent) or bool((of_living or damaged) and not named))
