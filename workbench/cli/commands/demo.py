"""``workbench demo``: an experiment that comes with the workbench."""

import argparse
import runpy

HELP = "run an experiment that comes with the workbench"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", nargs="?", default="activations_on_digits", help="default: activations_on_digits")


def run(options: argparse.Namespace) -> int:
    """Run ``experiments/<name>/demo.py``; raises UnknownNameError."""
    from workbench.config.schema import packaged
    from workbench.core.errors import unknown_name

    demos = {file.parent.name: file for file in packaged("experiments").glob("*/demo.py")}
    if options.name not in demos:
        raise unknown_name("demo", options.name, demos)
    runpy.run_path(str(demos[options.name]), run_name="__main__")
    return 0
