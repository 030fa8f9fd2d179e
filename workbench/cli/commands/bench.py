"""``workbench bench``: time the workbench."""

import argparse
import json
from pathlib import Path

HELP = "time training steps against autograd and the bare matrix products"
SECTIONS = ("step", "positions", "sweep", "scaling", "tracking", "diagnostics", "start", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    section = (
        "a training step (default), one of nets of positions, a run of a sweep beside a usual script's, "
        "sweeps by size, the cost of tracking, the cost of diagnostics, how soon commands answer, or all"
    )
    parser.add_argument("section", nargs="?", default="step", choices=SECTIONS, help=section)
    as_json = "also as JSON, to a file or to the output"
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help=as_json)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")


def run(options: argparse.Namespace) -> int:
    """Print tables; with ``--json`` also the numbers, in place of the tables where no file is named."""
    from workbench.bench.sections import measured
    from workbench.core.places import check_file
    from workbench.core.terminal import plain_console

    if options.json not in (None, "-"):
        check_file("bench --json", options.json, "write for example --json bench.json")  # before minutes of measuring
    chosen = SECTIONS[:-1] if options.section == "all" else (options.section,)
    content, tables = measured(chosen, options.quick)
    if options.json == "-":
        print(json.dumps(content, indent=2))
        return 0
    for table in tables:
        plain_console().print(table)
    if options.json:
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n")
    return 0
