"""What claims charge the lecture with stands there, word for word: in the lines of its slides that are kept."""

import re
from pathlib import Path

import pytest

import workbench.lecture
from workbench.claims.catalog import catalog
from workbench.claims.slides import slides
from workbench.lecture.errata import ERRATA

QUOTED = Path(workbench.lecture.__file__).with_name("quotes.md").read_text(encoding="utf-8")
TEXTS = {
    title.replace("$m$", "m"): " ".join(body.split())
    for title, body in (block.split("\n", 1) for block in re.split(r"^# ", QUOTED, flags=re.MULTILINE)[1:])
}
CHARGES = [
    (name, part_name, part.slides or entry.claim.slides, part.quotes)
    for name, entry in catalog().items()
    for part_name, part in entry.claim.parts.items()
    if part.role == "contradiction"
]


def test_quoted_slides_are_slides_of_the_lecture() -> None:
    """By their titles, each once."""
    assert TEXTS.keys() <= {slide.title for slide in slides()}
    assert QUOTED.count("\n# ") == len(TEXTS)


@pytest.mark.parametrize(("name", "part", "named", "quotes"), CHARGES, ids=[f"{one[0]} {one[1]}" for one in CHARGES])
def test_a_charge_quotes_its_slides(name: str, part: str, named: list[str], quotes: list[str]) -> None:
    """Two quotes at least, of which each stands on a slide that the part names."""
    assert len(quotes) >= 2, "one sentence contradicts nothing"
    for quote in quotes:
        assert any(quote in TEXTS.get(title, "") for title in named), quote


@pytest.mark.parametrize("name", ["relu_family", "xor", "universal_approximation", "representation"])
def test_what_the_lecture_limits_itself_is_no_contradiction(name: str) -> None:
    """It says "often", names the units, states what suffices, and prints "(first quadrant)"."""
    assert not [charged for charged, *_ in CHARGES if charged == name]


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
    ],
)
def test_remarks_print_what_the_slide_says(erratum: str, words: list[str]) -> None:
    """The very words that make it no error."""
    (one,) = (each for each in ERRATA if each.id == erratum)
    plain = " ".join(TEXTS.values()).replace("**", "")
    assert one.remark
    assert [word for word in words if word not in one.printed or word not in plain] == []
