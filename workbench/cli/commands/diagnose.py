"""``workbench diagnose``: what went wrong in a run or a sweep."""

import argparse

from workbench.cli.options import add_run

HELP = "what went wrong in a run or a sweep, by rules, with the logged numbers"
add_arguments = add_run


def run(options: argparse.Namespace) -> int:
    """Print findings by arm."""
    from workbench.core.terminal import plain_console
    from workbench.inspect.diagnose import diagnose
    from workbench.inspect.lookup import run_or_sweep
    from workbench.tracking.store import find_store

    console = plain_console()
    target = run_or_sweep(find_store(options.uri), options.run)
    for line in (target.title, *target.doubts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    silent: dict[str, None] = {}
    for arm in dict.fromkeys(run.arm for run in target.runs):
        diagnosis = diagnose(arm, [run for run in target.runs if run.arm == arm], target.others)
        silent |= dict.fromkeys(diagnosis.silent)
        console.print(
            f"{arm}: {'nothing found' if diagnosis.is_healthy else ''}".rstrip(), highlight=False, markup=False
        )
        for line in diagnosis.lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if silent:
        needs = f"not judged, because it was not logged (diagnostics=full): {', '.join(silent)}"
        console.print(needs, highlight=False, markup=False, soft_wrap=True)
    return 0
