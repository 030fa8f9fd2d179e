"""``workbench play``: a local page on which a pack of nets trains."""

import argparse

from workbench.cli.options import add_store

HELP = "open a page that trains nets while you watch and change them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_store(parser)
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder with options of your own")


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from workbench.core.terminal import plain_console
    from workbench.play.server import serve
    from workbench.tracking.store import find_store

    console = plain_console()
    find_store(options.uri)  # refuses an address that is none

    def ready(address: str) -> None:
        console.print("open this address in a browser; Ctrl-C ends training and page", highlight=False)
        console.print(address, highlight=False, soft_wrap=True)

    return serve(options.config_dir, options.uri, options.port, ready)
