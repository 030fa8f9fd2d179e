"""The memory that is free: the least of what machine, control groups and the process's own limit leave."""

from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest
import torch

from workbench.core import memory
from workbench.core.memory import GIB, available, gib, keep_freed_memory


def test_it_is_that_of_this_machine() -> None:
    """Available memory is more than nothing, and no more than this machine has."""
    total = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 0 < available() <= total


@pytest.mark.parametrize(("limit", "free"), [("1000000", 1000000 - 400000 + 50000), ("300000", 0)])
def test_a_control_group_bounds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, free: int) -> None:
    """A control group bounds free memory by its limit less its use, the cache of files not counted."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    for name, text in (("max", limit), ("current", "400000"), ("stat", "anon 1\ninactive_file 50000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert available() == free
    (tmp_path / "memory.max").write_text("max")
    assert available() > 10 * free


def test_the_process_own_limit_bounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Available memory is bounded by the process's own limit, as `ulimit -v` sets it."""
    monkeypatch.setattr(memory, "getrlimit", lambda which: (memory._own_size() + 10_000_000, -1))
    assert available() == pytest.approx(10_000_000, abs=5_000_000)


def test_bytes_for_a_message() -> None:
    """Bytes in a message are GiB, with two digits where small."""
    assert (gib(GIB / 8), gib(1.5 * GIB), gib(100 * GIB)) == ("0.12 GiB", "1.5 GiB", "100 GiB")


def test_freed_memory_is_kept_until_it_is_counted() -> None:
    """A tensor of 40 MB is soon written into pages of those before it, unless `available` has given them back."""
    keep_freed_memory()

    def faults() -> int:
        before = getrusage(RUSAGE_SELF).ru_minflt
        torch.ones(10**7)
        return getrusage(RUSAGE_SELF).ru_minflt - before

    assert min(faults() for _ in range(9)) < 10
    available()
    assert faults() >= 19  # a page has 4 KiB, or 2 MiB
