"""Packs as jobs of a real SLURM cluster of one node, and what is refused without one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.outer import SMALL, Answer, all_runs, assert_same_runs, end, finish, runs_of, start, wait_for
from tests.slurm_node import missing, slurm
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
LAUNCHER = "hydra/launcher=packed_slurm"
EXECUTOR = "hydra.launcher.executor"
ENDLESS = ("data=wine", "train.epochs=1000000", "activation=relu,tanh", "seed=range(2)")


@pytest.fixture(scope="module")
def node() -> Iterator[dict[str, str]]:
    """The environment of a cluster with one node."""
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    with slurm() as environment:
        yield environment


def driver(node: dict[str, str], folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A sweep on the cluster, as a process."""
    return start(["train", "-m", LAUNCHER, *arguments], folder, **node)


def jobs_of(node: dict[str, str]) -> list[str]:
    """The jobs that SLURM has."""
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    return subprocess.run(
        command, env={**os.environ, **node}, capture_output=True, text=True, check=True
    ).stdout.split()


def workers_in(folder: Path) -> list[int]:
    """The processes of jobs whose files are in a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_text().split("\0")
        except OSError:  # it has ended
            continue
        if "submitit.core._submit" in command and "python" in command[0] and str(folder / "slurm") in command:
            found.append(int(file.parent.name))
    return found


def all_train(store: Store) -> bool:
    """Whether both packs have written rows."""
    runs = runs_of(store)
    return len(runs) == 4 and all(run.data.metrics for run in runs)


@pytest.mark.slurm
def test_jobs_train_what_this_process_would(node: dict[str, str], cli: Cli, store: Store, folder: Path) -> None:
    """An array of two packs: the same metrics under the same keys, each run once; the script says what was asked."""
    sweep = (*SMALL, "activation=relu,tanh", "seed=range(2)")
    asked = (f"{EXECUTOR}.mem_gb=0.5", f"{EXECUTOR}.time=7", f"{EXECUTOR}.setup=['export ASKED=yes']")
    answer = finish(driver(node, folder, *sweep, *asked, f"+{EXECUTOR}.more.comment=hello", "tracking.experiment=far"))
    assert (answer.code, answer.err) == (0, "")
    assert "4 finished" in answer.out
    assert cli("train", "-m", *sweep, "tracking.experiment=near").code == 0
    assert_same_runs(store, "far", "near", 4)
    assert (folder / "slurm").stat().st_mode & 0o777 == 0o700
    (script,) = (folder / "slurm").glob("*_submission.sh")
    lines = set(script.read_text().splitlines())
    assert {"#SBATCH --array=0-1%2", "#SBATCH --mem=512MB", "#SBATCH --time=7", "#SBATCH --comment=hello"} <= lines
    assert {"#SBATCH --no-requeue", "#SBATCH --cpus-per-task=1", "export ASKED=yes"} <= lines


@pytest.mark.slurm
def test_job_that_is_killed_costs_its_pack_alone(node: dict[str, str], folder: Path, store: Store) -> None:
    """SIGKILL to one of two jobs: its runs fail with the reason and its log, the others finish, exit code 1."""
    long = ("data=digits", "architecture.hidden=[64,64]", "train.epochs=80", "activation=relu,tanh", "seed=range(4)")
    process = driver(node, folder, *long)
    try:
        wait_for(lambda: len(runs_of(store)) == 8)
        os.kill(workers_in(folder)[0], signal.SIGKILL)
        answer = finish(process)
    finally:
        end(process)
    assert (answer.code, answer.err) == (1, "")
    assert Counter(run.info.status for run in runs_of(store)) == {"FINISHED": 4, "FAILED": 4}
    assert "ended without an answer; see /" in answer.out
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}


@pytest.mark.slurm
def test_job_whose_time_is_over_is_gone_on_with(node: dict[str, str], folder: Path, store: Store) -> None:
    """The signal that SLURM sends before the end closes the runs as killed; the same command trains them to the end."""
    long = ("data=digits", "architecture.hidden=[64,64]", "train.epochs=200", "seed=range(2)")
    process = driver(node, folder, *long)
    try:
        wait_for(lambda: len(runs_of(store)) == 2)
        over = ["scancel", "--signal", "USR2", jobs_of(node)[0]]
        subprocess.run(over, env={**os.environ, **node}, check=True)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 1
    assert "was ended by SLURM, for its time limit or others; see /" in answer.out
    assert {run.info.status for run in runs_of(store)} == {"KILLED"}
    again = finish(driver(node, folder, *long))
    assert (again.code, again.err) == (0, "")
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}
    assert len(runs_of(store)) == 2


@pytest.mark.slurm
def test_ctrl_c_ends_the_jobs_and_closes_their_runs(node: dict[str, str], folder: Path, store: Store) -> None:
    """SIGINT to the driver ends all jobs and leaves every run KILLED."""
    process = driver(node, folder, *ENDLESS)
    try:
        wait_for(lambda: all_train(store))
        process.send_signal(signal.SIGINT)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 130
    assert re.fullmatch(
        r"workbench: interrupted; runs in training are marked KILLED; repeat the command .*\n", answer.err
    )
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}
    assert jobs_of(node) == []


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("asked", "said"), [("partition=nope", "Invalid partition name"), ("cpus_per_task=4096", "not available")]
)
def test_what_the_cluster_cannot_run_is_refused_before_anything_is_written(
    node: dict[str, str], folder: Path, asked: str, said: str
) -> None:
    """Requests that the cluster cannot run give exit code 2 with SLURM's own words, and nothing is written."""
    answer = finish(driver(node, folder, *SMALL, "seed=0,1", f"{EXECUTOR}.{asked}"))
    assert (answer.code, answer.out) == (2, "")
    assert f"{EXECUTOR}: must be what this SLURM cluster can run, it said: " in answer.err
    assert said in answer.err
    assert list(folder.iterdir()) == []


def test_without_submitit_the_extra_is_named(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing submitit gives exit code 2 and the extra to install before anything is written."""
    monkeypatch.setitem(sys.modules, "submitit", None)
    answer = cli("train", "-m", *SMALL, "seed=0,1", LAUNCHER)
    assert answer.code == 2
    assert "needs submitit, which is not installed; write pip install 'workbench[slurm]'" in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_without_slurm_its_commands_are_named(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without SLURM's commands gives exit code 2 before anything is written, and what to use instead."""
    monkeypatch.setitem(sys.modules, "submitit", ModuleType("submitit"))
    monkeypatch.setattr(shutil, "which", lambda command: None)
    answer = cli("train", "-m", *SMALL, "seed=0,1", LAUNCHER)
    assert answer.code == 2
    assert "needs SLURM's commands, found no sbatch, srun, squeue, scancel, sinfo; run it on a" in answer.err
    assert "hydra/launcher=packed_processes" in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [("time", 0), ("cpus_per_task", 0), ("parallel", 0), ("gpus_per_node", -1)])
def test_numbers_out_of_range_are_refused(cli: Cli, folder: Path, key: str, value: int) -> None:
    """Numbers out of range are refused with key, rule and value, whether SLURM is there or not."""
    answer = cli("train", "-m", *SMALL, "seed=0,1", LAUNCHER, f"{EXECUTOR}.{key}={value}")
    assert answer.code == 2
    assert f"{EXECUTOR}.{key}: must be at least {0 if key == 'gpus_per_node' else 1}, got {value}" in answer.err
    assert list(folder.iterdir()) == []
