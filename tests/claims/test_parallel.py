"""Claims measured by several processes at once: the same verdicts, and nothing left running however they end."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.claims.small import EXACT, PROVES, TRAINS, write
from tests.outer import Answer, all_runs, end, finish, runs_of, start, wait_for
from workbench.claims.parallel import each_in_a_process
from workbench.core.errors import ConfigError
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
FAILS = TRAINS.replace("    yield", "    raise ArithmeticError('by zero')\n    yield")
TOGETHER = ("--claims", "own", "--processes", "2")


def ends(name: str) -> str:
    """A task that fails, or ends its process, or returns its name."""
    if name == "fails":
        raise ArithmeticError("by zero")
    if name == "dies":
        os._exit(3)
    return name


@pytest.mark.slow
def test_one_that_fails_is_told_and_the_others_are_handed_over() -> None:
    """The error of one name reaches `on_error` with the name, or is raised without it."""
    told: list[tuple[str, str]] = []
    names = ["a", "fails", "b"]
    found = each_in_a_process(ends, names, 2, lambda name, error: told.append((name, str(error))))
    assert sorted(found) == ["a", "b"]
    assert told == [("fails", "by zero")]
    with pytest.raises(ArithmeticError, match="by zero"):
        list(each_in_a_process(ends, ["fails"], 1))


@pytest.mark.slow
def test_process_that_dies_is_named() -> None:
    """A process that ends by itself is an error that says how to go on, not a wait without end."""
    with pytest.raises(ConfigError, match=r"claim dies: a process .* write --processes 1 to go on"):
        list(each_in_a_process(ends, ["dies"], 2))


@pytest.mark.slow
def test_verdicts_are_those_of_one_process(cli: Cli, folder: Path, store: Store) -> None:
    """Two claims at once, of which one trains: verdicts, runs and cards as one after the other, in one store."""
    write(folder / "own")
    write(folder / "own", "other", PROVES, EXACT)
    alone = cli("reproduce", "small", "other", "--claims", "own", "--processes", "1")
    trained = sorted(run.data.metrics["train/loss"] for run in runs_of(store))
    assert (alone.code, len(trained)) == (0, 4)
    (folder / "mlflow.db").unlink()
    answer = cli("reproduce", "small", "other", *TOGETHER)
    assert (answer.code, answer.err) == (0, "")
    assert "2 claims to measure, 2 at a time" in answer.out
    assert sorted(run.data.metrics["train/loss"] for run in runs_of(store)) == trained
    assert sorted(run.data.tags["verdict"] for run in runs_of(store, "verdict")) == ["inconclusive", "supported"]
    for line in (line for line in alone.out.splitlines() if "✓" in line or "? " in line):
        assert line in answer.out
    kept = cli("reproduce", "small", "other", *TOGETHER)
    assert kept.out.count("kept from before") == 2


@pytest.mark.slow
def test_one_failure_spares_the_others_and_their_order(cli: Cli, folder: Path, store: Store) -> None:
    """A claim that fails is named with exit code 1; the other has its verdict."""
    write(folder / "own", code=FAILS)
    write(folder / "own", "other", PROVES, EXACT)
    answer = cli("reproduce", "small", "other", *TOGETHER)
    assert answer.code == 1
    assert answer.err == "workbench: small: could not be measured: ArithmeticError: by zero\n"
    assert {run.data.tags.get("verdict") for run in runs_of(store, "verdict")} == {None, "supported"}


def living(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_interrupt_ends_all_processes(store: Store) -> None:
    """Ctrl-C in training, sent to the whole group, ends both claims: their runs are KILLED and no process is left."""
    home = store.home.parent
    for name in ("small", "other"):
        write(home / "own", name, changes={"train.epochs": 1_000_000, "tracking.experiment": name})
    process = start(["reproduce", "small", "other", *TOGETHER], home, group=True)
    try:
        wait_for(lambda: len({run.info.experiment_id for run in runs_of(store)}) == 2, seconds=300)
        os.killpg(process.pid, signal.SIGINT)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 130, answer
    assert "Traceback" not in answer.err, answer.err
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}
    wait_for(lambda: not living(process.pid), seconds=20)
