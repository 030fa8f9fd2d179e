"""``workbench show``: one run in the terminal."""

import argparse

from workbench.cli.options import add_run

HELP = "what a run is, how it ended, its numbers and files"
add_arguments = add_run


def run(options: argparse.Namespace) -> int:
    """Print the run."""
    from workbench.core.terminal import plain_console
    from workbench.inspect.lookup import sweep_around
    from workbench.inspect.show import show
    from workbench.tracking.find_run import find_run
    from workbench.tracking.store import find_store, run_link, ui_base

    store = find_store(options.uri)
    full_run = find_run(store, options.run)
    before = "" if store.is_server else "workbench ui serves "
    link = before + run_link(ui_base(store), full_run.experiment_id, full_run.run.id)
    show(full_run, link, plain_console(), sweep_around(store, full_run, histories=False))
    return 0
