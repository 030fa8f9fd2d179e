"""What the trainer knows of tracking: a run's description, how it ended, and a sink for its numbers.

Metric names are ``phase/quantity`` or ``quantity/layer``: ``train/loss``, ``valid/accuracy``, ``grad_norm/l2``,
``dead_rate/l1``. Rates are fractions. Steps are optimizer steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from workbench.errors import Terminated


class Outcome(Enum):
    """How a run ended."""

    finished = "finished"
    diverged = "diverged"
    pruned = "pruned"  # a search gave it up at an epoch's end
    failed = "failed"
    interrupted = "interrupted"
    killed = "killed"


def outcome_of(error: BaseException) -> Outcome:
    """How a run ended that this error ended."""
    ends = {KeyboardInterrupt: Outcome.interrupted, Terminated: Outcome.killed}
    return ends.get(type(error), Outcome.failed)


@dataclass(frozen=True)
class DatasetInfo:
    """The data set a run trained on; `digest` identifies its content."""

    name: str
    digest: str
    examples: int
    features: int


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run before its first step. `note` is Markdown; a sweep's own run has no data set."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    note: str
    config: Mapping[str, object]
    dataset: DatasetInfo | None


class Sink(Protocol):
    """Keeps runs. Every method raises TrackingError where it cannot keep what it is given."""

    def open(self, runs: Sequence[RunInfo]) -> list[str]:
        """Begin runs; their ids in the same order."""

    def open_again(self, run: str, tags: Mapping[str, str]) -> None:
        """Go on with a run that was ended or left; `tags` say who does."""

    def attach(self, run: str, name: str, content: bytes) -> None:
        """Keep a file with a run, in the place of one of the same name."""

    def write(self, run: str, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        """Keep finite numbers of one run at one step; `time_ms` is the wall clock since 1970."""

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        """End a run; everything written for it is kept when this returns."""


@dataclass
class KeptRun:
    """A run in a `MemorySink`: `rows` are (step, time_ms, metrics), `files` contents by name."""

    info: RunInfo
    rows: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)
    outcome: Outcome | None = None
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


class MemorySink:
    """Keeps runs in this process, for tests and for use from Python."""

    def __init__(self) -> None:
        self.runs: dict[str, KeptRun] = {}

    def open(self, runs: Sequence[RunInfo]) -> list[str]:
        ids = [f"run-{len(self.runs) + number}" for number in range(len(runs))]
        self.runs |= {run: KeptRun(info) for run, info in zip(ids, runs, strict=True)}
        return ids

    def open_again(self, run: str, tags: Mapping[str, str]) -> None:
        self.runs[run].outcome = None
        self.runs[run].tags |= dict(tags)

    def attach(self, run: str, name: str, content: bytes) -> None:
        self.runs[run].files[name] = content

    def write(self, run: str, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        self.runs[run].rows.append((step, time_ms, dict(metrics)))

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        self.runs[run].outcome = outcome
        self.runs[run].tags |= dict(tags or {})
