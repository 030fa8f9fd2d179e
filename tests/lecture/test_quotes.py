"""Quotes in claims stand word for word in the lecture's slides, as far as `quotes.md` keeps them."""

import re
from pathlib import Path

import pytest

import workbench.lecture
from workbench.claims.catalog import catalog
from workbench.claims.slides import slides
from workbench.lecture.errata import ERRATA

QUOTED = Path(workbench.lecture.__file__).with_name("quotes.md").read_text(encoding="utf-8")
PLAIN = {r"\^\{\(l\)\}|[${}]": "", r"\\delta": "δ"}  # of a title's formulas


def plain(title: str) -> str:
    """Write a slide's title as `slides.yaml` does, without the signs of its formulas."""
    for sign, letter in PLAIN.items():
        title = re.sub(sign, letter, title)
    return title


TEXTS = {
    plain(title): " ".join(body.split())
    for title, body in (block.split("\n", 1) for block in re.split(r"^# ", QUOTED, flags=re.MULTILINE)[1:])
}
QUOTING = [
    (name, part_name, part.slides or entry.claim.slides, part.quotes)
    for name, entry in catalog().items()
    for part_name, part in entry.claim.parts.items()
    if part.quotes
]
CHARGES = [
    (f"{name} {part_name}", part.quotes)
    for name, entry in catalog().items()
    for part_name, part in entry.claim.parts.items()
    if part.role == "contradiction"
]


def test_quoted_slides_are_slides_of_the_lecture() -> None:
    """Each title in `quotes.md` is a slide of the lecture, and stands there once."""
    assert TEXTS.keys() <= {slide.title for slide in slides()}
    assert QUOTED.count("\n# ") == len(TEXTS)


@pytest.mark.parametrize(("name", "part", "named", "quotes"), QUOTING, ids=[f"{one[0]} {one[1]}" for one in QUOTING])
def test_quotes_stand_on_the_slides_of_their_part(name: str, part: str, named: list[str], quotes: list[str]) -> None:
    """Each quote stands on a slide that its part names, whatever the part's role."""
    for quote in quotes:
        assert any(quote in TEXTS.get(title, "") for title in named), quote


@pytest.mark.parametrize(("part", "quotes"), CHARGES, ids=[part for part, _ in CHARGES])
def test_a_charge_has_two_quotes(part: str, quotes: list[str]) -> None:
    """A part that reports a contradiction quotes two sentences or more, as one sentence contradicts nothing."""
    assert len(quotes) >= 2


@pytest.mark.parametrize("name", ["relu_family", "xor", "universal_approximation", "representation"])
def test_what_the_lecture_limits_itself_is_no_contradiction(name: str) -> None:
    """Claims that the lecture qualifies ("often", named units, "(first quadrant)") are reported as no contradiction."""
    assert not [charged for charged, _ in CHARGES if charged.startswith(f"{name} ")]


@pytest.mark.parametrize(
    ("erratum", "words"),
    [
        ("E5", ["(first quadrant)"]),
        ("E10", ["nonconstant, bounded, and monotonically-increasing continuous function"]),
        (
            "E11",
            [
                "often transformed through a monotonic activation function",
                "Logistic neuron, ReLU, Tanh have the same limitation",
            ],
        ),
        ("E14", ["Sigmoid and Tanh saturate for values not close to 0"]),
    ],
)
def test_remarks_print_what_the_slide_says(erratum: str, words: list[str]) -> None:
    """Errata that only remark on the slides print the slide's words that qualify it."""
    (one,) = (each for each in ERRATA if each.id == erratum)
    plain = " ".join(TEXTS.values()).replace("**", "")
    assert one.remark
    assert [word for word in words if word not in one.printed or word not in plain] == []
