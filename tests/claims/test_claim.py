"""Claims as data: what is refused, in which words, and what makes a rule another one."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.claims.made_up import CLAIM
from workbench.claims.claim import parse_claim
from workbench.core.errors import ConfigError

FILE = Path("experiment/made_up.yaml")
FULL: dict[str, Any] = CLAIM | {
    "parts": {
        "faster": {
            "says": "Faster.",
            "measure": "ratio",
            "rule": {"kind": "above", "than": 0.5, "absent": 0.1, "confidence": 0.95},
            "role": "primary",
            "cells": {"depth": [2, 4], "width": [8, 16]},
            "decided_by": "all",
            "slides": ["A slide"],
        }
    },
    "arms": {"relu": ["activation=relu"], "tanh": ["activation=tanh"]},
    "learning_rates": [0.01, 0.03, 0.1, 0.3, 1.0],
    "tuning_seeds": 3,
}
MISSING = object()
MAP = {"part": "faster", "cell": {"depth": 2, "width": 8}, "width": [8, 16], "epochs": [4], "batch": [32]}


def edited(path: str, value: Any) -> dict[str, Any]:
    """The full node with another value at a path; MISSING removes the key."""
    node = deepcopy(FULL)
    *parents, last = path.split(".")
    place = node
    for name in parents:
        place = place[name]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return node


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("title", "", "claim.title: String should have at least 1 character, got ''"),
        ("statement", MISSING, "claim.statement: Field required, got "),
        ("slides", [], "claim.slides: List should have at least 1 item after validation, not 0, got '[]'"),
        ("slides", [""], "claim.slides.0: String should have at least 1 character, got ''"),
        ("version", 0, "claim.version: greater than or equal to 1, got '0'"),
        ("version", "one", "claim.version: a valid integer, unable to parse string as an integer, got 'one'"),
        ("parts", {}, "claim.parts: Dictionary should have at least 1 item after validation, not 0, got '{}'"),
        ("parts.faster.role", "secondary", "claim: parts must hold one whose role is primary, got "),
        (
            "parts.faster.role",
            "main",
            "claim.parts.faster.role: 'primary', 'secondary', 'contradiction' or 'extension', got 'main'",
        ),
        ("parts.faster.says", "", "claim.parts.faster.says: String should have at least 1 character, got ''"),
        ("parts.faster.measure", MISSING, "claim.parts.faster.measure: Field required, got "),
        (
            "parts.faster.rule",
            {"kind": "larger"},
            "claim.parts.faster.rule: Input tag 'larger' found using 'kind' does not match any of the expected tags: "
            "'always', 'exists', 'above', 'below', 'within', got ",
        ),
        ("parts.faster.rule.than", MISSING, "claim.parts.faster.rule.above.than: Field required, got "),
        (
            "parts.faster.rule.margin",
            1,
            "claim.parts.faster.rule.above.margin: Extra inputs are not permitted, got '1'",
        ),
        ("parts.faster.rule.confidence", 1.0, "claim.parts.faster.rule.above.confidence: less than 1, got '1.0'"),
        (
            "parts.faster.decided_by",
            {"depth": 2, "width": 9},
            "claim.parts.faster: decided_by must be a cell of the map, got {'depth': 2, 'width': 9}, got ",
        ),
        ("parts.faster.decided_by", {"depth": 2}, "claim.parts.faster: decided_by must be a cell of the map, got "),
        (
            "anchors",
            [{"source": "s", "says": "t", "evidence": "memory"}],
            "claim.anchors.0.evidence: 'read', 'secondary'",
        ),
        ("figure", "", "claim.figure: String should have at least 1 character, got ''"),
        ("profiles", {}, "claim.profiles: Dictionary should have at least 1 item after validation, not 0, got '{}'"),
        (
            "learning_rates",
            [0.1, 0.2, 0.3, 0.4],
            "claim: learning_rates must be at least 5, rising, got [0.1, 0.2, 0.3, 0.4], got ",
        ),
        ("learning_rates", [1.0, 0.3, 0.1, 0.03, 0.01], "claim: learning_rates must be at least 5, rising, got [1.0"),
        ("learning_rates", [0.1, 0.1, 0.2, 0.3, 0.4], "claim: learning_rates must be at least 5, rising, got [0.1"),
        ("tuning_seeds", 0, "claim.tuning_seeds: greater than or equal to 1, got '0'"),
        ("statment", "x", "claim.statment: Extra inputs are not permitted, got 'x'"),
    ],
)
def test_what_is_no_claim_is_refused(path: str, value: Any, message: str) -> None:
    """An invalid value in a claim is refused in under 300 signs, with file, key, rule and value."""
    with pytest.raises(ConfigError) as error:
        parse_claim(FILE, edited(path, value))
    assert str(error.value).startswith(f"{FILE}: {message}")
    assert len(str(error.value)) < 300


DECIDING: list[tuple[str, Any]] = [
    ("statement", "Another sentence."),
    ("slides", ["Another slide"]),
    ("parts.faster.says", "Slower."),
    ("parts.faster.measure", "difference"),
    ("parts.faster.rule.than", 0.6),
    ("parts.faster.rule.absent", 0.2),
    ("parts.faster.rule.confidence", 0.9),
    ("parts.faster.rule.floor", 0.1),
    ("parts.faster.rule", {"kind": "below", "than": 0.5, "absent": 0.6}),
    ("parts.faster.cells.depth", [2, 8]),
    ("parts.faster.cells", {"depth": [2, 4]}),
    ("parts.faster.decided_by", "any"),
    ("parts.faster.decided_by", {"depth": 2, "width": 8}),
    ("parts.faster.over", "nets"),
    ("parts.second", FULL["parts"]["faster"]),
    ("profiles", {"quick": {"seeds": 11}}),
    ("arms.relu", ["activation=leaky_relu"]),
    ("arms.tanh", MISSING),
    ("learning_rates", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
    ("tuning_seeds", 5),
    ("specifications", MAP),
]
SHOWN: list[tuple[str, Any]] = [
    ("title", "Another title"),
    ("version", 2),
    ("figure", "Another sentence."),
    ("notes", []),
    ("anchors", []),
    ("pilots", [{"ran": "A width", "seeds": "from 2000000 on", "changed": "the epochs"}]),
    ("parts.faster.headline", "faster"),
    ("parts.faster.where", "with two layers"),
    ("parts.faster.quotes", ["ReLU accelerates learning."]),
]


def rule_hash(node: dict[str, Any]) -> str:
    """Return the rule hash of a claim's node."""
    return parse_claim(FILE, node).rule_hash


@pytest.mark.parametrize(("path", "value"), DECIDING)
def test_what_decides_changes_the_rule(path: str, value: Any) -> None:
    """Each change of a value that is fixed before a version's runs changes the rule hash."""
    assert rule_hash(edited(path, value)) != rule_hash(FULL)


@pytest.mark.parametrize(("path", "value"), SHOWN)
def test_what_is_only_shown_does_not(path: str, value: Any) -> None:
    """Changes of titles, sources, figures and other shown values keep the rule hash."""
    assert rule_hash(edited(path, value)) == rule_hash(FULL)


def reverse(node: dict[str, Any]) -> dict[str, Any]:
    """The same mapping, written in another order."""
    return {key: reverse(value) if isinstance(value, dict) else value for key, value in reversed(node.items())}


@pytest.mark.parametrize(
    "same",
    [deepcopy, reverse, lambda node: node | {"tuning_seeds": 3, "notes": ["x"]}, lambda node: node | {"version": 7}],
)
def test_the_rule_is_its_content(same: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Key order, written-out defaults, notes and version do not change a rule's hash of 16 hexadecimal digits."""
    assert rule_hash(same(FULL)) == rule_hash(FULL)
    assert len(rule_hash(FULL)) == 16
    int(rule_hash(FULL), 16)


def test_every_field_is_deciding_or_shown() -> None:
    """A new field must be put into one of the two lists."""
    fields = set(parse_claim(FILE, FULL).model_dump())
    assert fields == {"tuned_by"} | {path.partition(".")[0] for path, _ in DECIDING + SHOWN}
    of_part = set(parse_claim(FILE, FULL).parts["faster"].model_dump()) - {"role", "slides", "n"}
    assert of_part == {path.split(".")[2] for path, _ in DECIDING + SHOWN if path.startswith("parts.faster.")}


def test_role_and_slides_of_a_part_are_part_of_the_rule() -> None:
    """A part that loses its say is another rule."""
    two = edited("parts.second", FULL["parts"]["faster"])
    other = deepcopy(two)
    other["parts"]["second"]["role"] = "secondary"
    assert rule_hash(other) != rule_hash(two)


def test_grid_is_the_product_of_the_coordinates() -> None:
    """A part without a map has one cell without coordinates."""
    part = parse_claim(FILE, FULL).parts["faster"]
    assert part.grid == [{"depth": depth, "width": width} for depth in (2, 4) for width in (8, 16)]
    assert parse_claim(FILE, CLAIM).parts["limit"].grid == [{}]
    assert (
        parse_claim(FILE, edited("parts.faster.decided_by", {"width": 8, "depth": 4})).parts["faster"].grid == part.grid
    )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("profiles", {"quick": {"seeds": 5}}, "claim.profiles.quick.seeds: part faster could only stay open, got 5: "),
        (
            "profiles",
            {"quick": {"seeds": 6}, "full": {"seeds": 1}},
            "claim.profiles.full.seeds: part faster ",
        ),
        ("parts.faster.n", 4, "claim.parts.faster.n: part faster could only stay open, got 4: "),
        ("parts.faster.n", "nets", "claim.profiles.quick.nets: must be how many values part faster is judged by, got "),
        (
            "parts.faster.rule.confidence",
            0.9999,
            "claim.profiles.quick.seeds: part faster could only stay open, got 10",
        ),
    ],
)
def test_too_few_seeds_for_any_verdict_are_refused(path: str, value: Any, message: str) -> None:
    """Too few seeds for any verdict are refused where the claim is declared, with the key and the number."""
    with pytest.raises(ConfigError) as caught:
        parse_claim(FILE, edited(path, value))
    assert str(caught.value).startswith(f"{FILE}: {message}")


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_number_that_is_named_is_enough(confidence: float) -> None:
    """The number of seeds that the refusal names is accepted, a smaller one refused; ``n: null`` is accepted."""
    node = edited("parts.faster.rule.confidence", confidence)
    node["profiles"] = {"quick": {"seeds": 2}}
    with pytest.raises(ConfigError, match="it takes at least ") as caught:
        parse_claim(FILE, node)
    needed = int(str(caught.value).partition("it takes at least ")[2].partition(";")[0])
    node["profiles"] = {"quick": {"seeds": needed}}
    assert parse_claim(FILE, node).profiles == node["profiles"]
    node["profiles"] = {"quick": {"seeds": needed - 1}}
    with pytest.raises(ConfigError, match="could only stay open"):
        parse_claim(FILE, node)
    node["parts"]["faster"]["n"] = None
    assert parse_claim(FILE, node).parts["faster"].n is None


def test_a_profile_says_how_many_values_a_part_has() -> None:
    """A part's n that names no key of a profile is refused; with the number that the message asks for, it is read."""
    node = edited("parts.faster.n", "nets")
    with pytest.raises(ConfigError, match=r"write for example nets: 10 there, or n: null"):
        parse_claim(FILE, node)
    node["profiles"] = {name: {**profile, "nets": 10} for name, profile in node["profiles"].items()}
    assert parse_claim(FILE, node).parts["faster"].n == "nets"


def test_how_many_values_there_are_is_no_part_of_the_rule() -> None:
    """The profiles are; so that claims from before keep their hash."""
    hashes = {parse_claim(FILE, edited("parts.faster.n", n)).rule_hash for n in ("seeds", 12, None)}
    assert len(hashes) == 1


def test_values_of_a_coordinate_have_the_kind_that_is_asked_for() -> None:
    """Whole numbers are numbers too; an unknown coordinate and another kind are refused."""
    part = parse_claim(FILE, FULL).parts["faster"]
    depths = part.cells["depth"]
    assert part.values("depth", int) == depths
    assert [type(value) for value in part.values("depth", float)] == [float] * len(depths)
    with pytest.raises(ConfigError, match=r"cells\.depth: must hold values of type str, got"):
        part.values("depth", str)
    with pytest.raises(ConfigError, match="deph"):
        part.values("deph", int)
