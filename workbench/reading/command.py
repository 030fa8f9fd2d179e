"""What the commands that read runs back do with their options."""

import argparse

from workbench.commands import compare, plain_console
from workbench.tracking.store import find_store, run_link, ui_base


def run(options: argparse.Namespace) -> int:
    """Do what is asked; the exit code."""
    return {"compare": _compare, "show": _show, "verify": _verify}[options.command](options)


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


def _show(options: argparse.Namespace) -> int:
    from workbench.reading.show import show
    from workbench.tracking.single import find_run

    store = find_store(options.uri)
    kept = find_run(store, options.run)
    before = "" if store.is_server else "workbench ui serves "
    show(kept, before + run_link(ui_base(store), kept.experiment_id, kept.run.id), plain_console())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from workbench.reading.verify import verify
    from workbench.tracking.single import find_run

    store, console = find_store(options.uri), plain_console()
    kept = find_run(store, options.run)
    console.print(f"{kept.run.name} ({kept.run.id})", highlight=False, markup=False, soft_wrap=True)
    found = verify(store, kept)
    for line in found.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return int(not found.same)
