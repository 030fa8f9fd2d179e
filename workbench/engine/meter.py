"""What parts of the work take of all of it: processor time on the CPU, the device's own clock on CUDA."""

from collections.abc import Iterator
from contextlib import contextmanager
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

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Everything done inside belongs to the part."""
        begun = self._now()
        try:
            yield
        finally:
            ended = self._now()
            if self._cuda:
                self._pairs.append((part, begun, ended))
            else:
                self._add(part, ended - begun)

    def _now(self) -> Any:
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
