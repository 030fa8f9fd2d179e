"""Claims measured, judged and shown, one after the other, with a report of all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.claims.catalog import catalog, choose, claims_folder
from workbench.claims.claim_figure import suffix
from workbench.claims.map_rules import MAP
from workbench.claims.request import Request
from workbench.claims.terminal_card import card, claims_table, detailed_card
from workbench.claims.verdict import Reproduction
from workbench.core.errors import ConfigError
from workbench.core.places import check_folder
from workbench.core.terminal import plain_console
from workbench.tracking.safe_names import segment

if TYPE_CHECKING:
    from workbench.claims.reproduce import Reproduced

FIGURES = Path("figures")


def reproduce(
    *names: str,
    profile: str = "quick",
    claims: str | None = None,
    uri: str | None = None,
    report: str | None = None,
    again: bool = False,
    seed_offset: int = 0,
    sequential: bool = False,
    pictures: str | None = None,
    processes: int = 1,
) -> list[Reproduction]:
    """Measure and judge claims as ``workbench reproduce`` does, print their cards, and return their records."""
    folder = None if pictures is None else Path(pictures)
    request = Request(names, profile, claims_folder(claims), uri, again, seed_offset, sequential, folder, processes)
    return reproduce_and_show(request, report)


def reproduce_and_show(
    request: Request,
    report: str | None,
    on_error: Callable[[str, Exception], None] | None = None,
    details: bool = False,
) -> list[Reproduction]:
    """Print the card of each claim, write its figure and, where asked, the report; returns the records."""
    from workbench.claims.reproduce import reproduce as measured

    choose(list(request.names), request.folder)
    folder = None if report is None else Path(report)
    if folder is not None:  # before minutes of measuring
        check_folder("reproduce --report", folder, "write for example --report out")
    check_folder("reproduce", FIGURES, "give the command in a folder of your own")
    console = plain_console()
    done: list[Reproduced] = []
    for one in measured(request, console, on_error):
        done.append(one)
        _show(one, console, details)
    order = [entry.name for entry in choose(list(request.names), request.folder)]
    records = sorted((one.record for one in done), key=lambda record: order.index(record.name))
    if len(records) > 1:
        known = catalog(request.folder)
        console.print(claims_table([(one.name, known[one.name].claim, one) for one in records]))
    if folder is not None and records:
        _write(folder, [one for record in records for one in done if one.record is record], console)
    return records


def report_newest(report: str, profile: str | None, folder: Path | None, *uris: str | None) -> None:
    """Write the report of each claim's newest verdict by its present rules in these stores; say which have none.

    Raises ConfigError where no claim has one.
    """
    from workbench.claims.reproduce import newest_verdicts
    from workbench.tracking.store import find_store

    check_folder("claims --report", Path(report), "write for example --report out")
    entries, stores = list(catalog(folder).values()), [find_store(uri) for uri in uris]
    done = list(newest_verdicts(entries, profile, stores))
    command = f"workbench reproduce {{}} --profile {profile or 'quick'}"
    if not done:
        of_profile = f" of the profile {profile}" if profile else ""
        shown = " or ".join(store.shown for store in stores)
        raise ConfigError(
            f"claims --report: {shown} must hold verdicts by the present rules{of_profile}, got none; "
            f"measure them first: {command.format('all')}"
        )
    console = plain_console()
    missing = {entry.name for entry in entries} - {one.record.name for one in done}
    for name in sorted(missing):
        said = f"{name}: no verdict by its present rules; measure it: {command.format(name)}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    _write(Path(report), done, console)


def _write(folder: Path, done: Sequence["Reproduced"], console: Console) -> None:
    """Write the report of these verdicts in their order, and say where it is."""
    from workbench.claims.report import write_report

    figures = {one.record.name: one.figure for one in done}
    curves = {one.record.name: one.curve for one in done if one.curve is not None}
    page = write_report(folder, [one.record for one in done], figures, curves)
    console.print(f"report: {page}", highlight=False, markup=False, soft_wrap=True)


def _show(one: "Reproduced", console: Console, details: bool) -> None:
    """A verdict card, its figure in the folder ``figures``, and the address of its run."""
    folder = FIGURES / segment(one.record.name)
    folder.mkdir(parents=True, exist_ok=True)
    figure = folder / f"figure{suffix(one.figure.wide)}"
    figure.write_bytes(one.figure.wide)
    if one.curve is not None:
        (folder / f"{MAP}{suffix(one.curve.wide)}").write_bytes(one.curve.wide)
    console.print((detailed_card if details else card)(one.record))
    for line in one.record.disagreements:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    known = " (kept from before; --again measures it anew)" if one.kept else ""
    console.print(f"figure: {figure}{known}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"verdict's run: {one.link}\n", highlight=False, markup=False, soft_wrap=True)
