"""Writer of a pack's runs: order and time of everything sent to the store.

A store never deletes a row, and shows both of two rows for one step. So a pack with checkpoints sends a row only once a
checkpoint that holds it is on the disk. Whenever the process is killed, the same command finds, of this pack,

| killed | left behind | the same command |
|---|---|---|
| before its runs are begun | nothing | trains it |
| before the first checkpoint | runs without rows | ends them as killed, superseded by runs of its own |
| in training | rows up to a checkpoint, or fewer | sends all rows of the checkpoint again with their first times, which a store keeps once; makes those after it, which were never sent |
| before its runs are ended | the same, from the last checkpoint, which is always written first | the same |
| between the ends of two runs | some runs done | goes on with the whole pack, so that every number stays the same, and writes to the others only |
| before the checkpoint is removed | runs that are all done | removes it |

Ctrl-C and SIGTERM leave what a kill leaves, with the epoch before as the checkpoint and the runs' true status. A pack
that fails by itself leaves no checkpoint: what failed may be mended, and then trains from the start.
"""  # noqa: E501

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite

from workbench.core.errors import KeyTaken, TrackingError
from workbench.engine.checkpoint import PackState
from workbench.engine.history import Record
from workbench.runs.checkpoint_writer import CheckpointWriter
from workbench.tracking.base import Outcome, Rows, RunInfo, Sink
from workbench.tracking.thinning import Thinning

WEIGHTS = "model.safetensors"
DIGEST = "weights.digest"  # a tag: equal for repetitions that end with the same bits


@dataclass(frozen=True)
class Ending:
    """A replica that left the pack when there were `recorded` records."""

    recorded: int
    replica: int
    outcome: str
    tags: Mapping[str, str]


class RunWriter:
    """Sends the `records` of a pack, of which there may be `total`, and the ends of its runs to a sink.

    `weights` gives the content of WEIGHTS for a replica that has ended (None: not stored), `digest` that of DIGEST, and
    `files` other contents by name. `closed` holds the outcomes of the runs that have ended and are stored, by replica.
    """

    def __init__(self, sink: Sink, records: Sequence[Record], checkpoints: CheckpointWriter | None, total: int) -> None:
        self.sink, self.records, self.checkpoints = sink, records, checkpoints
        self.thinning = Thinning(total)
        self.runs: list[str] = []
        self.weights: Callable[[int], bytes] | None = None
        self.digest: Callable[[int], str] | None = None
        self.files: Callable[[int], Mapping[str, bytes]] = lambda replica: {}
        self.closed: dict[int, Outcome] = {}
        self._endings: list[Ending] = []
        self._ended: dict[int, Outcome] = {}  # ends that were sent, and may not be stored yet
        self._sent = 0
        self._resumable = False  # later, from the checkpoint

    def begin(self, infos: Sequence[RunInfo], known: Collection[str] | None = None) -> None:
        """Begin the pack's runs, or resume those of its checkpoint; `known` is `Sink.open`'s.

        Raises KeyTaken where another command has one of them.
        """
        checkpoint = self.checkpoints.found if self.checkpoints else None
        if checkpoint:
            self.runs = list(checkpoint.about["runs"])
            self._endings = [Ending(**ending) for ending in checkpoint.about["endings"]]
            try:
                self.sink.open_again({self.runs[replica]: infos[replica].tags for replica in self.open}, known)
            except KeyTaken:
                self.runs = []
                raise
        else:
            silent = self.checkpoints.silent if self.checkpoints else frozenset()
            begun = iter(self.sink.open([info for replica, info in enumerate(infos) if replica not in silent], known))
            self.runs = ["" if replica in silent else next(begun) for replica in range(len(infos))]
        if self.checkpoints:
            self.checkpoints.about["runs"] = self.runs

    @property
    def open(self) -> list[int]:
        """Replicas whose runs have begun and not ended."""
        silent = self.checkpoints.silent if self.checkpoints else frozenset()
        ended_or_silent = silent | self.closed.keys() | self._ended.keys()
        return [replica for replica in range(len(self.runs)) if replica not in ended_or_silent]

    def ends(self, replica: int, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Note that a replica leaves the pack with the newest record."""
        self._endings.append(Ending(len(self.records), replica, outcome.value, tags))

    def after_record(self, snapshot: Callable[[], PackState]) -> None:
        """Send what may be sent after a record, once a due checkpoint is written."""
        if self.checkpoints is None:
            self.send(len(self.records))
        else:
            now = snapshot()
            if self.checkpoints.is_due(now.size):
                self.checkpoint(now)

    def checkpoint(self, snapshot: PackState) -> None:
        """Write a checkpoint of this state, then send what it holds."""
        if self.checkpoints:
            endings = [asdict(ending) for ending in self._endings if ending.recorded <= snapshot.recorded]
            self.checkpoints.about["endings"] = endings
            self.checkpoints.save(snapshot, self.records)
        self.send(snapshot.recorded)

    def send(self, recorded: int) -> None:
        """Send the first `recorded` records, and the ends that came with each."""
        for record in self.records[self._sent : recorded]:
            for rows in self.thinning.add(self._rows(record)):
                self.sink.send(rows)
            self._sent += 1
            for ending in self._endings:
                if ending.recorded == self._sent:
                    self.close(ending.replica, Outcome(ending.outcome), ending.tags)

    def add(self, replicas: Sequence[int], metrics: Mapping[str, float]) -> None:
        """Send numbers that these replicas share, beside the last record; a repetition sends the same row again."""
        last = self.records[-1]
        runs = tuple(self.runs[replica] for replica in replicas if replica in self.open)
        rows = {name: [value] * len(runs) for name, value in metrics.items()}
        self.sink.send(Rows(runs, last.step, last.time_ms, rows))

    def _rows(self, record: Record) -> Rows:
        """Rows of a record for the runs that are open."""
        still_open = frozenset(self.open)
        columns_open = [column for column, replica in enumerate(record.replicas) if replica in still_open]
        metrics = {name: [values[column] for column in columns_open] for name, values in record.metrics.items()}
        runs = tuple(self.runs[record.replicas[column]] for column in columns_open)
        return Rows(runs, record.step, record.time_ms, metrics)

    def close(self, replica: int, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """End a replica's run, unless it has ended; the sink stores the end with the next `flush`."""
        if replica in self._ended or replica not in self.open:
            return
        run = self.runs[replica]
        if outcome in (Outcome.finished, Outcome.diverged, Outcome.pruned):
            if self.weights:
                self.sink.attach(run, WEIGHTS, self.weights(replica))
            for name, content in self.files(replica).items():
                self.sink.attach(run, name, content)
            if self.digest:
                tags = {**tags, DIGEST: self.digest(replica)}
        if not self._resumable:
            for rows in self.thinning.rest([run]):
                self.sink.send(rows)
        self.sink.keep_history(run, columns(self.records[: self._sent], replica))
        self.sink.end(run, outcome, tags)
        self._ended[replica] = outcome

    def flush(self) -> None:
        """Wait until everything sent is stored. On TrackingError the ends not known to be stored are open again."""
        try:
            self.sink.flush()
        except TrackingError:
            self._ended.clear()
            raise
        finally:  # an interruption is raised once the flush is done
            self.closed |= self._ended
            self._ended.clear()

    def give_up(self, mark: PackState, error: BaseException) -> None:
        """Send what may be sent of a pack that an error ends.

        An interruption from outside leaves a checkpoint of the state `mark`; the pack's own failure leaves none. Where
        the store failed, the last checkpoint stays, and nothing more is sent.
        """
        self._resumable = self.checkpoints is not None and (
            isinstance(error, TrackingError) or not isinstance(error, Exception)
        )
        if self.checkpoints is None or isinstance(error, TrackingError):
            return
        if isinstance(error, Exception):
            self.checkpoints.remove()
            self.send(len(self.records))
        elif mark.recorded > self.checkpoints.recorded:
            self.checkpoint(mark)


def columns(records: Sequence[Record], replica: int) -> dict[str, list[float | None]]:
    """Step, epoch, time_ms and metrics of one replica, by name; None where a record lacks a metric."""
    members = [(record, column) for record in records if (column := _column_of(record.replicas, replica)) is not None]
    names = dict.fromkeys(name for record, _ in members for name in record.metrics)
    return {
        "step": [record.step for record, _ in members],
        "epoch": [record.epoch for record, _ in members],
        "time_ms": [record.time_ms for record, _ in members],
        **{
            name: [
                value if (row := record.metrics.get(name)) and isfinite(value := row[column]) else None
                for record, column in members
            ]
            for name in names
        },
    }


def _column_of(replicas: Sequence[int], replica: int) -> int | None:
    """Index of a replica among those of a record, which are sorted; None where it is not among them."""
    index = bisect_left(replicas, replica)
    return index if index < len(replicas) and replicas[index] == replica else None
