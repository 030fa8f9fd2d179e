"""Progress of a sweep: a bar with the time left in a terminal, plain lines elsewhere."""

from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


class SweepProgress:
    """Counts epochs of all runs, of which there are `total`."""

    def __init__(self, total: int, console: Console) -> None:
        self.total = total
        self.done = 0
        self.console = console
        self._started = self._printed = monotonic()
        self._bar = None if not console.is_terminal else self._make_bar()

    def _make_bar(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs of runs"),
        )
        bar = Progress(
            *columns,
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._task = bar.add_task("training", total=self.total)
        return bar

    def __enter__(self) -> "SweepProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, epochs: int) -> None:
        """Count `epochs` more epochs of runs that are done, or will not be needed."""
        self.done = min(self.total, self.done + epochs)
        if self._bar:
            self._bar.update(self._task, completed=self.done)
        elif self.done and monotonic() - self._printed > SECONDS_BETWEEN_LINES:
            self._printed = monotonic()
            left = (self._printed - self._started) / self.done * (self.total - self.done)
            self.console.print(f"training: {self.done / self.total:.0%}, about {left:.0f} s left", highlight=False)
