"""The console of every command: it shows foreign names as plain text, in any encoding, and survives a closed pipe."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from workbench.core.plain_text import give_up_output, printable, spelled

PLAIN_WIDTH = 120


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
