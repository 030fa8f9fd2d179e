"""What parts of the work take of all of it: processor time on the CPU, the device's own clock on CUDA."""

from math import inf
from time import thread_time
from typing import Any

import torch

ALL, MARKS, MOMENTS, TABLES, COPIES = PARTS = ("all", "marks", "moments", "tables", "copies")


class Meter:
    """Seconds spent in each of PARTS, of which the first holds the others, and the least that a part took at once.

    On CUDA a part is a pair of events, which nobody waits for before `read`.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.least = dict.fromkeys(PARTS, inf)
        self._cuda = device.type == "cuda"
        self._pairs: list[tuple[str, Any, Any]] = []

    def of(self, part: str) -> "Span":
        """Everything done inside belongs to the part."""
        return Span(self, part)

    def add(self, part: str, begun: Any, ended: Any) -> None:
        """Take up what was done between two times."""
        if self._cuda:
            self._pairs.append((part, begun, ended))
        else:
            self._add(part, ended - begun)

    def now(self) -> Any:
        """A time that `add` takes."""
        if not self._cuda:
            return thread_time()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _add(self, part: str, seconds: float) -> None:
        self.seconds[part] += seconds
        self.least[part] = min(self.least[part], seconds)

    def read(self) -> dict[str, float]:
        """The seconds so far, a copy; on CUDA this waits for the device."""
        for part, begun, ended in self._pairs:
            ended.synchronize()
            self._add(part, begun.elapsed_time(ended) / 1000)
        self._pairs.clear()
        return dict(self.seconds)


class Span:
    """A context whose time belongs to a part; a generator would cost small nets as much as a call of the device."""

    __slots__ = ("_begun", "_meter", "_part")

    def __init__(self, meter: Meter, part: str) -> None:
        self._meter, self._part = meter, part

    def __enter__(self) -> None:
        self._begun = self._meter.now()

    def __exit__(self, *failure: object) -> None:
        self._meter.add(self._part, self._begun, self._meter.now())
