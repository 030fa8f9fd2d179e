"""``workbench data``: what would be read from a table, and the command that trains on it."""

import argparse
from typing import TYPE_CHECKING

from workbench.cli.options import add_json

if TYPE_CHECKING:
    from workbench.data.survey import Survey

HELP = "what a CSV or Parquet file holds: columns, blanks, traps, and the command to train on it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--target", metavar="COLUMN", help="the column to learn (default: the last)")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the survey of a table; returns 1 where its command would be refused."""
    from workbench.core.json_output import print_json
    from workbench.data.survey import survey

    surveyed = survey(options.file, options.target)
    if options.json:
        print_json(surveyed)
    else:
        _print(surveyed)
    return int(bool(surveyed.refused))


def _print(surveyed: "Survey") -> None:
    from workbench.core.terminal import FittingTable, plain_console

    console = plain_console()
    title = f"{surveyed.file}: {surveyed.rows} rows, {len(surveyed.columns)} columns"
    table = FittingTable("column", "holds", "blanks", "distinct", "values", "role", "remarks", title=title, box=None)
    for column in surveyed.columns:
        blanks = str(column.blanks) if column.blanks else ""
        numbers = (blanks, str(column.distinct))
        table.add_row(column.name, column.holds, *numbers, column.values, column.role, "; ".join(column.remarks))
    console.print(table)
    console.print(f"\ntarget: {surveyed.target}, by {surveyed.task}; another: --target COLUMN")
    if surveyed.refused:
        console.print(f"refused: {surveyed.refused}", soft_wrap=True)
    console.print(f"train: {surveyed.command}", soft_wrap=True)
