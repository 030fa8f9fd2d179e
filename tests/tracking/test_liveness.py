"""Ownership of a run: living, dead and foreign processes, and process numbers given to another process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.tracking import liveness
from workbench.tracking.liveness import OWNER, owner_is_gone, owner_tags

ELSEWHERE = {"host": "another-host", "boot": "0.1"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ended() -> int:
    """The number of a process that was, and is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_process_lives() -> None:
    """The owner tags of this process are complete and say that it lives."""
    tags = owner_tags()
    assert tuple(tags) == OWNER
    assert (tags["host"], tags["pid"]) == (platform.node(), str(os.getpid()))
    assert not owner_is_gone(tags)


def test_an_ended_process_is_gone() -> None:
    """An ended process is gone by its number, with or without the other tags."""
    pid = str(ended())
    assert owner_is_gone({**owner_tags(), "pid": pid})
    assert owner_is_gone({"host": platform.node(), "pid": pid})


@linux
def test_a_process_that_nobody_asked_for_its_exit_code_is_gone() -> None:
    """A zombie, whose process number is still taken, counts as gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tags = {**owner_tags(), "pid": str(process.pid), "started": liveness._state(process.pid)[1]}
    try:
        assert not owner_is_gone(tags)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owner_is_gone(tags)
    finally:
        process.communicate()


@linux
@pytest.mark.parametrize("started", ["1", "99999999999"])
def test_a_number_given_to_another_process_is_not_the_owner(started: str) -> None:
    """A process number with another start means that the owner is gone; without a start the owner counts as alive."""
    assert owner_is_gone({**owner_tags(), "started": started})
    assert not owner_is_gone({**owner_tags(), "started": ""})


@linux
def test_another_boot_of_this_host_is_gone() -> None:
    """Processes of another boot are gone; in another namespace of process numbers they cannot be judged and live."""
    boot, namespace = owner_tags()["boot"].split(".")
    assert owner_is_gone({**owner_tags(), "boot": f"0{boot[1:-1]}x.{namespace}"})
    assert not owner_is_gone({**owner_tags(), "boot": f"{boot}.{namespace}1", "pid": str(ended())})


def test_what_cannot_be_seen_counts_as_living() -> None:
    """Owners on another host, and tags that name nobody, count as living."""
    dead = str(ended())
    assert not owner_is_gone({**owner_tags(), **ELSEWHERE, "pid": dead})
    assert not owner_is_gone({"pid": dead})
    assert not owner_is_gone({"host": platform.node()})
    assert not owner_is_gone({"host": platform.node(), "pid": "-1"})
    assert not owner_is_gone({})


def test_another_users_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may not be signaled is there."""

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert not owner_is_gone(owner_tags())


def test_without_proc_the_number_alone_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Systems without /proc give no boot and no start, and the number alone tells that a process is gone."""
    monkeypatch.setattr(liveness, "_PROC", tmp_path)
    monkeypatch.setattr(liveness, "_boot", lambda: "")
    tags = owner_tags()
    assert (tags["boot"], tags["started"]) == ("", "")
    assert not owner_is_gone(tags)
    assert owner_is_gone({**tags, "pid": str(ended())})
