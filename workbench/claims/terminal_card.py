"""The verdict of a claim as a card for a terminal, and the list of all claims.

Everything is a `rich.text.Text`, so that no sentence of a claim is read as markup. Colors repeat what symbols and words
say already.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import shorten

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from workbench.claims import wording
from workbench.claims.claim import Claim
from workbench.claims.rules import Label
from workbench.claims.verdict import CellVerdict, PartVerdict, Reproduction
from workbench.core.terminal import FittingTable

WIDTH = 100
DISAGREE = "DISAGREE with autograd in runs of this verdict"
STYLES = {
    Label.supported: "green",
    Label.refuted: "red",
    Label.mixed: "magenta",
    Label.between: "cyan",
    Label.never_trains: "yellow",
    Label.inconclusive: "yellow",
    Label.out_of_scope: "dim",
}
SHOWN = 24  # cells of a part that are listed one by one; the report has all of them
STATEMENT = 72  # characters of a statement in the list


def card(one: Reproduction, figure: str = "") -> RenderableType:
    """A panel of one screen, at most 100 columns wide: the answer, a line for each part, and where to read more.

    `figure` is where the figure was saved.
    """
    sentence = Text(f"The lecture: {one.statement}")
    lines = {
        "gradients": DISAGREE if one.disagreements else "",
        "figure": figure,
        "cost": wording.cost(one),
        "repeat": one.command,
        "more": "with --details it prints all cells, sources and notes",
    }
    return _panel([_answer(one), sentence, _short_parts(one.parts), _named(lines)])


def detailed_card(one: Reproduction, figure: str = "") -> RenderableType:
    """Everything that the record holds: all cells, their populations and accuracies, sources, pilots and notes."""
    blocks: list[RenderableType] = [_head(one), _parts(one.parts)]
    blocks += [_map(part) for part in one.parts if len(part.cells) > 1]
    blocks += [Group(*lines) for lines in (list(_contradictions(one)), list(_sources(one))) if lines]
    return _panel([*blocks, _foot(one, figure)])


def _panel(blocks: Sequence[RenderableType]) -> Panel:
    spaced: list[RenderableType] = [item for block in blocks for item in (block, Text())]
    return Panel(Group(*spaced[:-1]), width=WIDTH)


def claims_table(rows: Sequence[tuple[str, Claim, Reproduction | None]]) -> Table:
    """A row per claim with its last verdict; a claim that was never reproduced has dashes."""
    table = FittingTable(title="Claims of the lecture", box=box.SIMPLE_HEAD, leading=1, show_edge=False)
    table.add_column("claim", overflow="fold")
    table.add_column("last verdict", width=15)
    table.add_column("effect, interval", overflow="fold", min_width=16)
    table.add_column("date, cost", overflow="fold", min_width=10)
    for name, claim, last in rows:
        more = f" (+{len(claim.slides) - 1})" if len(claim.slides) > 1 else ""
        statement = shorten(claim.statement, STATEMENT, placeholder=" …")
        table.add_row(
            Text.assemble((name, "bold"), f"\n{statement}\n", (f"Slide: {claim.slides[0]}{more}", "dim")),
            *(_last(last) if last else [Text("-")] * 3),
        )
    return table


def _last(one: Reproduction) -> tuple[Text, Text, Text]:
    effect = "\n".join(wording.brief(one))
    spent = "\n".join([one.date[:10], *wording.cost(one).split(", ")])
    return _label(one.label, wording.verdict_words(one)), Text(effect), Text(spent)


def _label(label: Label, text: str = "") -> Text:
    return Text(f"{wording.SYMBOLS[label]} {text or label}", style=STYLES[label])


def _answer(one: Reproduction) -> Group:
    verdict = _label(one.label, wording.verdict_words(one).upper())
    verdict.stylize("bold")
    return Group(Text(one.title, style="bold"), verdict, Text(wording.plain(one)))


def _head(one: Reproduction) -> Group:
    slides = f"{'Slide' if len(one.slides) == 1 else 'Slides'}: {'; '.join(one.slides)}"
    lecture = Text(f"The lecture: {one.statement}")
    footnote = [Text(text, style="dim") for text in [wording.footnote(one)] if text]
    return Group(_answer(one), *footnote, Text(), lecture, Text(slides))


def _short_parts(parts: Iterable[PartVerdict]) -> Table:
    """A row per part; of several cells, where the part's label holds, and the numbers of the one that stands for it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
    table.add_column("part", ratio=4, overflow="fold")
    table.add_column("verdict", ratio=3, overflow="fold")
    table.add_column("found", ratio=5, overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for part in parts:
        judgment = part.deciding.judgment
        label = _label(part.label, f"{part.label} {wording.where_it_holds(part)}".rstrip())
        beside = f" at {part.deciding.where}" if part.deciding.where else ""
        found = f"{wording.size(judgment)} {wording.interval(judgment)}".rstrip() + beside
        name = Text(part.short) if part.role == "primary" else Text(f"{part.short} ({wording.ROLES[part.role]})")
        table.add_row(name, label, Text(found), "-" if judgment.n is None else f"{judgment.n:,}")
    return table


def _parts(parts: Iterable[PartVerdict]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
    table.add_column("part", ratio=4, overflow="fold")
    table.add_column("role", width=13)
    table.add_column("verdict", width=20)
    table.add_column("found", ratio=5, overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for part in parts:
        cell = part.deciding
        judgment = cell.judgment
        words = judgment.found, wording.population(judgment), cell.where, wording.accuracies(judgment)
        found = "\n".join(filter(None, words))
        count = "-" if cell.judgment.n is None else f"{cell.judgment.n:,}"
        table.add_row(Text(part.says), wording.ROLES[part.role], _label(part.label), Text(found), count)
    return table


def _map(part: PartVerdict) -> Group:
    head = Text(f"Map of {part.name} ({part.measure}): {wording.tally(c.judgment.label for c in part.cells)}")
    grid = wording.cell_map(part)
    if grid is None:
        return Group(head, _rows(part), Text(wording.legend(part), style="dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(Text(" \\ ".join(filter(None, (grid.down, grid.across)))))
    for column in grid.columns:
        table.add_column(Text(column), justify="center")
    for line, cells in grid.rows:
        table.add_row(Text(line), *(_mark(cell, part) if cell else Text() for cell in cells))
    return Group(head, table, Text(wording.legend(part), style="dim"))


def _mark(cell: CellVerdict, part: PartVerdict) -> Text:
    return Text(wording.mark(cell, part), style=STYLES[cell.judgment.label])


def _rows(part: PartVerdict) -> Group:
    """The cells one by one; of many, those with the rarest verdicts."""
    often = Counter(cell.judgment.label for cell in part.cells)
    listed = sorted(part.cells, key=lambda cell: often[cell.judgment.label]) if len(part.cells) > SHOWN else part.cells
    table = Table.grid(padding=(0, 2))
    for cell in listed[:SHOWN]:
        table.add_row(_mark(cell, part), Text(cell.where), Text(cell.judgment.found))
    left = len(listed) - SHOWN
    return Group(table, *([Text(f"… and {left} more in the report")] if left > 0 else []))


def _contradictions(one: Reproduction) -> Iterator[Text]:
    for part in one.contradictions:
        yield Text.assemble(("The lecture contradicts itself: ", "bold"), part.says)
        for quote in part.quotes:
            yield Text(f"    “{quote}”", style="italic")


def _sources(one: Reproduction) -> Iterator[Text]:
    for anchor in one.anchors:
        yield Text.assemble((anchor.source, "italic"), f": {anchor.says} ({wording.EVIDENCE[anchor.evidence]})")
    for pilot in one.pilots:
        yield Text.assemble(("Before it was registered: ", "bold"), pilot.sentence)
    for note in one.notes:
        yield Text(f"Note: {note}")


def _foot(one: Reproduction, figure: str) -> Table:
    sweeps = [f"{sweep.id} {sweep.link}" for sweep in one.sweeps]
    lines = {
        "gradients": DISAGREE if one.disagreements else "",
        "registered": f"version {one.version}, {one.registration or one.rule_hash}, before its first run",
        "profile": wording.settings(one),
        "tuned": ", ".join(f"{arm}: {choice}" for arm, choice in one.tuning.items()),
        "date": one.date,
        "cost": wording.cost(one),
        "figure": figure,
        "sweeps": "\n".join(sweeps),
        "repeat": one.command,
    }
    return _named(lines)


def _named(lines: Mapping[str, str]) -> Table:
    """A line for each text that is not empty, with its name before it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines.items():
        if text:
            table.add_row(Text(name, style="dim"), Text(text))
    return table
