"""The lecture slide by slide: every slide that a claim names is one of it, and what is against a slide stands there."""

from itertools import chain

import pytest
from markdown_it import MarkdownIt

from tests.claims import made_up
from workbench.claims.catalog import catalog
from workbench.claims.evidence import Cell, Exact
from workbench.claims.report import html_report, markdown_report
from workbench.claims.slides import slide_by_slide, slides
from workbench.lecture.errata import ERRATA

TITLES = [slide.title for slide in slides()]
SLIDE = "Perceptron vs. Logistic Neuron"


def test_titles_are_there_once() -> None:
    """Each title of a slide is listed once, so that a claim's slide is one row."""
    assert len(TITLES) == len(set(TITLES))


@pytest.mark.parametrize("name", sorted(catalog()))
def test_every_slide_of_a_claim_is_one_of_the_lecture(name: str) -> None:
    """Slides that a claim or a part of it names are slides of the lecture."""
    claim = catalog()[name].claim
    named = {*claim.slides, *chain.from_iterable(part.slides for part in claim.parts.values())}
    assert named <= set(TITLES)


@pytest.mark.parametrize("title", TITLES)
def test_every_slide_is_checked_by_a_part_of_a_claim(title: str) -> None:
    """Every slide is checked by a part that holds it to its words; contradictions between slides do not count."""
    checking = [
        f"{name} {part_name}"
        for name, entry in catalog().items()
        for part_name, part in entry.claim.parts.items()
        if part.role != "contradiction" and title in (part.slides or entry.claim.slides)
    ]
    assert checking, f"no claim checks the slide {title!r}"


def test_every_erratum_stands_with_a_slide() -> None:
    """Slides name exactly the known errata: none is left out, none is unknown."""
    assert {name for slide in slides() for name in slide.errata} == {erratum.id for erratum in ERRATA}


def _part(role: str, **more: object) -> dict[str, object]:
    return {"says": f"Says {role}.", "measure": "m", "rule": {"kind": "always"}, "role": role, **more}


def test_what_is_against_a_slide() -> None:
    """Refuted parts and supported contradictions stand against a slide; extensions and what holds do not."""
    parts = {
        "holds": _part("primary"),
        "fails": _part("secondary"),
        "beyond": _part("extension"),
        "against": _part("contradiction", slides=[SLIDE, "Neuron Function"], quotes=["a"]),
        "for": _part("contradiction", slides=[SLIDE], quotes=["a"]),
    }
    found = {"holds": 0, "fails": 1, "beyond": 1, "against": 0, "for": 1}
    cells = [Cell(name, Exact(5, counterexamples=count)) for name, count in found.items()]
    one = made_up.reproduced(cells, parts=parts)
    lines = {line.slide.title: line for line in slide_by_slide([one])}
    assert [part.name for _, part in lines[SLIDE].against] == ["fails", "against"]
    assert [part.name for _, part in lines["Neuron Function"].against] == ["against"]
    assert lines[SLIDE].claims == [one]
    assert [erratum.id for erratum in lines[SLIDE].errata] == ["E9", "E11"]
    assert lines["Forward Propagation"].claims == []


def page_tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown page: rows of cells, as they are read."""
    tables: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and token.level == 4:
            tables[-1][-1].append("".join(child.content for child in token.children or []))
    return tables


def test_front_page_shows_every_slide() -> None:
    """The front page shows every slide in HTML and Markdown; a report of a single claim has no table of slides."""
    several = made_up.everything()
    page, text = html_report(several, {}), markdown_report(several, {})
    slides_table = page_tables(text)[1]
    assert [row[0] for row in slides_table[1:]] == TITLES  # one table of Markdown, not cut by a blank line
    assert {len(row) for row in slides_table} == {3}
    for line in slide_by_slide(several):
        assert line.slide.title.split(":")[0] in page
        assert line.slide.title.split(":")[0].replace("_", "\\_") in text
    assert "slide by slide" not in html_report(several[:1], {})
    assert "slide by slide" not in markdown_report(several[:1], {})
