"""Cost of storing a run: bulk statements beside `MlflowClient`, in one process, on fresh sqlite databases.

A run is what a sweep stores of one: 40 params, 15 tags, a data set, 140 rows of 7 metrics, config.yaml, its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from rich.table import Table

from workbench.tracking.base import Backend, DatasetInfo, Ended, Event, File, Opened, Outcome, Rows, RunInfo
from workbench.tracking.bulk_backend import Bulk
from workbench.tracking.client import connect
from workbench.tracking.client_backend import Calls
from workbench.tracking.store import Store

ROUNDS = 5
RUNS = 100
NAMES = [f"quantity/l{number}" for number in range(7)]
STEPS = 20
CONFIG = ("key: value\n" * 60).encode()
_numbers = count(1)


@dataclass(frozen=True)
class StoringCost:
    """Rows per second of a run's metrics, and milliseconds for a whole run, wall and processor."""

    rows_per_second: float
    run_ms: float
    run_cpu_ms: float


@dataclass(frozen=True)
class Sides:
    """Medians over rounds; the ratios are medians of each round's own."""

    bulk: StoringCost
    calls: StoringCost
    rows_ratio: float
    run_cpu_ratio: float


def bench(rounds: int = ROUNDS, quick: bool = False) -> Sides:
    """Time both backends in turn, `rounds` times."""
    costs: list[tuple[StoringCost, StoringCost]] = []
    with TemporaryDirectory() as folder:
        backends = [_backend(Path(folder) / name, backend) for name, backend in (("bulk", Bulk), ("calls", Calls))]
        for backend in backends:
            store_runs(backend, 1)
        for _ in range(rounds):
            bulk, calls = (store_runs(backend, RUNS // (1 + 9 * quick)) for backend in backends)
            costs.append((bulk, calls))
    return Sides(
        _median([bulk for bulk, _ in costs]),
        _median([calls for _, calls in costs]),
        median(bulk.rows_per_second / calls.rows_per_second for bulk, calls in costs),
        median(calls.run_cpu_ms / bulk.run_cpu_ms for bulk, calls in costs),
    )


def _backend(folder: Path, way: Callable[..., Backend]) -> Backend:
    folder.mkdir()
    store = Store(f"sqlite:///{folder}/mlflow.db")
    client = connect(store)
    return way(client, store, client.create_experiment("e", artifact_location=f"{store.artifacts}/e"))


def store_runs(backend: Backend, runs: int) -> StoringCost:
    """Store runs, as packs do; returns the cost of one."""
    ids = tuple(f"{next(_numbers):032x}" for _ in range(runs))
    info = RunInfo(
        "a run", {f"group.key{n}": str(n) for n in range(40)}, {f"tag{n}": str(n) for n in range(15)}, "", {}, TOY
    )
    opening: list[Event] = [Opened(run, info, 1) for run in ids]
    opening += [File(run, "config.yaml", CONFIG) for run in ids]
    rows = [Rows(ids, step, step + 1, {name: [step + 0.5] * runs for name in NAMES}) for step in range(STEPS)]
    ends = [Ended(run, Outcome.finished, {"last": "1"}, STEPS) for run in ids]
    walls, cpu = [], process_time()
    for events in (opening, rows, ends):
        started = perf_counter()
        backend.write(events)
        walls.append(perf_counter() - started)
    each = 1000 / runs
    return StoringCost(runs * STEPS * len(NAMES) / walls[1], sum(walls) * each, (process_time() - cpu) * each)


def _median(costs: Sequence[StoringCost]) -> StoringCost:
    return StoringCost(*(median(getattr(cost, name) for cost in costs) for name in StoringCost.__annotations__))


TOY = DatasetInfo("toy", "0123", 4, 2)


def table(sides: Sides) -> Table:
    """Table for a terminal."""
    shown = Table(title="keeping a run in sqlite", caption="40 params, 15 tags, 140 rows, a data set, a file, its end")
    for heading in ("", "bulk statements", "MlflowClient", "ratio"):
        shown.add_column(heading, justify="right" if heading else "left")
    bulk, calls = sides.bulk, sides.calls
    rows = (f"{side.rows_per_second:,.0f}" for side in (bulk, calls))
    shown.add_row("rows per second", *rows, f"{sides.rows_ratio:.1f}")
    shown.add_row("a whole run, ms", f"{bulk.run_ms:.2f}", f"{calls.run_ms:.1f}", f"{calls.run_ms / bulk.run_ms:.1f}")
    cpus = (f"{bulk.run_cpu_ms:.2f}", f"{calls.run_cpu_ms:.1f}", f"{sides.run_cpu_ratio:.1f}")
    shown.add_row("a whole run, processor ms", *cpus)
    return shown
