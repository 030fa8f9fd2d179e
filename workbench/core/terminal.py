"""The console of every command: it shows foreign names as text, and stands any encoding and a closed pipe."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from workbench.core.plain_text import give_up_output, printable, spelled

PLAIN_WIDTH = 120


class SafeConsole(Console):
    """A console to which no text is an escape sequence or markup, and none cannot be encoded.

    Texts are cleaned before they are laid out, so that columns stay straight, and once more when they are drawn. Where
    the output is closed, what is printed goes nowhere, and the command goes on.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def clean(self, text: str) -> str:
        """The text as this output shows it."""
        return spelled(printable(text), self.encoding)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A string as rich text."""
        return super().render_str(self.clean(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is drawn."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(self.clean(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Nobody reads the output any more."""
        self.quiet = True
        give_up_output()


def plain_console() -> Console:
    """The console of the standard output. Tables keep their width where it is no terminal."""
    console = SafeConsole()
    return console if console.is_terminal else SafeConsole(width=PLAIN_WIDTH)
