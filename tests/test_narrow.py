"""A terminal of 60 columns: each table shows each number whole; words are folded, or rows stacked."""

import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from tests.claims import made_up
from tests.outer import Answer, Trained
from workbench.claims.terminal_card import card, claims_table
from workbench.core import terminal
from workbench.core.terminal import FittingTable, SafeConsole

pytest_plugins = ["tests.outer_fixtures"]

NARROW, WIDE = 60, 400
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.,]*(?:e[-+]\d+)?%?(?![\w])")
COMMANDS = {
    "compare": ("compare",),
    "two": ("compare", "SWEEP", "SWEEP"),
    "by": ("compare", "--by", "optimizer.lr", "--metric", "valid/loss,test/accuracy"),
    "show": ("show", "RUN"),
    "diagnose": ("diagnose",),
    "claims": ("claims",),
    "check": ("check", "data=wine", "architecture.hidden=[3]"),
    "data": ("data", "points.csv"),
}


def numbers(text: str) -> Counter[str]:
    """Numbers in a text, and how often each is there."""
    return Counter(NUMBER.findall(text))


def shown(table: object, width: int) -> str:
    """What a terminal of this width shows of a table."""
    out = io.StringIO()
    SafeConsole(file=out, width=width).print(table)
    return out.getvalue()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_cuts_no_number(
    cli: Callable[..., Answer],
    swept: Trained,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    """In 60 columns a command shows the numbers that it shows in 400."""
    rows = (f"{number}.12345,{number % 4},{number * 1000.25}" for number in range(40))
    (folder / "points.csv").write_text("\n".join(["area,rooms,price", *rows]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", swept.store.uri)
    names = {"SWEEP": swept.finished.sweep, "RUN": swept.finished.results[0].run}
    said = []
    for width in (WIDE, NARROW):
        monkeypatch.setattr(terminal, "PLAIN_WIDTH", width)
        answer = cli(*(names.get(word, word) for word in command))
        assert answer.code == 0, answer.err
        said.append(answer.out)
    wide, narrow = map(numbers, said)
    assert wide
    assert not wide - narrow
    assert "…" not in said[1].replace(" …", "").replace("… ", "")


def test_verdicts_cut_no_number() -> None:
    """In 60 columns the list of claims shows the effects, intervals and costs of wide ones."""
    last = made_up.mapped()
    rows = [(last.name, made_up.claim(slides=["A", "B"]), last), ("new", made_up.claim(), None)]
    assert not numbers(shown(claims_table(rows), WIDE)) - numbers(shown(claims_table(rows), NARROW))


@pytest.mark.parametrize("record", made_up.everything(), ids=lambda record: record.name)
def test_a_card_cuts_no_number(record: made_up.Reproduction) -> None:
    """In 60 columns the card of a verdict shows the numbers of a card in full width."""
    assert not numbers(shown(card(record), WIDE)) - numbers(shown(card(record), NARROW))


@pytest.mark.parametrize("width", [28, 40, 55, 64, 80, 100])
def test_words_give_way(width: int) -> None:
    """At any width that holds a heading and a number no line is longer, and all numbers are there, drawn or stacked."""
    table = FittingTable("arm", "loss", "error", "remarks", title="a title", caption="a caption")
    table.add_row("relu lr=0.001", "0.123456 ± 0.0078", Text("-1.5e-12"), "incomprehensibilities are folded")
    table.add_row("tanh", "nan", "-", "")
    text = shown(table, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert {"lr=0.001", "0.123456", "0.0078", "-1.5e-12", "nan"} <= {*re.split(r"[\s│]+", text)}
    assert ("│" in text) == (width > 60)


def test_a_table_is_drawn_the_same_after_a_narrow_one() -> None:
    """What was folded once is whole again in a wide terminal."""
    table = FittingTable("name", "words")
    table.add_row("a", "some words that take more than a narrow terminal has")
    before = shown(table, WIDE)
    assert shown(table, 30) != before
    assert shown(table, WIDE) == before
