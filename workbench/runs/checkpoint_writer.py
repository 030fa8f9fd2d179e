"""Write the checkpoint of a pack: when it is due, where it lies, and what happens to one that cannot be resumed."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from safetensors import SafetensorError

from workbench.engine.checkpoint import Checkpoint, PackState, write
from workbench.engine.history import Record

SHARE = 0.02  # of a pack's time that its checkpoints may take
BYTES_PER_SECOND = 100e6  # what a disk is trusted with before the first write is measured
ASIDE = "damaged"  # the folder for files that cannot be resumed


def set_aside(file: Path, why: Exception) -> Path:
    """Move a checkpoint that cannot be resumed to the folder ASIDE, and warn; returns its new path."""
    aside = file.parent.parent / ASIDE / file.name
    with suppress(FileNotFoundError):  # another process was faster
        aside.parent.mkdir(exist_ok=True)
        file.rename(aside)
        logging.getLogger(__name__).warning("%s; it is kept as %s, and its pack trains from the start", why, aside)
    return aside


@dataclass
class CheckpointWriter:
    """Writes the checkpoint of one pack to `file`, every `seconds` of training, in at most SHARE of its time.

    With 0 seconds one is due after every record, at any cost. Training resumes from `found`, where there is one.
    Replicas in `silent` are trained because the others' numbers depend on them; their own runs are done. Where the
    disk refuses a checkpoint, a warning says so, and the pack trains on without.
    """

    file: Path
    seconds: float
    about: dict[str, Any] = field(default_factory=dict)
    found: Checkpoint | None = None
    silent: frozenset[int] = frozenset()
    recorded: int = 0
    count: int = 0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self._begun = self._saved = monotonic()
        self._last = 0.0
        self._refused = False
        self.recorded = self.found.snapshot.recorded if self.found else 0

    def is_due(self, size: int) -> bool:
        """Whether a checkpoint of `size` bytes should be written now."""
        if self.seconds == 0 or self._refused:
            return True
        now = monotonic()
        cost = self.spent + max(self._last, size / BYTES_PER_SECOND)
        return now - self._saved >= self.seconds and cost <= SHARE * (now - self._begun)

    def save(self, snapshot: PackState, records: Sequence[Record]) -> None:
        """Write the state after these records, unless the file holds a newer one."""
        if snapshot.recorded <= self.recorded or self._refused:
            return
        start = monotonic()
        try:
            write(self.file, snapshot, records[: snapshot.recorded], self.about)
        except (OSError, SafetensorError) as error:
            self._refused = True
            self.remove()  # rows that it does not hold are going to be sent
            logging.getLogger(__name__).warning(
                "no checkpoint in %s, so a killed pack starts anew: %s", self.file, error
            )
            return
        self._saved = monotonic()
        self._last = self._saved - start
        self.spent += self._last
        self.count += 1
        self.recorded = snapshot.recorded

    def remove(self) -> None:
        """Delete the checkpoint: its pack is done, or is not to be resumed."""
        for file in (self.file, self.file.with_suffix(".tmp")):
            with suppress(FileNotFoundError, NotADirectoryError):
                file.unlink()

    def refuse(self, why: Exception) -> None:
        """Set aside the checkpoint that was found: it cannot be resumed."""
        set_aside(self.file, why)
        self.found, self.recorded = None, 0

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the checkpoints written in this process: their number, and the seconds they took."""
        return {"checkpoint.count": str(self.count), "checkpoint.seconds": f"{self.spent:.3f}"}
