"""Verdicts, from cells to parts, from parts to claims, from claims to families of claims."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.claims import made_up
from tests.claims.made_up import claim, part, reproduced
from workbench.claims.evidence import ArmScores, Cell, Estimate, Evidence, Exact, PerSeed, Rate, Rates, Witness
from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict, Reproduction, judge, overall, within_claim
from workbench.core.errors import ConfigError

S, R, OPEN, MIXED = Label.supported, Label.refuted, Label.inconclusive, Label.mixed
GRID = {"depth": [1, 2]}
VALUES = {S: 9.0, R: -9.0, OPEN: 0.0}


def of(label: Label, more: float = 0.0) -> Estimate:
    """Evidence that `above` 0 gives this label; `more` makes it more certain."""
    return Estimate(VALUES[label] * (1 + more), 1.0, 20, 22)


def judged(
    evidence: list[Evidence], decided_by: Any = "all", kind: str = "above", role: str = "primary"
) -> PartVerdict:
    """The verdict of a part with as many cells."""
    rule = {"than": 0} if kind == "above" else {}
    cells = {"depth": list(range(len(evidence)))}
    made = claim(
        parts={
            "p": part("Says.", kind, cells=cells, decided_by=decided_by, role=role, **rule),
            "other": part("Says.", "exists"),
        }
    )
    found = [Cell("p", one, {"depth": depth}) for depth, one in enumerate(evidence)]
    verdict, _ = judge(made, [*found, Cell("other", Witness(True, "w"))])
    return verdict


@pytest.mark.parametrize(
    ("labels", "every", "some"),
    [
        ((S, S), S, S),
        ((R, R), R, R),
        ((OPEN, OPEN), OPEN, OPEN),
        ((S, OPEN), OPEN, S),
        ((S, R), R, S),
        ((OPEN, R), R, OPEN),
        ((OPEN, S, R), R, S),
        ((OPEN, S, S), OPEN, S),
        ((R, R, OPEN), R, OPEN),
    ],
)
def test_cells_decide(labels: tuple[Label, ...], every: Label, some: Label) -> None:
    """All must be supported, one refutes; for any it is the other way around; a chosen cell decides alone."""
    cells: list[Evidence] = [of(label) for label in labels]
    assert judged(cells).label is every
    assert judged(cells, "any").label is some
    for depth, label in enumerate(labels):
        verdict = judged(cells, {"depth": depth})
        assert (verdict.label, verdict.deciding.at) == (label, {"depth": depth})
        assert [cell.decides for cell in verdict.cells] == [place == depth for place in range(len(labels))]
        assert [cell.judgment.label for cell in verdict.cells] == list(labels)


@pytest.mark.parametrize(
    ("cells", "decided_by", "depth"),
    [
        ([of(S, 0.2), of(S), of(S, 0.1)], "all", 1),
        ([of(S, 0.1), of(S, 0.2), of(S)], "any", 1),
        ([of(R, 0.1), of(S), of(R, 0.2), of(R)], "all", 2),
        ([of(R, 0.1), of(R), of(R, 0.2)], "any", 1),
        ([of(S), Estimate(1.0, 1.0, 20, 22), of(OPEN)], "all", 2),
        ([of(R), Estimate(1.0, 1.0, 20, 22), of(OPEN)], "any", 2),
        ([Exact(4), Exact(4, 1), Exact(4, 1)], "all", 1),
    ],
)
def test_which_cell_stands_for_the_part(cells: list[Evidence], decided_by: str, depth: int) -> None:
    """The most certain one where one is enough, the least certain one where all are needed."""
    verdict = judged(cells, decided_by, "always" if isinstance(cells[0], Exact) else "above")
    assert verdict.deciding.at == {"depth": depth}
    assert verdict.deciding in verdict.cells


B, N = Estimate(0.75, 0.01, 20, 22), PerSeed((9.0,) * 9, (), (ArmScores("relu", (0.1,) * 9, 0.1),))


@pytest.mark.parametrize(
    ("cells", "every", "some"),
    [
        ([B, B], Label.between, Label.between),
        ([3, B], Label.between, S),
        ([0, B], R, Label.between),
        ([1, B], OPEN, OPEN),
        ([B, 3, N], Label.never_trains, S),
        ([N, 0], R, Label.never_trains),
    ],
)
def test_cells_that_decide_nothing(cells: list[Any], every: Label, some: Label) -> None:
    """Small but real, or untrained: neither supports nor refutes, and an open cell comes before both."""
    rule = {"kind": "above", "than": 1, "floor": 0.1}
    trained = (ArmScores("relu", (0.9,) * 9, 0.1),)
    spread = {0: 0.01, 1: 4.0, 3: 0.01}
    found: list[PerSeed] = []
    for one in cells:
        mean = one if isinstance(one, int) else 0.75
        values = tuple(mean + spread.get(one if isinstance(one, int) else 0, 0.01) * (seed - 5) for seed in range(11))
        found.append(N if one is N else PerSeed(values, (), trained))
    for decided_by, label in (("all", every), ("any", some)):
        node = {
            "says": "S.",
            "measure": "m",
            "rule": rule,
            "cells": {"c": [*range(len(found))]},
            "decided_by": decided_by,
        }
        (verdict,) = judge(claim(parts={"p": node}), [Cell("p", one, {"c": place}) for place, one in enumerate(found)])
        assert verdict.label is label


def test_a_contradiction_quotes_the_slide() -> None:
    """A contradiction without the slide's words is refused."""
    with pytest.raises(ValueError, match="a contradiction must have quotes"):
        claim(parts={"p": part("Says."), "c": part("Says.", "exists", role="contradiction")})


def test_one_of_many_cells_has_a_smaller_level() -> None:
    """Eight cells by `any`: the level of what supports is divided by eight; a chosen cell keeps all of it."""
    cells: list[Evidence] = [of(S), *[of(OPEN)] * 7]
    assert judged(cells, "any").deciding.judgment.level == pytest.approx(0.025 / 8)
    assert judged(cells, {"depth": 0}).deciding.judgment.level == pytest.approx(0.025)
    assert judged([of(S)] * 8, "all").deciding.judgment.level == pytest.approx(0.025)
    assert judged([of(R)] * 8, "all").deciding.judgment.level == pytest.approx(0.025 / 8)


def test_cells_beyond_the_map_are_shown_only() -> None:
    """Cells beyond the map are shown, but neither refute nor stand for the part, wherever they come in the list."""
    made = claim(parts={"p": part("Says.", "above", than=0, cells=GRID)})
    cells = [Cell("p", of(R), {"depth": 8}), *(Cell("p", of(S), {"depth": depth}) for depth in (2, 1))]
    (verdict,) = judge(made, cells)
    assert verdict.label is S
    assert [(cell.at["depth"], cell.decides) for cell in verdict.cells] == [(8, False), (2, True), (1, True)]
    assert verdict.cells[0].judgment.label is R
    assert verdict.cells[0].where == "depth=8"


def test_part_carries_what_is_shown() -> None:
    """A part's verdict carries its name, texts, role and rule in words, and its own slides or else the claim's."""
    slides = {"slides": ["Own"]}
    made = claim(parts={"p": part("One.", slides=["Own"]), "q": part("Two.", "exists", role="extension")})
    first, second = judge(made, [Cell("q", Witness(True, "w")), Cell("p", Exact(1))])
    assert (first.name, first.says, first.measure, first.role) == (
        "p",
        "One.",
        "what is measured, in percent",
        "primary",
    )
    assert (first.slides, second.slides) == (slides["slides"], made.slides)
    assert (first.rule, second.rule) == (made.parts["p"].rule.says, made.parts["q"].rule.says)
    assert (second.name, second.role, second.cells[0].where) == ("q", "extension", "")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "part p must be measured in every cell, missing: {'depth': 1}"),
        ([{"depth": 1}], "part p must be measured in every cell, missing: {'depth': 2}"),
        ([{"depth": "1"}, {"depth": 2}], "part p must be measured in every cell, missing: {'depth': 1}"),
        ([{"depth": 1}, {"depth": 1}, {"depth": 2}], "p {'depth': 1}: measured twice"),
        ([{"depth": 3, "width": 4}, {"width": 4, "depth": 3}], "p {'width': 4, 'depth': 3}: measured twice"),
    ],
)
def test_cells_must_be_the_declared_ones(cells: list[dict[str, Any]], message: str) -> None:
    """A missing or repeated cell is refused and named, whatever the order of its coordinates."""
    made = claim(parts={"p": part("Says.", cells=GRID)})
    with pytest.raises(ConfigError) as error:
        judge(made, [Cell("p", Exact(1), at) for at in cells])
    assert str(error.value) == f"claim 'XOR and one neuron': {message}"


def test_unknown_part_lists_the_parts() -> None:
    """Evidence for an unknown part, as from a typing error, is refused with the list of parts."""
    with pytest.raises(ConfigError, match=r"claim 'XOR and one neuron': lmit \{\}: not a part; parts: limit$"):
        judge(claim(), [Cell("lmit", Exact(1))])


@pytest.mark.parametrize("role", ["secondary", "extension"])
def test_only_primary_parts_decide_the_claim(role: str) -> None:
    """Secondary parts and extensions of any label do not change the claim's label."""
    for label in Label:
        other = judged([of(R)], role=role).model_copy(update={"label": label})
        assert overall([judged([of(S)]), other]) is S
        assert overall([other, judged([of(R)])]) is R


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ((S,), S),
        ((S, S), S),
        ((R, R), R),
        ((OPEN, OPEN), OPEN),
        ((S, OPEN), MIXED),
        ((OPEN, R, S), MIXED),
        ((S, R), MIXED),
        ((Label.out_of_scope, S), MIXED),
    ],
)
def test_claim_has_the_label_that_its_primary_parts_share(labels: tuple[Label, ...], label: Label) -> None:
    """A claim has the label that its primary parts share; where they differ it is mixed, contradicting no part."""
    parts = [judged([of(S)]).model_copy(update={"label": one}) for one in labels]
    assert overall(parts) is label


def test_headline_and_contradictions() -> None:
    """The headline is the first primary part with the claim's label; supported contradictions are listed."""
    parts = {
        "p": part("One.", "above", than=0),
        "q": part("Two.", "above", than=0),
        "r": part("Three.", "above", than=0),
        "c": part("Four.", "exists", role="contradiction", quotes=["a", "b"]),
        "d": part("Five.", "exists", role="contradiction", quotes=["c"]),
    }
    witnesses = [Cell("c", Witness(False, "w")), Cell("d", Witness(True, "w"))]
    record = reproduced([Cell("p", of(S)), Cell("q", of(R)), Cell("r", of(R)), *witnesses], parts=parts)
    assert (record.label, record.headline.name) == (MIXED, "p")
    assert record.model_copy(update={"label": R}).headline.name == "q"
    assert [(one.name, one.quotes) for one in record.contradictions] == [("d", ["c"])]
    assert record.model_copy(update={"label": Label.out_of_scope}).headline.name == "p"


@pytest.mark.parametrize("record", made_up.everything(), ids=lambda one: one.name)
def test_record_comes_back_from_json(record: Reproduction) -> None:
    """A record comes back from JSON equal, with its headline and contradictions."""
    back = Reproduction.model_validate_json(record.model_dump_json(indent=1))
    assert back == record
    assert (back.headline, back.contradictions) == (record.headline, record.contradictions)


@pytest.mark.parametrize("evidence", [PerSeed((1.0, 2.0, 4.0)), PerSeed((1.0,)), Rate(3, 4), Rates(3, 4, 0, 5), of(S)])
def test_judgments_of_all_samples_come_back_from_json(evidence: Evidence) -> None:
    """Judgments of every kind of sample come back from JSON equal, also without an interval."""
    record = reproduced([Cell("p", evidence)], parts={"p": part("Says.", "above", than=0)})
    assert Reproduction.model_validate_json(record.model_dump_json()) == record


ONE = reproduced([Cell("p", of(S))], parts={"p": part("Says.", "above", than=0)})


def with_p(p: float, label: Label, name: str = "c") -> PartVerdict:
    """A part that decides, with this p value."""
    (verdict,) = ONE.parts
    judgment = verdict.deciding.judgment.model_copy(update={"p": p, "label": label})
    deciding = verdict.deciding.model_copy(update={"judgment": judgment})
    return verdict.model_copy(update={"name": name, "label": label, "deciding": deciding, "cells": [deciding]})


@pytest.mark.parametrize(
    ("ps", "left"),
    [
        ([0.02], [S]),
        ([0.02, 0.02], [OPEN, OPEN]),
        ([0.012, 0.02], [S, S]),
        ([0.001, 0.02, 0.012], [S, S, S]),
        ([0.001, 0.02, 0.013], [S, OPEN, OPEN]),
        ([0.008, 0.024, 0.025], [S, OPEN, OPEN]),
    ],
)
def test_holm_by_hand(ps: list[float], left: list[Label]) -> None:
    """Holm's correction at 2.5 % tests the smallest p at level / m, the next at level / (m - 1), until a test fails."""
    found = within_claim([with_p(p, S, f"c{number}") for number, p in enumerate(ps)])
    assert [one.label for one in found] == left
    assert all(one.cells == [one.deciding] and one.deciding.judgment.label is one.label for one in found)
    lost = f"supported by itself, open after Holm's correction over the {len(ps)} parts that decide"
    assert [one.deciding.judgment.reason.endswith(lost) for one in found] == [label is OPEN for label in left]


@given(st.lists(st.tuples(st.integers(0, 24), st.sampled_from([S, R, OPEN])), min_size=1, max_size=7))
def test_holm_steps_down_and_counts_open_parts(drawn: list[tuple[int, Label]]) -> None:
    """Holm's correction goes from the smallest p upward until a test fails; open parts count in the family, too."""
    drawn = [(1000 * p + number, label) for number, (p, label) in enumerate(drawn)]  # in millionths, all different
    left = {}
    for tests, (p, label) in zip(
        range(len(drawn), 0, -1), sorted(one for one in drawn if one[1] is not OPEN), strict=False
    ):
        if p * tests > 25_000:
            break
        left[p] = label
    several = [with_p(p / 1e6, label, f"c{number}") for number, (p, label) in enumerate(drawn)]
    assert [one.label for one in within_claim(several)] == [left.get(p, OPEN) for p, _ in drawn]


def test_exact_evidence_needs_no_correction() -> None:
    """Exact evidence and secondary parts count in no correction; without tests nothing changes."""
    exact, beside = made_up.proved().parts[0], with_p(0.3, OPEN, "beside").model_copy(update={"role": "secondary"})
    assert within_claim([exact]) == [exact]
    assert within_claim([]) == []
    borderline = with_p(0.02, S)
    assert within_claim([borderline, exact, beside]) == [borderline, exact, beside]
    between = with_p(0.001, Label.between, "other")
    assert [one.label for one in within_claim([with_p(0.012, S), between])] == [S, Label.between]
