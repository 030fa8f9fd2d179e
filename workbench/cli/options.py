"""Options shared by several commands, and the parser of one command."""

import argparse
from collections.abc import Sequence
from typing import Any

from workbench.core import json_output
from workbench.core.plain_text import printable

STORE = "the tracking store (default: $MLFLOW_TRACKING_URI, else ./mlflow.db)"
RUN = "its id, the beginning of it, or its name; without one, the newest run"
ALLOW = "a module of yours whose functions the stored configuration may name; others are never run"
CLAIMS = "a folder with claims of your own: NAME/experiment.yaml, NAME/measure.py, NAME/figure.py"


class Parser(argparse.ArgumentParser):
    """An argument parser that prints the user's words as plain text, without control characters."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message), file)


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--uri``."""
    parser.add_argument("--uri", help=STORE)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the name of a run, and ``--uri``."""
    parser.add_argument("run", nargs="?", help=RUN)
    add_store(parser)


def add_allow(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow``."""
    parser.add_argument("--allow", metavar="MODULE", action="append", default=[], help=ALLOW)


def add_claims(parser: argparse.ArgumentParser) -> None:
    """Add ``--claims`` for a folder that exists, and ``--uri``."""
    parser.add_argument("--claims", metavar="DIR", help=CLAIMS)
    add_store(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(json_output.OPTION, action="store_true", help=json_output.HELP)


def without_json(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Arguments without ``--json``, which Hydra does not have, and whether it was among them."""
    return [word for word in arguments if word != json_output.OPTION], json_output.OPTION in arguments


def comma_separated(text: str) -> list[str]:
    """Parts of ``a,b,c``."""
    return [part for part in text.split(",") if part]
