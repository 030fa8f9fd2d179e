"""Output for any terminal: names that hold escape sequences, encodings that lack signs, and pipes that nobody reads."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from tests.outer import Trained, environment
from workbench.cli.entry import main
from workbench.core.plain_text import one_line, spelled
from workbench.core.terminal import SafeConsole

pytest_plugins = ["tests.outer_fixtures"]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NAMES = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\x1b[31mred", "\x1b]0;title\x07", "[red]b[/red]", "[/]", ":smile:", "a\rb", "\u202eabc", "\x9b2J", "\\[", "a\\"]
)
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")


def drawn(what: object, encoding: str) -> str:
    """Text that a console writes to an output with this encoding."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    SafeConsole(file=file, width=400).print(what, soft_wrap=True)
    file.flush()
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.slow
@given(NAMES, st.sampled_from(ENCODINGS))
def test_no_name_reaches_the_terminal_as_an_escape(name: str, encoding: str) -> None:
    """Names in a line, a table or rich's own text print no control character and no markup, and never fail."""
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    for what in (f"run {name}", table, Text(name)):
        said = drawn(what, encoding)
        if name in ("[red]b[/red]", "[/]", ":smile:"):
            assert name in said
        assert not CONTROL.search(said.replace("\n", "").replace("\t", "")), said


@given(NAMES)
def test_names_stay_on_their_line(name: str) -> None:
    """A name stays on one line without control characters, and a printable name is shown as it is."""
    shown = one_line(name)
    assert not CONTROL.search(shown)
    assert len(shown.splitlines()) <= 1
    if name.isprintable():
        assert shown == name
    assert one_line(shown) == shown


@given(NAMES, st.sampled_from(ENCODINGS))
def test_every_text_can_be_encoded(text: str, encoding: str) -> None:
    """Characters that the encoding has stay and the rest is spelled, so that every text can be encoded."""
    told = spelled(text, encoding)
    told.encode(encoding)
    assert spelled(told, encoding) == told
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return
    assert told == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("97.67 ± 1.50", "97.67 +- 1.50"),
        ("δ⁽³⁾ = h − y", "delta^(3) = h - y"),
        ("W⁽ˡ⁾ x₁² ≥ ½ ‖σ‖", "W^(l) x_1^2 >= 1/2 ||sigma||"),
        ("Müller, naïve…", "Muller, naive..."),
        ("10⁻³ → ∞", "10^-3 -> inf"),
        ("中\udcff", "\\u4e2d\\xff"),
    ],
)
def test_signs_are_spelled_readably(text: str, told: str) -> None:
    """Signs are spelled in ASCII as worked by hand."""
    assert spelled(text, "ascii") == told


def test_columns_stay_straight_where_a_sign_takes_more_room() -> None:
    """Signs that take more room are spelled before a table is laid out, so that its columns stay straight."""
    table = Table("a", "b")
    table.add_row("1 ± 2", "x")
    table.add_row("1 + 2", "x")
    lines = drawn(table, "ascii").splitlines()
    assert len({line.rstrip().rindex(line.rstrip()[-1]) for line in lines}) == 1
    assert any("1 +- 2" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("compare",),
        ("diagnose",),
        ("claims",),
        ("explain",),
        ("check", "data=xor", "architecture.hidden=[2]", "loss=binary_nll"),
        ("train", "--help"),
        ("--help",),
        ("compare", "δ±\x1b[31m"),
        ("train", "activation=rélu"),
        ("nothing", "\x1b[31m"),
    ],
)
def test_commands_speak_to_a_terminal_without_these_signs(
    monkeypatch: pytest.MonkeyPatch, folder: Path, swept: Trained, command: tuple[str, ...], encoding: str
) -> None:
    """Output, help and errors of every command can be written to a terminal without our signs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    try:
        code = main(command)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    said = []
    for stream in streams:
        stream.flush()
        said.append(stream.buffer.getvalue().decode(encoding))  # type: ignore[attr-defined]
    assert code == (2 if "nothing" in command or "δ±\x1b[31m" in command or "activation=rélu" in command else 0), said
    assert said[code // 2]
    assert not CONTROL.search("".join(said).replace("\n", ""))


@pytest.mark.slow
@pytest.mark.parametrize("command", [["compare", "--out", "figures"], ["explain"], ["--help"]])
def test_an_output_that_nobody_reads_is_no_error(folder: Path, swept: Trained, command: list[str]) -> None:
    """A pipe that is closed before anything is written gives no traceback, and what the command does is done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *command],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=swept.store.uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=120)
    assert said == ""
    assert process.returncode in (0, 141)
    assert bool(list(folder.rglob("arms.csv"))) == (command[0] == "compare")
