"""The commands ``workbench claims``, ``reproduce`` and ``new claim``."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.claims.catalog import catalog, choose
from workbench.claims.report import suffix
from workbench.claims.request import Request
from workbench.claims.stored_verdicts import last_verdicts
from workbench.claims.terminal_card import card, claims_table
from workbench.claims.verdict import Reproduction, corrected
from workbench.core.errors import ConfigError
from workbench.core.places import check_folder
from workbench.core.plain_text import say
from workbench.core.terminal import plain_console
from workbench.tracking.safe_names import segment
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    from workbench.claims.reproduce import Reproduced

FIGURES = Path("figures")
TEMPLATES = Path(__file__).parent / "template"


def claims_command(folder: str | None, uri: str | None) -> int:
    """Print all claims with their last verdicts."""
    last, doubts = last_verdicts(find_store(uri))
    rows = [(name, entry.claim, last.get(name)) for name, entry in catalog(_folder(folder)).items()]
    console = plain_console()
    console.print(claims_table(rows))
    for doubt in doubts:
        console.print(doubt, soft_wrap=True)
    return 0


def reproduce(
    *names: str,
    profile: str = "quick",
    claims: str | None = None,
    uri: str | None = None,
    report: str | None = None,
    again: bool = False,
    seed_offset: int = 0,
) -> list[Reproduction]:
    """Measure and judge claims as ``workbench reproduce`` does, print their cards, and return their records."""
    return _reproduce(Request(names, profile, _folder(claims), uri, again, seed_offset), report)


def reproduce_command(options: argparse.Namespace) -> int:
    """Exit code 1 where a claim could not be measured, or by gradients that disagree with autograd.

    A verdict, whatever it says, is a result.
    """
    names, folder = tuple(options.names), _folder(options.claims)
    request = Request(names, options.profile, folder, options.uri, options.again, options.seed_offset)
    failures: list[str] = []

    def failed(name: str, error: Exception) -> None:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise error
        failures.append(f"{name}: could not be measured: {type(error).__name__}: {error}")
        say(f"workbench: {failures[-1]}")

    records = _reproduce(request, options.report, failed)
    return int(bool(failures) or any(one.disagreements for one in records))


def _reproduce(
    request: Request, report: str | None, on_error: Callable[[str, Exception], None] | None = None
) -> list[Reproduction]:
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
        _show(one, console)
    records = [one.record for one in done]
    if len(records) > 1:
        records = corrected(records)
        known = catalog(request.folder)
        console.print(claims_table([(one.name, known[one.name].claim, one) for one in records]))
    if folder is not None and records:
        from workbench.claims.report import write_report

        page = write_report(folder, records, {one.record.name: one.figure for one in done})
        console.print(f"report: {page}", highlight=False, markup=False, soft_wrap=True)
    return records


def _show(one: "Reproduced", console: Console) -> None:
    """A verdict card, its figure in the folder ``figures``, and the address of its run."""
    folder = FIGURES / segment(one.record.name)
    folder.mkdir(parents=True, exist_ok=True)
    figure = folder / f"figure{suffix(one.figure)}"
    figure.write_bytes(one.figure)
    console.print(card(one.record))
    for line in one.record.disagreements:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    known = " (kept from before; --again measures it anew)" if one.kept else ""
    console.print(f"figure: {figure}{known}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"verdict's run: {one.link}\n", highlight=False, markup=False, soft_wrap=True)


def new_command(kind: str, name: str, folder: str) -> int:
    """Write the two files of a claim that works, to be changed."""
    if not name.isidentifier():
        raise ConfigError(f"new {kind}: NAME must be a Python identifier, got {name!r}; write for example my_claim")
    if name in (*catalog(), "all"):
        raise ConfigError(f"new {kind}: {name} is a name of the workbench's own; choose another name")
    place = Path(folder)
    files = {place / name / CODE: "measure.py.txt", place / name / EXPERIMENT: "experiment.yaml.txt"}
    for file in files:
        if file.exists():
            raise ConfigError(f"new {kind}: {file} must not exist; choose another name, or remove it")
    check_folder("new claim --claims", place / "experiment", f"write workbench new claim {name} --claims claims")
    for file, template in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        text = Template((TEMPLATES / template).read_text(encoding="utf-8"))
        file.write_text(text.substitute(name=name, folder=folder), encoding="utf-8")
        print(f"wrote {file}")
    print(f"run it: workbench reproduce {name} --claims {folder}")
    return 0


def _folder(path: str | None) -> Path | None:
    if path is None:
        return None
    folder = Path(os.path.realpath(path))  # resolve() itself raises for links in a circle
    if not folder.is_dir():
        raise ConfigError(f"--claims: must be a folder, got {path!r}; make one with: workbench new claim NAME")
    return folder
