"""``workbench claims``: the lecture's claims with their last verdicts."""

import argparse
from typing import TYPE_CHECKING, Any

from workbench.cli.options import add_claims, add_json

if TYPE_CHECKING:
    from workbench.claims.verdict import Reproduction

HELP = "the lecture's claims with their last verdicts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_claims(parser)
    add_json(parser)
    offsets = "how often verdicts in these stores differ between seed offsets, as Markdown"
    parser.add_argument("--offsets", metavar="URI", nargs="+", help=offsets)
    report = "report of the newest verdicts, as report.html and report.md in this folder, without measuring"
    parser.add_argument("--report", metavar="DIR", help=report)
    also = "more stores whose verdicts the report takes, where claims were measured apart"
    parser.add_argument("--also", metavar="URI", nargs="+", default=[], help=also)
    parser.add_argument(
        "--profile", help="of the verdicts in the report: quick or full (default: the newest of either)"
    )


def run(options: argparse.Namespace) -> int:
    """Print the table; raises ConfigError where stores hold no verdicts at two seed offsets, or for the report."""
    if options.offsets:
        return _print_offsets(options.offsets, options.json)
    from workbench.claims.catalog import catalog, claims_folder

    if options.report:
        from workbench.claims.reproduction import report_newest

        report_newest(options.report, options.profile, claims_folder(options.claims), options.uri, *options.also)
        return 0
    from workbench.claims.stored_verdicts import last_verdicts
    from workbench.claims.terminal_card import claims_table
    from workbench.core.json_output import print_json
    from workbench.core.terminal import plain_console
    from workbench.tracking.store import find_store

    last, doubts = last_verdicts(find_store(options.uri))
    entries = catalog(claims_folder(options.claims))
    if options.json:
        claims = {
            name: {"claim": entry.claim.model_dump(mode="json"), "last": _record(last.get(name))}
            for name, entry in entries.items()
        }
        print_json({"claims": claims, "doubts": doubts})
        return 0
    console = plain_console()
    console.print(claims_table([(name, entry.claim, last.get(name)) for name, entry in entries.items()]))
    for doubt in doubts:
        console.print(doubt, soft_wrap=True)
    return 0


def _record(verdict: "Reproduction | None") -> dict[str, Any] | None:
    return None if verdict is None else verdict.model_dump(mode="json")


def _print_offsets(addresses: list[str], as_json: bool) -> int:
    from workbench.claims.report import offsets_report
    from workbench.claims.stored_verdicts import verdicts_by_offset
    from workbench.core.errors import ConfigError
    from workbench.core.json_output import print_json
    from workbench.tracking.store import find_store

    found = verdicts_by_offset([find_store(address) for address in addresses])
    if len(found) < 2:
        raise ConfigError(
            f"claims --offsets: {', '.join(addresses)} must hold verdicts at two seed offsets or more, got "
            f"{', '.join(map(str, found)) or 'none'}; measure them first: workbench reproduce all --seed-offset 1000"
        )
    if as_json:
        print_json({offset: {name: _record(one) for name, one in own.items()} for offset, own in found.items()})
    else:
        print(offsets_report(found), end="")
    return 0
