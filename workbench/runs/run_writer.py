"""What a pack has to say to its store, in order, and when it may be said.

A store never forgets a row, and shows both of two rows for one step. So with a keeper nothing leaves before a
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
DIGEST = "weights.digest"  # a tag: by it a repetition is known to end with the same bits


@dataclass(frozen=True)
class Ending:
    """A replica that left the pack when there were `recorded` records."""

    recorded: int
    replica: int
    outcome: str
    tags: Mapping[str, str]


class RunWriter:
    """Sends the `records`, of which there may be `total`, and the ends of a pack's runs to a sink.

    `weights` gives the content of WEIGHTS for a replica that has ended, where it is to be kept, `digest` that of
    DIGEST, and `files` other contents by name. `closed` holds the runs that have ended and are kept, by replica.
    """

    def __init__(self, sink: Sink, records: Sequence[Record], keeper: CheckpointWriter | None, total: int) -> None:
        self.sink, self.records, self.keeper = sink, records, keeper
        self.thinning = Thinning(total)
        self.runs: list[str] = []
        self.weights: Callable[[int], bytes] | None = None
        self.digest: Callable[[int], str] | None = None
        self.files: Callable[[int], Mapping[str, bytes]] = lambda replica: {}
        self.closed: dict[int, Outcome] = {}
        self._endings: list[Ending] = []
        self._ended: dict[int, Outcome] = {}  # what the sink has of ends that it may not have kept yet
        self._sent = 0
        self._goes_on = False  # later, from a checkpoint

    def begin(self, infos: Sequence[RunInfo], known: Collection[str] | None = None) -> None:
        """Begin the pack's runs, or go on with those of the checkpoint that was found; `known` is `Sink.open`'s."""
        found = self.keeper.found if self.keeper else None
        if found:
            self.runs = list(found.about["runs"])
            self._endings = [Ending(**ending) for ending in found.about["endings"]]
            try:
                self.sink.open_again({self.runs[replica]: infos[replica].tags for replica in self.open}, known)
            except KeyTaken:
                self.runs = []
                raise
        else:
            silent = self.keeper.silent if self.keeper else frozenset()
            begun = iter(self.sink.open([info for replica, info in enumerate(infos) if replica not in silent], known))
            self.runs = ["" if replica in silent else next(begun) for replica in range(len(infos))]
        if self.keeper:
            self.keeper.about["runs"] = self.runs

    @property
    def open(self) -> list[int]:
        """The replicas whose runs are begun and not ended."""
        silent = self.keeper.silent if self.keeper else frozenset()
        others = silent | self.closed.keys() | self._ended.keys()
        return [replica for replica in range(len(self.runs)) if replica not in others]

    def ends(self, replica: int, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """A replica leaves the pack with the newest record."""
        self._endings.append(Ending(len(self.records), replica, outcome.value, tags))

    def after_record(self, snapshot: Callable[[], PackState]) -> None:
        """Send what may be sent after a record, and before that write a checkpoint if one is due."""
        if self.keeper is None:
            self.send(len(self.records))
        else:
            now = snapshot()
            if self.keeper.is_due(now.size):
                self.keep(now)

    def keep(self, snapshot: PackState) -> None:
        """Write the checkpoint of a moment, then send what it holds."""
        if self.keeper:
            known = [asdict(ending) for ending in self._endings if ending.recorded <= snapshot.recorded]
            self.keeper.about["endings"] = known
            self.keeper.save(snapshot, self.records)
        self.send(snapshot.recorded)

    def send(self, recorded: int) -> None:
        """Send the first so many records, and the ends that came with each."""
        for record in self.records[self._sent : recorded]:
            for rows in self.thinning.add(self._rows(record)):
                self.sink.send(rows)
            self._sent += 1
            for ending in self._endings:
                if ending.recorded == self._sent:
                    self.close(ending.replica, Outcome(ending.outcome), ending.tags)

    def add(self, replicas: Sequence[int], metrics: Mapping[str, float]) -> None:
        """Send numbers that these replicas share, beside the last record: where it is repeated, the same row again."""
        last = self.records[-1]
        runs = tuple(self.runs[replica] for replica in replicas if replica in self.open)
        rows = {name: [value] * len(runs) for name, value in metrics.items()}
        self.sink.send(Rows(runs, last.step, last.time_ms, rows))

    def _rows(self, record: Record) -> Rows:
        """A record's numbers of the runs that are open."""
        still_open = frozenset(self.open)
        places = [place for place, replica in enumerate(record.replicas) if replica in still_open]
        metrics = {name: [values[place] for place in places] for name, values in record.metrics.items()}
        runs = tuple(self.runs[record.replicas[place]] for place in places)
        return Rows(runs, record.step, record.time_ms, metrics)

    def close(self, replica: int, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """End a replica's run, unless it is ended; the sink keeps it with the next `flush`."""
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
        if not self._goes_on:
            for rows in self.thinning.rest([run]):
                self.sink.send(rows)
        self.sink.keep_history(run, columns(self.records[: self._sent], replica))
        self.sink.end(run, outcome, tags)
        self._ended[replica] = outcome

    def flush(self) -> None:
        """Wait until all of this is kept; what is not known to be kept is open again."""
        try:
            self.sink.flush()
        except TrackingError:
            self._ended.clear()
            raise
        finally:  # what interrupts it comes after it is done
            self.closed |= self._ended
            self._ended.clear()

    def give_up(self, mark: PackState, error: BaseException) -> None:
        """Send what may be sent of a pack that an error ends.

        What interrupts it from outside leaves a checkpoint of the `mark`; its own failure leaves none. Where the store
        failed, the last checkpoint stands, and nothing more is sent.
        """
        self._goes_on = self.keeper is not None and (
            isinstance(error, TrackingError) or not isinstance(error, Exception)
        )
        if self.keeper is None or isinstance(error, TrackingError):
            return
        if isinstance(error, Exception):
            self.keeper.remove()
            self.send(len(self.records))
        elif mark.recorded > self.keeper.recorded:
            self.keep(mark)


def columns(records: Sequence[Record], replica: int) -> dict[str, list[float | None]]:
    """One replica's step, epoch, time_ms and metrics in the records that have it; None where a record lacks one."""
    own = [(record, place) for record in records if (place := _place(record.replicas, replica)) is not None]
    names = dict.fromkeys(name for record, _ in own for name in record.metrics)
    return {
        "step": [record.step for record, _ in own],
        "epoch": [record.epoch for record, _ in own],
        "time_ms": [record.time_ms for record, _ in own],
        **{
            name: [
                value if (row := record.metrics.get(name)) and isfinite(value := row[place]) else None
                for record, place in own
            ]
            for name in names
        },
    }


def _place(replicas: Sequence[int], replica: int) -> int | None:
    """Where a replica stands among those of a record, which are in order."""
    place = bisect_left(replicas, replica)
    return place if place < len(replicas) and replicas[place] == replica else None
