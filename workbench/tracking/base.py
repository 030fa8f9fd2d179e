"""The trainer's view of tracking: a run's description and outcome, sinks for its numbers, and plain events.

All that reaches a store passes through `Backend.write` as events, in the order in which they arise. Events are plain
data that may be written down and repeated: an event that a store has already changes nothing.

Metric names are ``phase/quantity`` or ``quantity/layer``: ``train/loss``, ``valid/accuracy``, ``grad_norm/l2``,
``dead_rate/l1``. Rates are fractions. Steps are optimizer steps.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Protocol

from workbench.core.errors import Terminated


class Outcome(Enum):
    """End of a run."""

    finished = "finished"
    diverged = "diverged"
    pruned = "pruned"  # a search gave it up at an epoch's end
    failed = "failed"
    interrupted = "interrupted"
    killed = "killed"


STATUS = {  # MLflow's word for each
    Outcome.finished: "FINISHED",
    Outcome.diverged: "FINISHED",
    Outcome.pruned: "FINISHED",
    Outcome.failed: "FAILED",
    Outcome.interrupted: "KILLED",
    Outcome.killed: "KILLED",
}


RUN, ARM, SWEEP, VERDICT = "run", "arm", "sweep", "verdict"  # the tag `kind`; only the first are trained
COLOR_TAG = "mlflow.runColor"
CONFIG = "config.yaml"  # in a run's files
VIEW_TAG = "view"  # of a sweep's own run
CERTIFICATE_TAGS = ("certificate", "certificate.where")  # what the spot check of a run's gradients says, and of what
CHECK_TAG = "certificate.check"  # the command that shows them by parameter
DISAGREES = "DISAGREES"


def disagreement_of(tags: Mapping[str, str]) -> str:
    """Disagreement of a run's gradients with autograd, from its tags; empty where there is none."""
    verdict, where = CERTIFICATE_TAGS
    return tags.get(where, "gradients") if tags.get(verdict) == DISAGREES else ""


def outcome_of(error: BaseException) -> Outcome:
    """Outcome of a run that this error ended."""
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
    """Description of a run before its first step. `note` is Markdown; a sweep's own run has no data set."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    note: str
    config: Mapping[str, object]
    dataset: DatasetInfo | None


@dataclass(frozen=True)
class Opened:
    """A run was begun; `run` is an id made here, 32 hexadecimal digits."""

    run: str
    info: RunInfo
    time_ms: int


@dataclass(frozen=True)
class Reopened:
    """An ended or abandoned run is resumed; `tags` name its new process."""

    run: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Rows:
    """Numbers of several runs at one step: name -> one per run, where one that is not finite is no row.

    `time_ms` is the wall clock since 1970.
    """

    runs: tuple[str, ...]
    step: int
    time_ms: int
    metrics: Mapping[str, Sequence[float]]

    def of(self, position: int) -> dict[str, float]:
        """Metrics of the run at `position`, those that are finite."""
        return {name: row[position] for name, row in self.metrics.items() if isfinite(row[position])}

    @property
    def size(self) -> int:
        """Largest number of rows that these are."""
        return len(self.runs) * len(self.metrics)


@dataclass(frozen=True)
class Tagged:
    """Tags of a run were set."""

    run: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class File:
    """A file is stored with a run, replacing one of the same name."""

    run: str
    name: str
    content: bytes


@dataclass(frozen=True)
class Ended:
    """A run ended."""

    run: str
    outcome: Outcome
    tags: Mapping[str, str]
    time_ms: int


Event = Opened | Reopened | Rows | Tagged | File | Ended


@dataclass(frozen=True)
class ClaimedKey:
    """A run that holds its key: a living process trains it, which its tags `owner` name, or it is done."""

    run: str
    key: str
    owner: Mapping[str, str]
    is_done: bool
    is_sure: bool = True  # else it may still be withdrawn


class Backend(Protocol):
    """Writes events to a store; `at_once` runs are begun by one call."""

    at_once: int

    def write(self, events: Sequence[Event]) -> None:
        """Write events in their order; raises TrackingError where one cannot be stored."""

    def begin(self, events: Sequence[Event], known: Collection[str]) -> bool:
        """Begin or resume runs, unless runs that are not `known` hold their keys.

        Returns whether all of the events are written; otherwise the runs are begun, and `write` does the rest. Raises
        KeyTaken with none of them begun, and TrackingError as `write`.
        """

    def held(self, keys: Collection[str] | None) -> list[ClaimedKey]:
        """Runs of the experiment that hold one of these keys, or any."""

    def identity(self, run: str) -> str | None:
        """The store's id of a run that the last call began; None where it was not begun."""

    def members(self, tag: str, value: str) -> dict[str, str]:
        """Runs of the experiment with this tag: id -> the tag `key`, empty where there is none."""

    def params(self, tag: str, value: str) -> Sequence[Mapping[str, str]]:
        """Params of the same runs, a dict for each; those that are equal in all may be left out."""


class Sink(Protocol):
    """Stores runs. Every method raises TrackingError where data given to it, now or before, cannot be stored."""

    def open(self, runs: Sequence[RunInfo], known: Collection[str] | None = None) -> list[str]:
        """Begin runs, which are stored when this returns; returns their ids in the same order.

        Unless `known` is None, raises KeyTaken, with none of them begun, where runs that are not `known` hold their
        keys.
        """

    def open_again(self, runs: Mapping[str, Mapping[str, str]], known: Collection[str] | None = None) -> None:
        """Resume ended or abandoned runs, each with tags that name its new process; `known` as for `open`."""

    def attach(self, run: str, name: str, content: bytes) -> None:
        """Store a file with a run, replacing one of the same name."""

    def send(self, rows: Rows) -> None:
        """Store numbers of several runs at one step."""

    def keep_history(self, run: str, columns: Mapping[str, Sequence[float | None]]) -> None:
        """Store a run's full history with it: name -> one value per record, ``step``, ``epoch``, ``time_ms`` first."""

    def end(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        """End a run, after everything written for it before."""

    def flush(self) -> None:
        """Wait until everything so far is stored."""

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        """End a run; everything written for it is stored when this returns."""


@dataclass
class MemoryRun:
    """A run in a `MemorySink`: `rows` are (step, time_ms, metrics), `files` contents by name."""

    info: RunInfo
    rows: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)
    outcome: Outcome | None = None
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


class MemorySink:
    """Holds runs in this process, for tests and for use from Python."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}

    def open(self, runs: Sequence[RunInfo], known: Collection[str] | None = None) -> list[str]:
        ids = [f"run-{len(self.runs) + number}" for number in range(len(runs))]
        self.runs |= {run: MemoryRun(info) for run, info in zip(ids, runs, strict=True)}
        return ids

    def open_again(self, runs: Mapping[str, Mapping[str, str]], known: Collection[str] | None = None) -> None:
        for run, tags in runs.items():
            self.runs[run].outcome = None
            self.runs[run].tags |= dict(tags)

    def attach(self, run: str, name: str, content: bytes) -> None:
        self.runs[run].files[name] = content

    def send(self, rows: Rows) -> None:
        for position, run in enumerate(rows.runs):
            if metrics := rows.of(position):
                self.runs[run].rows.append((rows.step, rows.time_ms, metrics))

    def keep_history(self, run: str, columns: Mapping[str, Sequence[float | None]]) -> None:
        return  # its rows are here

    def end(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        self.runs[run].outcome = outcome
        self.runs[run].tags |= dict(tags or {})

    def flush(self) -> None:
        return

    def close(self, run: str, outcome: Outcome, tags: Mapping[str, str] | None = None) -> None:
        self.end(run, outcome, tags)
        self.flush()
