"""``workbench compare``: a sweep by arm, or two sweeps side by side."""

import argparse

from workbench.cli.options import add_json, add_store, comma_separated

HELP = "table of a sweep by arm, with figures where a folder is named, or two sweeps side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("sweep", nargs="?", help="its id, or the beginning of it; without one, the newest sweep")
    parser.add_argument("other", nargs="?", help="a second sweep: the arms of both, with what it changes in them")
    by, metric = "arms by these parameters: --by optimizer.lr", "these columns: --metric valid/loss"
    parser.add_argument("--by", type=comma_separated, default=[], metavar="KEY,...", help=by)
    parser.add_argument("--metric", type=comma_separated, default=[], metavar="NAME,...", help=metric)
    parser.add_argument("--format", help="the table alone: csv or parquet (numbers), latex or markdown (text)")
    parser.add_argument("-o", "--table", metavar="FILE", help="the table alone, as this file: .csv .parquet .tex .md")
    add_json(parser)
    add_store(parser)
    parser.add_argument("--out", metavar="DIR", help="also figures and table in this folder, and with the sweep's run")


def run(options: argparse.Namespace) -> int:
    """Print the table, write files."""
    from workbench.core.errors import ConfigError
    from workbench.core.terminal import plain_console
    from workbench.inspect.comparison import ComparisonRequest, compare

    sweeps = [sweep for sweep in (options.sweep, options.other) if sweep]
    keys, metrics = options.by, options.metric
    if options.json and (options.format or options.table or options.out):
        raise ConfigError("compare: --json prints all numbers by itself; drop --format, --table and --out")
    outputs = options.format, options.table, options.out, options.json
    request = ComparisonRequest(sweeps, options.uri, keys, metrics, *outputs)
    compare(request, plain_console())
    return 0
