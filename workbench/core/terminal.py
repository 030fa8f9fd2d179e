"""The console of every command: it shows foreign names as plain text, in any encoding, and survives a closed pipe."""

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from workbench.core.plain_text import give_up_output, printable, spelled

PLAIN_WIDTH = 120
WORD = 12  # characters of a word that are not folded
BORDER = 3  # of a column: a line, and a blank on each side
GAP = 2  # where there are no lines
NUMBER = re.compile(r"\s*[-+−]?(\d|nan\b|inf\b)")


class SafeConsole(Console):
    """A console that prints no escape sequences or markup from texts, and encodes every text.

    Texts are cleaned before layout, so that columns stay aligned, and again when rendered. After the output is closed,
    printing does nothing and the command goes on.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def clean(self, text: str) -> str:
        """Escape control characters, and spell out signs that this output's encoding lacks."""
        return spelled(printable(text), self.encoding)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Convert a string to rich text, cleaned."""
        return super().render_str(self.clean(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments whose text is cleaned."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(self.clean(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Discard further output."""
        self.quiet = True
        give_up_output()


def plain_console() -> Console:
    """Make a console for the standard output; one that is no terminal gets PLAIN_WIDTH columns."""
    console = SafeConsole()
    return console if console.is_terminal else SafeConsole(width=PLAIN_WIDTH)


class FittingTable(Table):
    """A table that cuts no number: in a narrow terminal words are folded, and where that is not enough rows stacked."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """Render as a table where all numbers fit side by side, else each row as lines below its first cell."""
        widths = [column.width or _widest(column) for column in self.columns]
        room = options.max_width - (BORDER if self.box else GAP) * len(self.columns) - 1
        fitted = _shrunk(widths, [min(pair) for pair in zip(widths, map(_least, self.columns), strict=True)], room)
        if fitted is None:
            yield from self._stacked()
        elif fitted == widths:
            yield from super().__rich_console__(console, options)
        else:
            narrow = copy(self)
            narrow.columns = [
                replace(column, width=width, overflow="fold")
                for column, width in zip(self.columns, fitted, strict=True)
            ]
            yield from Table.__rich_console__(narrow, console, options)

    def _stacked(self) -> Iterator[RenderableType]:
        if self.title:
            yield Text(str(self.title), style="italic")
        for first, *others in zip(*(column.cells for column in self.columns), strict=True):
            yield ""
            yield first
            lines = Table.grid(padding=(0, 2))
            for column, cell in zip(self.columns[1:], others, strict=True):
                lines.add_row(column.header, cell)
            yield Padding(lines, (0, 0, 0, 2))
        if self.caption:
            yield Text(f"\n{self.caption}", style="dim italic")


def _lines(column: Column) -> list[str]:
    return [line for cell in (column.header, *column.cells) for line in str(cell).split("\n")]


def _widest(column: Column) -> int:
    return max(map(cell_len, _lines(column)))


def _least(column: Column) -> int:
    """Width that a column needs for its numbers, and for the beginnings of its words."""
    if any(NUMBER.match(str(cell)) for cell in column.cells):
        return _widest(column)
    words = [word for line in _lines(column) for word in line.split()]
    return max((len(word) if re.search(r"\d", word) else min(len(word), WORD) for word in words), default=1)


def _shrunk(widths: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Take from the widest columns what is too much; None where it is not to be had."""
    fitted = list(widths)
    while sum(fitted) > room:
        wide = [index for index, width in enumerate(fitted) if width > least[index]]
        if not wide:
            return None
        fitted[max(wide, key=fitted.__getitem__)] -= 1
    return fitted
