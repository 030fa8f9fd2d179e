"""Ends of a sweep leave what the table in docs/states.md says, checked by real processes."""

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outer import Answer, all_runs, end, finish, runs_of, start, wait_for
from workbench.tracking.base import Outcome
from workbench.tracking.client import connect
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]
pytestmark = pytest.mark.slow

TABLE = (Path(__file__).parents[2] / "docs/states.md").read_text()
FREQUENT = """
import sys
import workbench.tracking.writer_thread as writer
from workbench.cli.entry import main

writer.SECONDS_BETWEEN_WRITES = 0.1
{more}
sys.exit(main(sys.argv[1:]))
"""
ENDLESS = ("train", "-m", "data=wine", "seed=0,1", "train.epochs=1000000", "sweep.checkpoint_seconds=0.2")
SHORT = ("train", "-m", "data=wine", "seed=0,1", "train.epochs=20", "certificate=false")


@dataclass
class Left:
    """The answer of a command and the store that it left."""

    answer: Answer
    store: Store

    @property
    def ends(self) -> set[tuple[str, str]]:
        """Outcome and status of the runs."""
        return {(run.data.tags.get("outcome", ""), run.info.status) for run in runs_of(self.store)}

    @property
    def checkpoints(self) -> int:
        """How many were left."""
        return len(list(self.store.home.glob("checkpoints/*/*.safetensors")))


def row(what: str) -> list[str]:
    """The cells of the table's row for what happens."""
    (line,) = [line for line in TABLE.splitlines() if line.startswith(f"| {what}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def commanded(arguments: tuple[str, ...], folder: Path, more: str = "", **changed: str) -> "subprocess.Popen[str]":
    """A sweep that sends its rows at once."""
    return start(["-c", FREQUENT.format(more=more), *arguments], folder, module=False, **changed)


def has_rows(store: Store) -> bool:
    """Whether numbers of a run are there."""
    return store.file is not None and store.file.exists() and any(run.data.metrics for run in runs_of(store))


def last_step(store: Store) -> int:
    """Return the last step of the first run's training loss, and check that no step is there twice."""
    rows = connect(store).get_metric_history(runs_of(store)[0].info.run_id, "train/loss")
    steps = [one.step for one in rows]
    assert len(steps) == len(set(steps))
    return max(steps)


@pytest.mark.parametrize(
    ("number", "what", "ends"),
    [
        (signal.SIGINT, "Ctrl-C (SIGINT)", ("interrupted", "KILLED")),
        (signal.SIGTERM, "SIGTERM", ("killed", "KILLED")),
        (signal.SIGKILL, "SIGKILL, power cut", ("", "RUNNING")),
    ],
)
def test_signals(store: Store, number: signal.Signals, what: str, ends: tuple[str, str]) -> None:
    """Signals leave the table's outcome, status, exit code and checkpoint; then the same runs go on from their rows."""
    process = commanded(ENDLESS, store.home.parent)
    try:
        wait_for(lambda: has_rows(store))
        process.send_signal(number)
        left = Left(finish(process), store)
    finally:
        end(process)
    assert left.ends == {ends}
    if number == signal.SIGKILL:
        left.answer.code = 128 - left.answer.code
    assert left.answer.code == int(row(what)[5])
    assert left.checkpoints == 1
    if number == signal.SIGKILL:
        assert "ended as killed" in finish(start(["doctor"], store.home.parent)).out
        assert left.ends == {("killed", "KILLED")}
    assert {(f"`{outcome}`" in row(what)[1], status in row(what)[2]) for outcome, status in left.ends} == {(True, True)}
    before = last_step(store)
    again = commanded(ENDLESS, store.home.parent)
    try:
        wait_for(lambda: last_step(store) > before)
        again.send_signal(signal.SIGTERM)
        assert finish(again).code == 143
    finally:
        end(again)
    assert len(runs_of(store)) == 2


def test_error_in_training(store: Store) -> None:
    """An error in training ends the runs as FAILED with the reason, keeps their rows and leaves no checkpoint."""
    more = """
import workbench.engine.train as train
right, steps = train.step, iter(range(30))
def step(*arguments, **named):
    if next(steps, None) is None:
        raise RuntimeError("broken")
    return right(*arguments, **named)
train.step = step
"""
    left = Left(finish(commanded(SHORT, store.home.parent, more)), store)
    assert left.ends == {("failed", "FAILED")}
    assert {run.data.tags["error"] for run in runs_of(store)} == {"RuntimeError: broken"}
    assert (left.answer.code, left.checkpoints) == (int(row("an error in training")[5]), 0)
    assert last_step(store) > 0
    assert finish(start([*SHORT, "sweep.rerun=failed"], store.home.parent)).code == 0
    assert Counter(run.data.tags["outcome"] for run in runs_of(store)) == {"failed": 2, "finished": 2}


def test_divergence(store: Store) -> None:
    """A diverged run ends FINISHED like any other result, with the table's exit code and no checkpoint."""
    left = Left(finish(start([*SHORT, "optimizer.lr=1e30"], store.home.parent)), store)
    assert left.ends == {("diverged", "FINISHED")}
    assert (left.answer.code, left.checkpoints) == (int(row("divergence")[5]), 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Change a file system's size, or whether it may be written."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def test_disk_full(disk: Path) -> None:
    """A full disk ends training with the reason; with more room, the same command makes what is missing."""
    sweep = (*SHORT[:4], "train.epochs=6000", *SHORT[5:], "activation=relu,tanh")
    left = Left(finish(commanded(sweep, disk), 300), Store(f"sqlite:///{disk}/mlflow.db"))
    assert str(left.answer.code) in row("disk full")[5].split(" or "), left.answer
    assert "No space left on device" in left.answer.err or "disk is full" in left.answer.err
    remount(disk, "size=200m")
    ends = left.ends - {("finished", "FINISHED")}  # a pack that was kept before
    assert ends
    assert ends <= {("", "RUNNING"), ("failed", "FAILED"), ("killed", "KILLED")}
    again = finish(start([*sweep, "sweep.rerun=failed"], disk), 300)
    assert again.code == 0, again
    members = [run for run in runs_of(left.store) if "run" in [run.data.tags.get(f"in.{sweep_of(left.store)}")]]
    assert [run.data.tags["outcome"] for run in members] == ["finished"] * 4
    assert not {run.info.status for run in all_runs(left.store)} & {"RUNNING"}
    doctor = finish(start(["doctor"], disk))
    only_aside = doctor.out.endswith("1 to do\n") and "checkpoints/damaged/" in doctor.out  # told, and trained anew
    assert doctor.code == 0 or only_aside, f"{again.err}\n{doctor.out}"


def sweep_of(store: Store) -> str:
    """The newest sweep."""
    return str(runs_of(store, "sweep")[-1].data.tags["sweep"])


def test_folder_that_cannot_be_written(disk: Path) -> None:
    """A folder that cannot be written is refused before step 0 with the table's exit code and one line."""
    remount(disk, "ro")
    answer = finish(start(SHORT, disk))
    assert answer.code == int(row("folder that cannot be written")[5])
    assert re.fullmatch(
        rf"workbench: tracking: {disk} must be writable for user .*, or its disk is read-only; .*\n", answer.err
    )
    assert os.listdir(disk) == []


def test_pruned_is_an_end(store: Store) -> None:
    """A pruned run has the status in MLflow that the table names."""
    from tests.tracking.test_store_checks import opened

    run = opened(store, "given up")
    MlflowSink(store, "e").close(run, Outcome.pruned, {"pruned.epoch": "3"})
    (found,) = all_runs(store)
    assert f"| `{found.data.tags['outcome']}` | {found.info.status} |" in TABLE
