"""``workbench claims``: the lecture's claims with their last verdicts."""

import argparse

from workbench.cli.options import add_claims

HELP = "the lecture's claims with their last verdicts"
add_arguments = add_claims


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    from workbench.claims.catalog import catalog, claims_folder
    from workbench.claims.stored_verdicts import last_verdicts
    from workbench.claims.terminal_card import claims_table
    from workbench.core.terminal import plain_console
    from workbench.tracking.store import find_store

    last, doubts = last_verdicts(find_store(options.uri))
    entries = catalog(claims_folder(options.claims))
    console = plain_console()
    console.print(claims_table([(name, entry.claim, last.get(name)) for name, entry in entries.items()]))
    for doubt in doubts:
        console.print(doubt, soft_wrap=True)
    return 0
