"""``workbench diagnose``: what went wrong in a run or a sweep."""

import argparse
from typing import TYPE_CHECKING

from workbench.cli.options import add_json, add_run

if TYPE_CHECKING:
    from workbench.inspect.diagnose import Diagnosis

HELP = "what went wrong in a run or a sweep, by rules, with the logged numbers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_run(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print findings by arm."""
    from workbench.core.json_output import print_json
    from workbench.inspect.diagnose import diagnose
    from workbench.inspect.lookup import run_or_sweep
    from workbench.tracking.store import find_store

    target = run_or_sweep(find_store(options.uri), options.run)
    arms = [
        diagnose(arm, [run for run in target.runs if run.arm == arm], target.others)
        for arm in dict.fromkeys(run.arm for run in target.runs)
    ]
    if options.json:
        print_json({"title": target.title, "doubts": target.doubts, "arms": arms})
    else:
        _print([target.title, *target.doubts], arms)
    return 0


def _print(heading: "list[str]", arms: "list[Diagnosis]") -> None:
    from workbench.core.terminal import plain_console

    lines = heading
    for arm in arms:
        lines += [f"{arm.arm}: {'nothing found' if arm.is_healthy else ''}".rstrip()]
        lines += [f"  {line}" for line in arm.lines]
    if silent := dict.fromkeys(name for arm in arms for name in arm.silent):
        lines += [f"not judged, because it was not logged (diagnostics=full): {', '.join(silent)}"]
    console = plain_console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
