"""``workbench show``: one run in the terminal."""

import argparse

from workbench.cli.options import add_json, add_run

HELP = "what a run is, how it ended, its numbers and files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_run(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the run."""
    from workbench.core.json_output import print_json
    from workbench.core.terminal import plain_console
    from workbench.inspect.lookup import sweep_around
    from workbench.inspect.show import as_record, show
    from workbench.tracking.base import VIEW_TAG
    from workbench.tracking.find_run import find_run
    from workbench.tracking.store import find_store, run_link, ui_base

    store = find_store(options.uri)
    full_run = find_run(store, options.run)
    link = run_link(ui_base(store), full_run.experiment_id, full_run.run.id, VIEW_TAG in full_run.run.tags)
    around = sweep_around(store, full_run, histories=False)
    if options.json:
        print_json(as_record(full_run, link, around))
    else:
        show(full_run, ("" if store.is_server else "workbench ui serves ") + link, plain_console(), around)
    return 0
