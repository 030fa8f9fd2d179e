"""Claims measured, judged and shown, one after the other, with a report of all."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.claims.catalog import catalog, choose, claims_folder
from workbench.claims.claim_figure import suffix
from workbench.claims.map_rules import MAP
from workbench.claims.request import Request
from workbench.claims.terminal_card import card, claims_table, detailed_card
from workbench.claims.verdict import Reproduction
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
        from workbench.claims.report import write_report

        curves = {one.record.name: one.curve for one in done if one.curve is not None}
        page = write_report(folder, records, {one.record.name: one.figure for one in done}, curves)
        console.print(f"report: {page}", highlight=False, markup=False, soft_wrap=True)
    return records


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
