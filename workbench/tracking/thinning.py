"""Selection of a long series' rows for a store: MLflow's charts draw 320 points of a line, and would miss extremes.

A series of at most MOST records is stored whole. Of a longer one the first records are stored, then of each of BUCKETS
equal parts the rows of the least and the greatest value, and in the end the last row: so the charts draw every stored
row. The selection depends on the records alone, not on when they come: training that resumes from a checkpoint stores
the same rows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite, nan

from workbench.tracking.base import Rows

MOST = 320
FIRST = 20
BUCKETS = 149  # FIRST + 2 * BUCKETS + 1 <= MOST

Series = tuple[str, str]  # name, run
Place = tuple[int, str, str]  # of a row: number among those that wait, name, run


class Thinning:
    """Thins the series of a pack of `total` records; holds the records of one bucket."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._count = 0
        self._bucket = -1
        self._waiting: list[Rows] = []
        self._last: dict[Series, Rows] = {}  # the last row of a series where it was not given

    def add(self, rows: Rows) -> Iterator[Rows]:
        """Add the next record; yields the rows to store now."""
        if self.total <= MOST:
            yield rows
            return
        bucket = bucket_of(self._count, self.total)
        self._count += 1
        if bucket != self._bucket:
            yield from self._flush_bucket()
            self._bucket, self._waiting = bucket, []
        self._waiting.append(rows)

    def _flush_bucket(self) -> Iterator[Rows]:
        """Yield the rows to store of a bucket."""
        series = _series(self._waiting)
        selected = _extremes(series)
        for (name, run), points in series.items():
            value, number = points[-1]
            if (number, name, run) in selected:
                self._last.pop((name, run), None)
            else:
                rows = self._waiting[number]
                self._last[name, run] = Rows((run,), rows.step, rows.time_ms, {name: [value]})
        yield from _only(self._waiting, selected)

    def rest(self, runs: Collection[str]) -> Iterator[Rows]:
        """Yield the remaining rows of runs that have no further records."""
        of_runs = [_part(rows, runs) for rows in self._waiting]
        self._waiting = [_part(rows, set(rows.runs).difference(runs)) for rows in self._waiting]
        series = _series(of_runs)
        for name, run in [key for key in self._last if key[1] in runs]:
            last = self._last.pop((name, run))
            if (name, run) not in series:
                yield last
        lasts = {(points[-1][1], name, run) for (name, run), points in series.items()}
        yield from _only(of_runs, _extremes(series) | lasts)


def bucket_of(index: int, total: int) -> int:
    """Bucket of a record among `total`; each of the first records has its own."""
    if index < FIRST:
        return index
    return FIRST + min((index - FIRST) * BUCKETS // (total - FIRST), BUCKETS - 1)


def _part(rows: Rows, runs: Collection[str]) -> Rows:
    """The same rows for some of its runs."""
    columns = [column for column, run in enumerate(rows.runs) if run in runs]
    metrics = {name: [values[column] for column in columns] for name, values in rows.metrics.items()}
    return Rows(tuple(rows.runs[column] for column in columns), rows.step, rows.time_ms, metrics)


def _series(waiting: Sequence[Rows]) -> dict[Series, list[tuple[float, int]]]:
    """Group rows by series: [(value, number of the record)] of each."""
    series: dict[Series, list[tuple[float, int]]] = {}
    for number, rows in enumerate(waiting):
        for name, values in rows.metrics.items():
            for run, value in zip(rows.runs, values, strict=True):
                if isfinite(value):
                    series.setdefault((name, run), []).append((value, number))
    return series


def _extremes(series: Mapping[Series, Sequence[tuple[float, int]]]) -> set[Place]:
    """First rows of the least and of the greatest value of every series."""
    selected = set()
    for (name, run), points in series.items():
        least, greatest = min(points), max(points, key=lambda point: point[0])
        selected |= {(least[1], name, run), (greatest[1], name, run)}
    return selected


def _only(waiting: Sequence[Rows], selected: set[Place]) -> Iterator[Rows]:
    """Yield the selected rows."""
    for number, rows in enumerate(waiting):
        metrics = {
            name: [
                value if (number, name, run) in selected else nan for run, value in zip(rows.runs, values, strict=True)
            ]
            for name, values in rows.metrics.items()
        }
        if any(isfinite(value) for values in metrics.values() for value in values):
            yield Rows(rows.runs, rows.step, rows.time_ms, metrics)
