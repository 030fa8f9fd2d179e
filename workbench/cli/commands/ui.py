"""``workbench ui``: MLflow's pages for the runs on this machine."""

import argparse

from workbench.cli.options import add_store

HELP = "serve MLflow's pages for the runs on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_store(parser)
    parser.add_argument("--port", type=int, default=5000, help="default: 5000")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from workbench.core.terminal import plain_console
    from workbench.tracking.reader import newest_link
    from workbench.tracking.store import find_store, ui_base
    from workbench.tracking.ui import serve

    console = plain_console()
    store = find_store(options.uri)
    if store.is_server:
        console.print(f"the store is a server of its own: {newest_link(store, store.shown)}", soft_wrap=True)
        return 0

    def ready() -> None:
        console.print(f"serving {store.shown}; Ctrl-C ends it", highlight=False, soft_wrap=True)
        console.print(newest_link(store, ui_base(store, options.port)), highlight=False, soft_wrap=True)

    return serve(store, options.port, ready)
