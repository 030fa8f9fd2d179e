"""The same command again trains what is left, and no run is in a sweep twice."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import workbench as wb
from tests.outer import SMALL, Answer, all_runs, assert_same_runs, end, runs_of, start, wait_for
from workbench.config.schema import Rerun
from workbench.core.errors import WorkbenchError
from workbench.runs.train_pack import Job, PackResult, train_pack
from workbench.sweeps.executors.processes import Processes
from workbench.sweeps.finished_runs import find_finished, sweep_key
from workbench.sweeps.jobs import make_jobs
from workbench.tracking.base import Outcome
from workbench.tracking.reader import ReusableRun, read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
SWEEP = ("train", "-m", *SMALL, "activation=relu,tanh")


def jobs_of(seeds: int) -> list[Job]:
    """A job per seed."""
    return make_jobs([wb.configure(*SMALL, f"seed={seed}") for seed in range(seeds)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rerun", "to_train", "superseded"),
    [("missing", (3,), ()), ("failed", (2, 3), ("id-2",)), ("all", (0, 1, 2, 3), ())],
)
def test_ledger_sorts_jobs_by_what_is_kept(rerun: str, to_train: tuple[int, ...], superseded: tuple[str, ...]) -> None:
    """The ledger sorts finished, diverged, failed and missing runs under each setting of sweep.rerun."""
    jobs = jobs_of(4)
    ends = (Outcome.finished, Outcome.diverged, Outcome.failed)
    kept = {
        job.tags["key"]: ReusableRun(f"id-{number}", outcome, {"test/loss": 1.0})
        for number, (job, outcome) in enumerate(zip(jobs, ends, strict=False))
    }
    ledger = find_finished(jobs, kept, Rerun[rerun])
    assert ledger.to_train == to_train
    assert ledger.superseded == superseded
    assert sorted([*ledger.results, *ledger.to_train]) == [0, 1, 2, 3]
    for position, result in ledger.results.items():
        assert (result.run, result.outcome) == (f"id-{position}", ends[position])
        assert bool(result.error) == (ends[position] is Outcome.failed)


def test_sweep_key_stands_for_the_set_of_runs() -> None:
    """A sweep's key depends on each of its runs and not on their order."""
    jobs = jobs_of(3)
    assert sweep_key(jobs) == sweep_key(jobs[::-1])
    assert len({sweep_key(jobs), sweep_key(jobs[:2]), sweep_key(jobs[1:])}) == 3


@pytest.mark.slow
def test_repeated_command_trains_nothing_and_goes_on_with_its_sweep(cli: Cli, store: Store) -> None:
    """A repeated command trains nothing and shows the same sweep with the same runs and link."""
    first, second = (cli(*SWEEP, "seed=range(2)") for _ in range(2))
    assert "done before" not in first.out
    assert "4 of 4 runs were done before" in second.out
    assert first.out.splitlines()[-2:] == second.out.splitlines()[-2:]
    assert (len(runs_of(store)), len(runs_of(store, "sweep"))) == (4, 1)
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}


@pytest.mark.slow
def test_wider_command_trains_the_rest_and_shows_all(cli: Cli, store: Store) -> None:
    """A wider command trains the missing runs in a new sweep that shows all; the old sweep is as it was."""
    cli(*SWEEP, "seed=range(2)")
    old = read_sweep(store, None)
    cli(*SWEEP, "seed=range(3)")
    new = read_sweep(store, None)
    assert len(runs_of(store)) == 6
    assert (len(old.runs), len(new.runs)) == (4, 6)
    assert {run.id for run in old.runs} < {run.id for run in new.runs}
    assert len(read_sweep(store, old.id).runs) == 4


@pytest.mark.slow
def test_all_trains_again_in_a_sweep_of_its_own(cli: Cli, store: Store) -> None:
    """`sweep.rerun=all` reuses nothing: all runs are trained again in a new sweep."""
    cli(*SWEEP, "seed=0,1")
    cli(*SWEEP, "seed=0,1", "sweep.rerun=all")
    assert (len(runs_of(store)), len(runs_of(store, "sweep"))) == (8, 2)
    assert len(read_sweep(store, None).runs) == 4


@pytest.mark.slow
def test_failed_runs_are_tried_again_and_superseded(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that failed is trained again by the same command, and the sweep shows each run once."""
    tries = []

    def fail_once(jobs: list[Job], *others: object) -> PackResult:
        tries.append(jobs[0].spec.choices["activation"])
        if tries == ["relu"]:
            monkeypatch.setattr("workbench.runs.train_pack._append", lambda *_: 1 / 0)
        try:
            return train_pack(jobs, *others)  # type: ignore[arg-type]
        finally:
            monkeypatch.undo()
            monkeypatch.chdir(str(store.file.parent))  # type: ignore[union-attr]
            monkeypatch.setattr("workbench.sweeps.executors.base.train_pack", fail_once)

    monkeypatch.setattr("workbench.sweeps.executors.base.train_pack", fail_once)
    first = cli(*SWEEP, "seed=range(2)")
    assert first.code == 1
    assert Counter(run.info.status for run in runs_of(store)) == {"FAILED": 2, "FINISHED": 2}
    missing = cli(*SWEEP, "seed=range(2)", "sweep.rerun=missing")
    assert missing.code == 1
    assert "sweep.rerun=failed tries it again" in missing.out
    again = cli(*SWEEP, "seed=range(2)")
    assert again.code == 0
    assert tries == ["relu", "tanh", "relu"]
    found = read_sweep(store, None)
    assert [(run.name, run.outcome) for run in found.runs] == [
        ("tanh seed=0", "finished"),
        ("tanh seed=1", "finished"),
        ("relu seed=0", "finished"),
        ("relu seed=1", "finished"),
    ]


@pytest.mark.slow
def test_processes_train_what_this_process_would(cli: Cli, store: Store) -> None:
    """Two worker processes store the same metrics under the same keys as this process, each run once."""
    inline = cli(*SWEEP, "seed=range(2)", "tracking.experiment=inline")
    pooled = cli(*SWEEP, "seed=range(2)", "tracking.experiment=pooled", "hydra/launcher=packed_processes")
    assert (inline.code, pooled.code) == (0, 0), pooled.err
    assert_same_runs(store, "pooled", "inline", 4)


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_pack_alone(folder: Path, store: Store) -> None:
    """A worker killed by SIGKILL fails its runs with the reason; the others finish, exit code 1, none stays open."""
    many = ["data=digits", "architecture.hidden=[64,64]", "train.epochs=40", "seed=range(10)", "activation=relu,tanh"]
    process = start(
        ["train", "-m", *many, "hydra/launcher=packed_processes", "hydra.launcher.executor.workers=2"], folder
    )
    try:
        wait_for(lambda: len(runs_of(store)) == 20)
        worker = workers_of(process.pid)[0]
        worker_kill(worker)
        out, err = process.communicate(timeout=120)
    finally:
        end(process)
    assert process.returncode == 1, err
    assert Counter(run.info.status for run in runs_of(store)) == {"FINISHED": 10, "FAILED": 10}
    assert "ended with exit code -9" in out
    assert {run.info.status for run in all_runs(store)} == {"FINISHED", "FAILED"}


def workers_of(parent: int) -> list[int]:
    """The processes that a pool started, without multiprocessing's own helper."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{parent}\n" in status.read_text() and "spawn_main" in (status.parent / "cmdline").read_text():
                found.append(int(status.parent.name))
        except OSError:  # it has ended
            continue
    return sorted(found)


def worker_kill(pid: int) -> None:
    """Kill a process as the kernel kills one that takes too much memory."""
    os.kill(pid, signal.SIGKILL)


def test_workers_are_at_least_one() -> None:
    """Zero workers are refused with the key to change."""
    with pytest.raises(WorkbenchError, match=r"executor\.workers: must be at least 1, or null for one per core, got 0"):
        Processes(0)
