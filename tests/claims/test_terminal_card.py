"""Verdict cards and the list of claims: nothing of the record is lost, at every width, without color."""

import io
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tests.claims import made_up
from workbench.claims import wording
from workbench.claims.rules import Judgment, Label
from workbench.claims.terminal_card import SHOWN, WIDTH, card, claims_table, detailed_card
from workbench.claims.verdict import CellVerdict, PartVerdict, Reproduction

RECORDS = {one.name: one for one in made_up.everything()}
FRAME = re.compile(r"[│╭╮╰╯─\s]")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def printed(what: RenderableType, width: int = 100, color: bool = False) -> str:
    """Return what a terminal of this width shows."""
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=color, color_system="standard" if color else None).print(what)
    return out.getvalue()


def joined(text: str) -> str:
    """Remove frames and blanks, so that words broken over lines are whole again."""
    return FRAME.sub("", text)


def texts(one: Reproduction) -> list[str]:
    """All that a card must say and prints on lines of their own, outside tables."""
    return [
        one.title,
        wording.plain(one),
        wording.footnote(one),
        one.statement,
        *one.slides,
        *(f"{anchor.source}: {anchor.says} ({wording.EVIDENCE[anchor.evidence]})" for anchor in one.anchors),
        *(f"Note: {note}" for note in one.notes),
        *(f"The lecture contradicts itself: {part.says}" for part in one.contradictions),
        *(f"“{quote}”" for part in one.contradictions for quote in part.quotes),
        f"registered version {one.version}, {one.rule_hash}",
        wording.settings(one),
        one.date,
        wording.cost(one),
        *(f"{sweep.id} {sweep.link}" for sweep in one.sweeps),
        *(f"{arm}: {choice}" for arm, choice in one.tuning.items()),
        one.command,
        "figures/there.svg",
    ]


@pytest.mark.parametrize("width", [60, 100, 160])
@pytest.mark.parametrize("name", RECORDS)
def test_detailed_card_fits_and_says_everything(name: str, width: int) -> None:
    """No line is wider than the terminal or than 100 columns; every text is there, also one full of markup."""
    text = printed(detailed_card(RECORDS[name], "figures/there.svg"), width)
    assert max(map(len, text.splitlines())) <= min(width, WIDTH)
    assert [line for line in texts(RECORDS[name]) if joined(line) not in joined(text)] == []


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("name", RECORDS)
def test_card_is_an_answer_on_one_screen(name: str, width: int) -> None:
    """Answer, statement, label and numbers of each part, and how to read the rest, in 40 lines at most."""
    record = RECORDS[name]
    text = printed(card(record, "figures/there.svg"), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 40 or width < 100
    wanted = [
        record.title,
        wording.plain(record),
        record.statement,
        "figures/there.svg",
        record.command,
        "with --details it prints",
    ]
    wanted += [wording.size(part.deciding.judgment) for part in record.parts if width == 100]
    assert [one for one in wanted if joined(one) not in joined(text)] == []
    assert ("DISAGREE" in text) is bool(record.disagreements)
    assert "with --details it prints" in text
    assert "Note:" not in text


@pytest.mark.parametrize("name", RECORDS)
def test_card_needs_no_color(name: str) -> None:
    """Colors are an addition: without them the characters are the same."""
    colored = printed(card(RECORDS[name]), color=True)
    assert ANSI.search(colored)
    assert ANSI.sub("", colored) == printed(card(RECORDS[name]))


@pytest.mark.parametrize("label", Label)
def test_card_begins_with_title_and_verdict(label: Label) -> None:
    """The verdict as symbol and word under the title."""
    text = printed(card(made_up.proved().model_copy(update={"label": label})))
    lines = [line.strip("│ ") for line in text.splitlines()]
    assert lines[1:3] == ["XOR and one neuron", f"{wording.SYMBOLS[label]} {label.upper()}"]


def test_headline_of_a_mixed_claim_says_what_became_of_each_sentence() -> None:
    """A mixed claim's headline gives each sentence's label, with parts told apart by place, or a label's settings."""
    mixed = made_up.mixed()
    assert mixed.label is Label.mixed
    line = "units die: supported; 0.1 helps: supported at width 3, refuted on digits"
    assert wording.headline(mixed) == line
    assert wording.footnote(mixed) == ""
    said = wording.plain(mixed)
    assert said == "Units die: supported. 0.1 helps: supported at width 3, refuted on digits."
    assert joined(said) in joined(printed(card(mixed)))
    table = joined(printed(claims_table([("dying_relu", made_up.claim(), mixed)]), 140))
    assert joined("units die: supported") in table
    assert wording.headline(made_up.proved()) == "limit: supported"
    assert wording.plain(made_up.proved()) == "Limit: supported."
    assert wording.headline(made_up.refuted()) == "linear: refuted in 1 of 4 settings (3 supported)"


def test_accuracies_of_both_arms_are_shown() -> None:
    """The card shows both arms' accuracies beside the difference, with the runs that failed."""
    text = joined(printed(detailed_card(made_up.mixed())))
    assert joined("b=0.1 90.0%, b=0 90.0%") in text
    assert joined("b=0.1 10.0% (10 of 10 fail), b=0 10.0% (10 of 10 fail)") in text


@pytest.mark.parametrize("holm", [None, *Label])
def test_holm_is_mentioned_where_it_changes_the_verdict(holm: Label | None) -> None:
    """Holm's correction is mentioned only where it changes the verdict."""
    text = printed(card(made_up.proved().model_copy(update={"holm": holm})))
    changed = f"{holm} AFTER HOLM'S CORRECTION".upper()
    assert (changed in text) is (holm not in (None, Label.supported))


@pytest.mark.parametrize("name", RECORDS)
def test_card_has_a_row_for_every_part(name: str) -> None:
    """Label, numbers and n of each part stand on one line."""
    lines = printed(detailed_card(RECORDS[name]), 100).splitlines()
    for part in RECORDS[name].parts:
        judgment = part.deciding.judgment
        expected = [f"{wording.SYMBOLS[part.label]} {part.label}", judgment.found, str(judgment.n or "-")]
        assert any(all(text in line for text in expected) for line in lines), part.name


def test_map_shows_every_cell_in_its_place() -> None:
    """Rows are depths, columns widths; brackets beyond the declared cells, a star at the deciding one."""
    lines = [line.strip("│ ").split() for line in printed(detailed_card(made_up.mapped())).splitlines()]
    start = lines.index(["depth", "\\", "width", "16", "64", "256"])
    assert lines[start + 2 : start + 7] == [
        ["2", "?", "≈", "✓"],
        ["4", "?", "?", "✓*"],
        ["8", "?", "✓", "✓"],
        ["16", "?", "✓", "✓"],
        ["32", "(?)", "(?)", "(✓)"],
    ]


def test_many_cells_are_cut_to_the_rare_ones() -> None:
    """A card of 60 cells in three coordinates lists the cells of the rarest verdict, and counts the rest."""
    text = printed(detailed_card(made_up.in_space()))
    assert "36 supported, 24 inconclusive" in text
    assert len(re.findall(r"│ \?\*? +activation=", text)) == SHOWN
    assert "… and 36 more in the report" in text


def test_legend_has_the_marks_that_occur() -> None:
    """Brackets are explained only where there are some."""
    (linear,), (faster, *_) = made_up.refuted().parts, made_up.mapped().parts
    assert wording.legend(linear) == "✓ supported, ✗ refuted, * its numbers stand for the part"
    assert "( ) beyond" in wording.legend(faster)
    assert "refuted" not in wording.legend(faster)


def part_with(cells: list[dict[str, str | int]]) -> PartVerdict:
    """A part with these cells."""
    judgment = Judgment(label=Label.supported, found="holds")
    verdicts = [CellVerdict(at=dict(at), judgment=judgment) for at in cells]
    return PartVerdict(
        name="p",
        says="Says.",
        measure="m",
        role="primary",
        slides=[],
        rule="r",
        label=Label.supported,
        deciding=verdicts[0],
        cells=verdicts,
    )


@given(st.sets(st.tuples(st.integers(0, 9), st.sampled_from(["", "relu", "a longer name"])), min_size=1))
def test_cell_map_is_a_rearrangement(places: set[tuple[int, str]]) -> None:
    """Every cell of two coordinates lies once in the row and the column of its values, whatever is missing."""
    part = part_with([{"depth": depth, "unit": unit} for depth, unit in places])
    grid = wording.cell_map(part)
    assert grid is not None
    assert {grid.across, grid.down} == {"depth", "unit"}
    found = [
        (cell, column, line)
        for line, cells in grid.rows
        for column, cell in zip(grid.columns, cells, strict=True)
        if cell
    ]
    assert len(found) == len(places)
    for cell, column, line in found:
        assert (str(cell.at[grid.across]), str(cell.at[grid.down])) == (column, line)


@pytest.mark.parametrize(
    ("cells", "shape"),
    [
        ([{}], None),
        ([{"a": 1}, {"a": 2}], ("a", "", 2, 1)),
        ([{"a": number} for number in range(30)], ("", "a", 1, 30)),
        ([{"a": 1, "b": 1}, {"b": 2, "a": 1}], ("a", "b", 1, 2)),
        ([{"a": 1}, {"b": 1}], None),
        ([{"a": a, "b": b} for a, b in product(range(30), range(30))], None),
        ([{"a": 1, "b": 2, "c": 3}], None),
    ],
)
def test_cell_map_shape(cells: list[dict[str, str | int]], shape: tuple[str, str, int, int] | None) -> None:
    """The shorter coordinate runs across; what fits in neither direction has no map."""
    grid = wording.cell_map(part_with(cells))
    assert (grid and (grid.across, grid.down, len(grid.columns), len(grid.rows))) == shape


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5999, "1 h 40 min"),
        (86400, "24 h 0 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Durations are as precise as a reader needs: tenths below 10 s, then seconds, minutes, and hours with minutes."""
    assert wording.duration(seconds) == text


def test_list_has_a_row_for_every_claim() -> None:
    """Last verdict with effect, interval, date and cost; dashes for what was never reproduced."""
    last = made_up.mapped()
    text = printed(claims_table([(last.name, made_up.claim(slides=["A", "B"]), last), ("new", made_up.claim(), None)]))
    reproduced, new = text[text.index("relu_faster") :].split("new", 1)
    for expected in (
        "A perceptron cannot",
        "Slide: A (+1)",
        "✓ supported;",
        "2.8",
        "[2.468",
        "2026-11-24",
        "1,320 runs",
    ):
        assert expected in reproduced
    assert new.splitlines()[0].split() == ["-", "-", "-"]
    assert "Slide: Perceptron vs. Logistic Neuron" in new
    assert max(map(len, text.splitlines())) <= WIDTH
