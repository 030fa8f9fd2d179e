"""``workbench verify``: train a run again and compare."""

import argparse
from dataclasses import replace

from workbench.cli.options import add_allow, add_run

HELP = "train a run again from what the store holds; exit code 1 where it ends otherwise"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_run(parser)
    add_allow(parser)


def run(options: argparse.Namespace) -> int:
    """Train again and print the comparison; returns 1 where weights or numbers differ."""
    from workbench.core.terminal import plain_console
    from workbench.inspect.verify import verify
    from workbench.tracking.find_run import find_run
    from workbench.tracking.store import find_store

    store, console = find_store(options.uri), plain_console()
    full_run = replace(find_run(store, options.run), allowed=options.allow)
    console.print(f"{full_run.run.name} ({full_run.run.id})", highlight=False, markup=False, soft_wrap=True)
    result = verify(store, full_run)
    for line in result.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return int(not result.same)
