"""Every place that a command writes to because its user names it: refused where it cannot be, before any work."""

import argparse
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.bad.judging import snapshot
from tests.outer import Answer, Trained
from workbench.cli.commands.explain import make_parser as explain_parser
from workbench.cli.parser import make_parser
from workbench.core.errors import ConfigError
from workbench.core.places import check_file, check_folder

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
WRITES = {  # (command, option): the command line before the place, and what the place must be
    ("compare", "table"): (("compare", "-o"), "file"),
    ("compare", "out"): (("compare", "--out"), "folder"),
    ("export", "out"): (("export", "-o"), "folder"),
    ("figures", "out"): (("figures", "-o"), "folder"),
    ("reproduce", "report"): (("reproduce", "xor", "--report"), "folder"),
    ("claims", "report"): (("claims", "--report"), "folder"),
    ("new", "into"): (("new", "claim", "mine", "--into"), "folder"),
    ("bench", "json"): (("bench", "--json"), "file"),
    ("explain", "out"): (("explain", "--out"), "file"),
}
READS = {
    ("claims", "claims"),
    ("data", "file"),
    ("play", "config_dir"),
    ("reproduce", "claims"),
    ("reproduce", "pictures"),
    ("recover", "files"),
}
WORK = (  # what each of these commands does for long
    "workbench.bench.steps.bench",
    "workbench.claims.reproduce.reproduce",
    "workbench.claims.reproduce.newest_verdicts",
    "workbench.inspect.rebuild.final_weights",
    "workbench.inspect.run_figures.draw",
    "workbench.inspect.comparison.read_sweep",
    "workbench.config.compose.command_line",
)
PLACES = ("/proc/x", "/sys/x/y", "file/x", "file/x/y", "locked/x", f"new/{'x' * 300}", "circle/x", "OTHER")


def places_in(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """(command, option) of each that takes a file or folder."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from places_in(inner, name)
        elif action.metavar in ("FILE", "DIR"):
            yield command, action.dest


@pytest.fixture
def strewn(folder: Path) -> Iterator[Path]:
    """A current folder with a file, a folder that takes no files from anybody but root, and links in a circle."""
    (folder / "file").write_text("mine")
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o500)
    (folder / "circle").symlink_to("circle")
    yield folder
    (folder / "locked").chmod(0o700)


def test_every_option_that_names_a_place_is_tried_here() -> None:
    """Every option that names a place is listed here: a new option must say whether it writes."""
    found = {*places_in(make_parser()), *places_in(explain_parser(), "explain")}
    assert found == WRITES.keys() | READS


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("words", "kind"), WRITES.values(), ids=[" ".join(key) for key in WRITES])
def test_place_that_cannot_be_written_is_refused_before_the_work(
    cli: Cli,
    strewn: Path,
    swept: Trained,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    kind: str,
    place: str,
) -> None:
    """A place that cannot be written gives one message with what, why and what to write; nothing is begun or left."""
    if place == "locked/x" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    if place == "OTHER":
        place = "file" if kind == "folder" else "locked"
    import_module("workbench.inspect.run_figures")  # first imported below, it would keep what is patched
    for name in WORK:
        monkeypatch.setattr(name, lambda *given, **options: pytest.fail("the work began"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)
    before = snapshot(strewn)
    answer = cli(*words, place, *_format(words))
    assert (answer.code, answer.out.count("\n") <= 1) == (2, True), answer
    (line,) = answer.err.splitlines()
    assert line.startswith("workbench: ")
    assert "write for example " in line or "name another with -o" in line or "write workbench new claim" in line
    assert place in line
    assert snapshot(strewn) == before
    if way := re.search(r"write for example (.*?)(?: in its place|, or |$)", line):
        for name in WORK:
            monkeypatch.setattr(name, _begin)
        with pytest.raises(_BegunError):
            cli(words[0], *(words[1:-1] if words[0] == "reproduce" else ()), *shlex.split(way[1]))


class _BegunError(BaseException):
    """Raised by the work of a command: its places were accepted."""


def _begin(*given: object, **options: object) -> None:
    raise _BegunError


def _format(words: tuple[str, ...]) -> tuple[str, ...]:
    return ("--format", "csv") if words == ("compare", "-o") else ()


@pytest.mark.parametrize("name", ["new", "a/b/new", "old", "to_nowhere"])
def test_trial_leaves_nothing(folder: Path, name: str) -> None:
    """Checking a place leaves neither a file nor the folders before it, and an old file is as it was."""
    (folder / "old").write_text("kept")
    (folder / "to_nowhere").symlink_to("nowhere")
    before = snapshot(folder)
    check_file("x", name, "y")
    assert snapshot(folder) == before
    if name in ("new", "a/b/new"):
        check_folder("x", name, "y")
        assert snapshot(folder) == before


def test_devices_may_be_written(folder: Path) -> None:
    """Devices such as `/dev/null` may be written and stay devices; a name with a null byte is refused."""
    check_file("x", os.devnull, "y")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    with pytest.raises(ConfigError, match="x: must be a file that can be written"):
        check_file("x", "a\0b", "y")
