"""Ctrl-C, SIGTERM and SIGHUP, once and again, at any moment: the exit code, no traceback, no run left RUNNING."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import Answer, all_runs, end, finish, runs_of, start, wait_for
from tests.sampling import sampled
from tests.tracking.test_lost_database import move
from workbench.cli import entry as commands
from workbench.core import signals
from workbench.core.errors import TrackingError
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def send(number: int) -> None:
    """A signal to this process, which its handler has seen when this returns."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_a_command(cli: Cli, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """A signal ends a command with its exit code and one line, and the former handlers are back afterwards."""
    before = [signal.getsignal(one) for one in CODES]
    monkeypatch.setattr(commands, "_dispatch", lambda given: send(number))
    answer = cli("train")
    assert (answer.code, answer.out) == (CODES[number], "")
    assert answer.err.startswith("workbench: ")
    assert answer.err.endswith("; runs in training are marked KILLED\n")
    assert [signal.getsignal(one) for one in CODES] == before


def test_the_last_line_says_how_to_go_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal inside blocks that say how to go on prints the outermost sentence; an error prints none."""

    def dispatch(given: list[str]) -> int:
        with signals.going_on(lambda: "repeat it"), signals.going_on(lambda: "2 of 3 runs"):
            send(signal.SIGINT)
        return 0

    monkeypatch.setattr(commands, "_dispatch", dispatch)
    assert cli("train").err == "workbench: interrupted; runs in training are marked KILLED; repeat it\n"
    with pytest.raises(ValueError, match="no signal") as caught, signals.going_on(lambda: "repeat it"):
        raise ValueError("no signal")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("second", CODES)
def test_what_follows_does_not_disturb_the_end(cli: Cli, monkeypatch: pytest.MonkeyPatch, second: int) -> None:
    """More signals do not disturb the end, however long it takes; Ctrl-C is told why nothing happens."""
    done = []

    def dispatch(given: list[str]) -> int:
        try:
            send(signal.SIGINT)
        finally:
            for _ in range(3):
                send(second)  # while the first is on its way
            signals.ending()
            monkeypatch.setattr(signals, "monotonic", lambda: 1e9)
            send(second)
            done.append("all of it")
        return 0

    monkeypatch.setattr(commands, "_dispatch", dispatch)
    assert cli("train").code == 130
    assert done == ["all of it"]


@pytest.mark.parametrize("error", [ImportError("cannot import"), TrackingError("it did not answer"), SystemError()])
def test_what_a_library_makes_of_a_signal(cli: Cli, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An interruption that an import or a driver turns into an error of its own still ends as an interruption."""

    def dispatch(given: list[str]) -> int:
        try:
            send(signal.SIGTERM)
        except BaseException:
            raise error from None
        return 0

    monkeypatch.setattr(commands, "_dispatch", dispatch)
    answer = cli("train")
    assert (answer.code, answer.err) == (143, "workbench: terminated; runs in training are marked KILLED\n")


def test_a_signal_that_is_lost_in_a_finalizer_comes_again(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that arrives in a finalizer, which lets no exception out, comes again."""

    class Closing:
        def __del__(self) -> None:
            send(signal.SIGINT)

    def dispatch(given: list[str]) -> int:
        Closing()
        late = time.monotonic() + 5
        while time.monotonic() < late:
            time.sleep(0.01)
        return 0

    monkeypatch.setattr(commands, "_dispatch", dispatch)
    answer = cli("train")
    assert (answer.code, answer.err) == (130, "workbench: interrupted; runs in training are marked KILLED\n")


def test_a_signal_while_the_rest_is_sent(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal after the command's own end gives its exit code and one line, no traceback."""
    monkeypatch.setattr(commands, "_answered", lambda given: send(signal.SIGHUP))
    answer = cli("train")
    assert (answer.code, answer.err.count("\n")) == (129, 1)


def test_nohup_is_respected(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that is ignored when a command begins stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(commands, "_dispatch", lambda given: send(signal.SIGHUP) or 0)
        assert cli("train").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


SWEEP = ("train", "-m", "data=wine", "activation=relu,tanh", "seed=0,1", "train.epochs=1000000")
POOL = ("hydra/launcher=packed_processes", "hydra.launcher.executor.workers=2")
TIMES = (0.0, 0.05, 0.3)  # seconds between signals


def in_training(store: Store) -> bool:
    """Whether a run has begun."""
    return bool(runs_of(store))


@pytest.mark.parametrize(
    ("number", "pool"),
    [
        pytest.param(
            number,
            pool,
            id=f"{number}-{'workers' if pool else 'here'}",
            marks=pytest.mark.slow if (number == signal.SIGINT) == bool(pool) else pytest.mark.exhaustive,
        )
        for number in CODES
        for pool in ((), POOL)
    ],
)
def test_signals_in_training(store: Store, number: signal.Signals, pool: tuple[str, ...]) -> None:
    """Signals to the whole group, as a terminal sends them, again within a moment, end all runs without a traceback."""
    process = start([*SWEEP, *pool, "sweep.checkpoint_seconds=0.2"], store.home.parent, group=True)
    try:
        wait_for(lambda: in_training(store), seconds=300)
        for pause in TIMES:
            time.sleep(pause)
            os.killpg(process.pid, number)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == CODES[number], answer
    assert "Traceback" not in answer.err, answer.err
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}


@pytest.mark.parametrize("after", sampled([0.5, 0.1, 3.0, 1.5, 5.0], 2, pytest.mark.slow, pytest.mark.exhaustive))
def test_signals_at_the_start(store: Store, after: float) -> None:
    """Ctrl-C twice while the interpreter starts, imports or opens the store ends the command; no run stays RUNNING."""
    process = start(SWEEP, store.home.parent, group=True)
    try:
        time.sleep(after)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        answer = finish(process)
    finally:
        end(process)
    is_python = "Could not import runpy module" in answer.err  # which ends with 1
    assert answer.code in (130, -signal.SIGINT) or is_python, answer
    assert after < 0.2 or "Traceback" not in answer.err, answer  # before that, it is Python itself that starts
    assert "RUNNING" not in {run.info.status for run in all_runs(store)}


@pytest.mark.slow
def test_signals_while_the_store_is_away(store: Store, tmp_path: Path) -> None:
    """Ctrl-C twice while rows wait for a store that does not answer leaves the rows in their file."""
    assert store.file is not None
    process = start([*SWEEP, "sweep.checkpoint_seconds=0.2"], store.home.parent, group=True)
    try:
        wait_for(lambda: in_training(store))
        move(store.file, tmp_path / "away")
        wait_for(lambda: list(store.home.glob("unsent/*")))
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        answer = finish(process)
    finally:
        end(process)
    assert answer.code == 130, answer
    assert "Traceback" not in answer.err, answer.err
    assert not store.file.exists()
    move(tmp_path / "away" / store.file.name, store.file.parent)
    assert finish(start(["recover"], store.home.parent)).code == 0
    assert {run.info.status for run in all_runs(store)} == {"KILLED"}
