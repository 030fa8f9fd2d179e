"""Parsers of single commands and of the whole command line, made of the files in `commands`."""

import argparse
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from workbench.cli import commands
from workbench.cli.options import Parser
from workbench.core.version import __version__

EPILOG = """examples:
  workbench demo                                              relu, sigmoid and softplus on digits, side by side
  workbench train activation=relu optimizer.lr=0.1 seed=3     one run
  workbench train -m activation=relu,tanh seed=range(5)       a sweep: ten runs, trained together
  workbench train --help                                      all groups and keys
  workbench check activation=softplus                         hand-written gradients against autograd
  workbench explain activation=tanh --example 3               one training step, worked by hand
  workbench compare                                           the newest sweep: table and figures
  workbench claims                                            the lecture's claims and their verdicts
  workbench reproduce xor                                     one of them, measured and judged
  workbench play                                              a page that trains nets while you watch
  workbench ui                                                MLflow's pages for the runs
"""


def command_names() -> list[str]:
    """Names of all commands, sorted."""
    return sorted(module.name for module in iter_modules(commands.__path__))


def command(name: str) -> Any:
    """Import the module of a command."""
    return import_module(f"{commands.__name__}.{name}")


def takes_overrides(name: str) -> bool:
    """Whether Hydra parses what follows the command's name."""
    return hasattr(command(name), "run_overrides")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    parser: argparse.ArgumentParser = Parser(
        prog="workbench",
        description="Check what a lecture on feed-forward networks and backpropagation claims.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"workbench {__version__}")
    listed = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in command_names():
        module = command(name)
        if takes_overrides(name):
            listed.add_parser(name, help=module.HELP, add_help=False)
        else:
            module.add_arguments(listed.add_parser(name, help=module.HELP))
    return parser
