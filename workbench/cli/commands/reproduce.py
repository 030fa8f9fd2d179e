"""``workbench reproduce``: measure claims and judge them."""

import argparse
import os
from pathlib import Path

from workbench.cli.options import add_claims

HELP = "measure claims and judge them by their rules"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="claims, or all")
    parser.add_argument("--profile", default="quick", help="quick (default) or full")
    parser.add_argument("--report", metavar="DIR", help="also write report.html and report.md there")
    parser.add_argument("--details", action="store_true", help="print all cells, sources, pilots and notes too")
    add_claims(parser)
    parser.add_argument("--again", action="store_true", help="measure anew what has a verdict already")
    parser.add_argument("--plan", action="store_true", help="only say what it would cost, and what it could find")
    looking = "add seeds until the claim is decided, up to the profile's number"
    parser.add_argument("--sequential", action="store_true", help=looking)
    pictures = "a folder of IDX files, as MNIST's, on which the full profile measures specification maps too"
    parser.add_argument("--pictures", metavar="DIR", help=pictures)
    together = "claims measured at the same time (default: one per core)"
    parser.add_argument("--processes", type=int, metavar="N", help=together)
    offset = "let all seeds begin from N: the same study again, on fresh ones"
    parser.add_argument("--seed-offset", type=int, default=0, metavar="N", help=offset)


def run(options: argparse.Namespace) -> int:
    """Measure and judge; returns 1 where a claim could not be measured, or gradients disagree with autograd.

    A verdict, whatever it says, is a result.
    """
    from workbench.claims.catalog import claims_folder
    from workbench.claims.reproduction import reproduce_and_show
    from workbench.claims.request import Request
    from workbench.core.plain_text import say
    from workbench.sweeps.executors.processes import cores

    folder = claims_folder(options.claims)
    request = Request(
        tuple(options.names),
        profile=options.profile,
        folder=folder,
        uri=options.uri,
        again=options.again,
        seed_offset=options.seed_offset,
        sequential=options.sequential,
        pictures=None if options.pictures is None else Path(options.pictures),
        processes=cores() if options.processes is None else options.processes,
    )
    if options.plan:
        from workbench.claims.plan import plan

        for line in plan(request):
            print(line)
        return 0
    failures: list[str] = []

    def failed(name: str, error: Exception) -> None:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise error
        failures.append(f"{name}: could not be measured: {type(error).__name__}: {error}")
        say(f"workbench: {failures[-1]}")

    records = reproduce_and_show(request, options.report, failed, options.details)
    return int(bool(failures) or any(record.disagreements for record in records))
