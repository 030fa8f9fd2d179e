"""What the commands that read runs back do with their options."""

import argparse

from workbench.commands import compare


def run(options: argparse.Namespace) -> int:
    """Do what is asked; the exit code."""
    return {"compare": _compare}[options.command](options)


def _compare(options: argparse.Namespace) -> int:
    compare(
        *(one for one in (options.sweep, options.other) if one),
        by=options.by,
        metrics=options.metric,
        kind=options.format,
        table=options.table,
        uri=options.uri,
        out=options.out,
    )
    return 0
