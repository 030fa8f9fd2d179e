"""How soon commands answer: processor time of whole processes, in units of importing torch and MLflow.

Each command is a process of its own, on a warm disk; the store that is read holds 3,000 runs in 50 sweeps.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.table import Table

from workbench.core.errors import WorkbenchError
from workbench.tracking.base import DatasetInfo, Ended, Event, File, Opened, Outcome, Rows, RunInfo
from workbench.tracking.bulk_backend import Bulk
from workbench.tracking.client import connect
from workbench.tracking.history_file import HISTORY, parquet_of
from workbench.tracking.store import Store, member_tag

ROUNDS, QUICK_ROUNDS = 5, 2
SWEEPS, QUICK_SWEEPS = 50, 2
SEEDS, EPOCHS = 30, 30
REFERENCE = "import torch, mlflow"
COMPLETION = "workbench train activation=r"
TINY = ("data=xor", "architecture.hidden=[2]", "train.epochs=1", "device=cpu")
COMMANDS: dict[str, tuple[str, ...]] = {
    "workbench": (),
    "workbench --help": ("--help",),
    "workbench train --help": ("train", "--help"),
    "workbench compare --help": ("compare", "--help"),
    "tab": ("-sc", "query=bash"),
    "unknown option": ("train", "activation=rlu"),
    "unknown key": ("train", "optimizer.rate=0.1"),
    "value out of range": ("train", "optimizer.lr=-1"),
    "a sweep's unknown key": ("train", "-m", "train.epoch=3", "seed=0,1"),
    "workbench compare": ("compare",),
    "workbench show": ("show",),
    "workbench diagnose": ("diagnose",),
    "workbench claims": ("claims",),
    "workbench train, a tiny net": ("train", *TINY),
}
REFUSED = 2  # exit code of what is refused
INFO = DatasetInfo("toy", "0123", 4, 2)


@dataclass(frozen=True)
class Start:
    """A command: least processor seconds of several processes, least seconds to the first output, and the ratio.

    `ratio` is the processor time over that of importing torch and MLflow.
    """

    command: str
    cpu: float
    first_output: float
    ratio: float


def bench(rounds: int = ROUNDS, quick: bool = False) -> list[Start]:
    """Time every command, each `rounds` times in turn with the import that is their unit."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as empty:
        fill(Store(f"sqlite:///{folder}/mlflow.db"), QUICK_SWEEPS if quick else SWEEPS)
        times = {
            name: [take(["-m", "workbench", *words], empty if "train" in words else folder) for _ in range(rounds)]
            for name, words in COMMANDS.items()
        }
        unit, _ = map(min, zip(*(take(["-c", REFERENCE], folder) for _ in range(rounds)), strict=True))
    least = {name: tuple(map(min, zip(*taken, strict=True))) for name, taken in times.items()}
    unit_row = Start(f'python -c "{REFERENCE}"', unit, unit, 1.0)
    return [unit_row, *(Start(name, cpu, first, cpu / unit) for name, (cpu, first) in least.items())]


def take(arguments: Sequence[str], folder: str) -> tuple[float, float]:
    """Run Python with these arguments in a folder; returns processor seconds and seconds to the first output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment |= {"COMP_LINE": COMPLETION, "COMP_POINT": str(len(COMPLETION)), "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a stranger's second command has its bytecode
    started, (reading, writing) = perf_counter(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, stdout=writing, stderr=writing
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        output.read(1)
        first = perf_counter() - started
        said = output.read()[-500:]
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, REFUSED):
        command = " ".join(arguments)
        raise WorkbenchError(f"bench: {command} must answer, but it ended with {process.returncode}: {said!r}")
    return used.ru_utime + used.ru_stime, first


def fill(store: Store, sweeps: int) -> None:
    """Store sweeps of two arms and 30 seeds, each run with 30 epochs of 7 metrics."""
    client = connect(store)
    experiment = client.create_experiment("workbench", artifact_location=f"{store.artifacts}/workbench")
    backend = Bulk(client, store, experiment)
    for number in range(sweeps):
        backend.write(list(_sweep(number)))


def _sweep(number: int) -> Iterator[Event]:
    sweep, of_sweep = f"20260101-000000-{number:04x}", {"sweep": f"20260101-000000-{number:04x}"}
    arms = [(arm, seed) for arm in ("relu", "tanh") for seed in range(SEEDS)]
    ids = [f"{number:016x}{index:016x}" for index in range(len(arms) + 1)]
    yield Opened(ids[-1], RunInfo("sweep", {}, {"kind": "sweep", **of_sweep}, "", {}, None), number)
    for run, (arm, seed) in zip(ids, arms, strict=False):
        params = {"activation": arm, "seed": str(seed), **{f"group.key{n}": str(n) for n in range(50)}}
        tags = {"kind": "run", "key": run, member_tag(sweep): "run", "steps_per_epoch": "45", **of_sweep}
        yield Opened(run, RunInfo(f"{arm} seed={seed}", params, tags, "", {}, INFO), number)
    names = [f"{part}/{what}" for part in ("train", "valid") for what in ("loss", "accuracy")]
    names += ["grad_norm/l1", "grad_norm/l2", "test/accuracy"]
    runs, steps = tuple(ids[:-1]), [45 * epoch for epoch in range(EPOCHS + 1)]
    for step in steps:
        yield Rows(runs, step, step, {name: [1 / (1 + step + n) for n in range(len(runs))] for name in names})
    falling = [1 / (1 + step) for step in steps]
    history = parquet_of({"step": steps, "epoch": steps, "time_ms": steps, **dict.fromkeys(names, falling)})
    for run in runs:
        yield File(run, HISTORY, history)
    for run in ids:
        yield Ended(run, Outcome.finished, {}, number)


def table(rows: Sequence[Start]) -> Table:
    """Table for a terminal."""
    shown = Table(title="what commands take", caption="least of several processes, on a warm disk")
    for heading in ("", "processor s", "first output s", "of the import"):
        shown.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        shown.add_row(row.command, f"{row.cpu:.2f}", f"{row.first_output:.2f}", f"{row.ratio:.2f}")
    return shown
