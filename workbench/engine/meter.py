"""Time spent in parts of the work: processor time on the CPU, CUDA events on a GPU."""

from math import inf
from time import thread_time
from typing import Any

import torch

ALL, MARKS, MOMENTS, TABLES, COPIES = PARTS = ("all", "marks", "moments", "tables", "copies")


class Meter:
    """Seconds spent in each of PARTS, the first of which includes the others, and the shortest span of each part.

    On CUDA a span is a pair of events, which are not waited for before `read`.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.least = dict.fromkeys(PARTS, inf)
        self._cuda = device.type == "cuda"
        self._pairs: list[tuple[str, Any, Any]] = []

    def of(self, part: str) -> "Span":
        """Make a context whose time counts to the part."""
        return Span(self, part)

    def add(self, part: str, begun: Any, ended: Any) -> None:
        """Add the span between two times of `now` to a part."""
        if self._cuda:
            self._pairs.append((part, begun, ended))
        else:
            self._add(part, ended - begun)

    def now(self) -> Any:
        """Return the current time, for `add`."""
        if not self._cuda:
            return thread_time()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _add(self, part: str, seconds: float) -> None:
        self.seconds[part] += seconds
        self.least[part] = min(self.least[part], seconds)

    def read(self) -> dict[str, float]:
        """Return a copy of the seconds so far; on CUDA this waits for the device."""
        for part, begun, ended in self._pairs:
            ended.synchronize()
            self._add(part, begun.elapsed_time(ended) / 1000)
        self._pairs.clear()
        return dict(self.seconds)


class Span:
    """A context whose time counts to a part; a class, as a generator's overhead would be noticeable in small nets."""

    __slots__ = ("_begun", "_meter", "_part")

    def __init__(self, meter: Meter, part: str) -> None:
        self._meter, self._part = meter, part

    def __enter__(self) -> None:
        self._begun = self._meter.now()

    def __exit__(self, *failure: object) -> None:
        self._meter.add(self._part, self._begun, self._meter.now())
