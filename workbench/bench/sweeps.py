"""Cost of one more run of a sweep, beside a script written by hand, and whether size changes that.

Each sweep is a command of its own, in a fresh folder, on one core: wall time, processor time and peak memory are those
of its process. What starting costs cancels in the difference of two sizes.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.table import Table

from workbench.core.errors import WorkbenchError

OURS = (
    *("workbench", "train", "-m", "architecture.hidden=[64,64]", "optimizer.lr=0.05", "train.epochs=20", "device=cpu"),
    "diagnostics.spacing=1",  # the script logs norms after each epoch
)
SCRIPT = ("workbench.bench.usual", "-m", "epochs=20")
SIZES = {"ours": (30, 300), "script": (2, 32)}  # of the sweeps whose difference is taken
QUICK_SIZES = {"ours": (10, 40), "script": (1, 7)}
SCALING = (10, 100, 300, 1000, 3000)
QUICK_SCALING = (10, 100)
ROUNDS = 3


@dataclass(frozen=True)
class ScalingRow:
    """Cost of one command: seconds, processor seconds, peak MiB."""

    runs: int
    wall: float
    cpu: float
    mib: float


@dataclass(frozen=True)
class Beside:
    """Milliseconds for one more run, wall and processor; the ratios are medians of each round's own."""

    ours_ms: float
    script_ms: float
    ours_cpu_ms: float
    script_cpu_ms: float
    wall_ratio: float
    cpu_ratio: float


def take(command: Sequence[str], runs: int) -> ScalingRow:
    """Run ``python -m COMMAND seed=range(RUNS)`` in a fresh folder."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with TemporaryDirectory() as folder, open(os.path.join(folder, "said"), "w+") as output:
        started = perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *command, f"seed=range({runs})"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=_on_one_core,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = perf_counter() - started
        if process.returncode:
            output.seek(0)
            raise WorkbenchError(f"bench: {' '.join(command)} must end well, but it said: {output.read()[-500:]}")
    return ScalingRow(runs, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def bench(rounds: int = ROUNDS, quick: bool = False) -> Beside:
    """Time one more run of a sweep and of the script, in turn."""
    sizes = QUICK_SIZES if quick else SIZES
    costs: dict[str, list[tuple[float, float]]] = {"ours": [], "script": []}
    for _ in range(rounds):
        for name, command in (("ours", OURS), ("script", SCRIPT)):
            costs[name].append(marginal(*(take(command, runs) for runs in sizes[name])))
    return beside(costs["ours"], costs["script"])


def marginal(small: ScalingRow, large: ScalingRow) -> tuple[float, float]:
    """Milliseconds for one more run, wall and processor."""
    more = large.runs - small.runs
    return 1000 * (large.wall - small.wall) / more, 1000 * (large.cpu - small.cpu) / more


def beside(ours: Sequence[tuple[float, float]], script: Sequence[tuple[float, float]]) -> Beside:
    """Medians over rounds."""
    walls, cpus = ([(one[kind], other[kind]) for one, other in zip(ours, script, strict=True)] for kind in (0, 1))
    figures = [median(one for one, _ in walls), median(other for _, other in walls)]
    figures += [median(one for one, _ in cpus), median(other for _, other in cpus)]
    return Beside(*figures, *(median(other / one for one, other in pairs) for pairs in (walls, cpus)))


def scaling(sizes: Sequence[int] = SCALING) -> list[ScalingRow]:
    """Time sweeps by size; up to 100 runs are one pack, so that more must not need more memory."""
    return [take(OURS, runs) for runs in sizes]


def beside_table(measured: Beside) -> Table:
    """Table for a terminal."""
    table = Table(title="one more run of a sweep, ms", caption="digits 64-64-64-10, 20 epochs, one core; marginal cost")
    for heading in ("", "ours", "script", "script / ours"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("wall", f"{measured.ours_ms:.1f}", f"{measured.script_ms:.1f}", f"{measured.wall_ratio:.1f}")
    table.add_row(
        "processor", f"{measured.ours_cpu_ms:.1f}", f"{measured.script_cpu_ms:.1f}", f"{measured.cpu_ratio:.1f}"
    )
    return table


def scaling_table(rows: Sequence[ScalingRow]) -> Table:
    """Table for a terminal."""
    table = Table(title="sweeps by size", caption="ms for one more run than the row before")
    for heading in ("runs", "seconds", "peak MiB", "ms per run", "processor ms"):
        table.add_column(heading, justify="right")
    more = [("", ""), *(tuple(f"{value:.1f}" for value in marginal(*pair)) for pair in pairwise(rows))]
    for row, (wall, cpu) in zip(rows, more, strict=True):
        table.add_row(str(row.runs), f"{row.wall:.1f}", f"{row.mib:.0f}", wall, cpu)
    return table
