"""Verdict of a claim from its judged cells, as one record that cards, tables and reports read."""

from collections.abc import Iterable, Sequence

from pydantic import Field

from workbench.claims.claim import Anchor, Claim, Part, Pilot, Role
from workbench.claims.evidence import Cell, Coordinate
from workbench.claims.rules import FrozenModel, Judgment, Label
from workbench.core.errors import ConfigError
from workbench.core.stats import holm

ROBUST = 0.8  # share of specifications that agree
DECIDED = (Label.supported, Label.refuted)


class CellVerdict(FrozenModel):
    """Verdict of one cell, and whether it may decide: cells measured beyond the declared ones are shown only."""

    at: dict[str, Coordinate]
    judgment: Judgment
    decides: bool = True

    @property
    def where(self) -> str:
        """``depth=3 width=64``; empty where the part has no map."""
        return " ".join(f"{name}={value}" for name, value in self.at.items())


class PartVerdict(FrozenModel):
    """A part with its cells; `deciding` is the cell whose numbers stand for it."""

    name: str
    says: str
    measure: str
    role: Role
    slides: list[str]
    rule: str
    label: Label
    deciding: CellVerdict
    cells: list[CellVerdict]
    headline: str = ""
    where: str = ""
    quotes: list[str] = Field(default_factory=list)

    @property
    def short(self) -> str:
        """Short form of the part's sentence."""
        return self.headline or self.name.replace("_", " ")


class MapVerdict(FrozenModel):
    """Specification map of a part in numbers: how many specifications have the label of the cell that decides.

    `own` is the setting of that cell, `data` are the data sets of the map by name.
    """

    part: str
    label: Label
    own: dict[str, str]
    data: list[str]
    agree: int
    total: int

    @property
    def robust(self) -> bool:
        """Whether the label is decided, and at least four of five specifications have it."""
        return self.label is not Label.inconclusive and self.agree >= ROBUST * self.total


class SweepLink(FrozenModel):
    """Runs that were trained for a verdict: a sweep's id and the address of its charts."""

    id: str
    link: str


class Reproduction(FrozenModel):
    """A claim as reproduced: its verdict with everything needed to read, show and repeat it.

    `registration` is the digest of what was kept before the first run, `pilots` what had been run before that.
    `disagreements` say which of its runs learned by gradients that are not autograd's. `holm` is set in records of
    version 0.1, where several claims were corrected together: the label that was left.
    """

    name: str
    title: str
    statement: str
    slides: list[str]
    anchors: list[Anchor]
    notes: list[str]
    figure: str
    version: int
    rule_hash: str
    registration: str = ""
    pilots: list[Pilot] = Field(default_factory=list)
    profile: str
    settings: dict[str, object]
    label: Label
    parts: list[PartVerdict]
    date: str
    seconds: float
    runs: int = 0
    sweeps: list[SweepLink] = Field(default_factory=list)
    tuning: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    command: str
    run: str = ""
    disagreements: list[str] = Field(default_factory=list)
    holm: Label | None = None
    specifications: MapVerdict | None = None

    @property
    def headline(self) -> PartVerdict:
        """The primary part whose numbers stand for the claim: the first with its label; of a mixed one, the first."""
        return next((part for part in self.primary if part.label == self.label), self.primary[0])

    @property
    def primary(self) -> list[PartVerdict]:
        """The parts that decide."""
        return [part for part in self.parts if part.role == "primary"]

    @property
    def contradictions(self) -> list[PartVerdict]:
        """Parts that show the lecture contradicting itself."""
        return [part for part in self.parts if part.role == "contradiction" and part.label is Label.supported]


def judge(claim: Claim, cells: Iterable[Cell]) -> list[PartVerdict]:
    """The verdict of every part.

    Raises ConfigError for a cell of an unknown part, one measured twice, and one that is declared but not measured.
    """
    measured: dict[str, dict[tuple[tuple[str, Coordinate], ...], Cell]] = {name: {} for name in claim.parts}
    for cell in cells:
        where = tuple(sorted(cell.at.items()))
        if cell.part not in measured or where in measured[cell.part]:
            problem = "measured twice" if cell.part in measured else f"not a part; parts: {', '.join(claim.parts)}"
            raise ConfigError(f"claim {claim.title!r}: {cell.part} {cell.at}: {problem}")
        measured[cell.part][where] = cell
    return [_judge_part(name, claim, part, measured[name].values()) for name, part in claim.parts.items()]


def _judge_part(name: str, claim: Claim, part: Part, cells: Iterable[Cell]) -> PartVerdict:
    found = list(cells)
    missing = [at for at in part.grid if at not in [cell.at for cell in found]]
    if missing:
        raise ConfigError(f"claim {claim.title!r}: part {name} must be measured in every cell, missing: {missing[0]}")
    decisive = part.grid if isinstance(part.decided_by, str) else [part.decided_by]
    alone = Label.supported if part.decided_by == "any" else Label.refuted
    verdicts = [
        CellVerdict(
            at=dict(cell.at),
            judgment=part.rule.judge(cell.evidence, len(decisive), alone),
            decides=cell.at in decisive,
        )
        for cell in found
    ]
    deciding = _decide([cell for cell in verdicts if cell.decides], alone)
    return PartVerdict(
        name=name,
        says=part.says,
        measure=part.measure,
        role=part.role,
        slides=part.slides or claim.slides,
        rule=part.rule.says,
        label=deciding.judgment.label,
        deciding=deciding,
        cells=verdicts,
        headline=part.headline,
        where=part.where,
        quotes=part.quotes,
    )


def _decide(cells: Sequence[CellVerdict], alone: Label) -> CellVerdict:
    """The cell that decides: one with the label `alone` does, the opposite label needs all of them.

    Of cells with one label, the least certain stands for them where all were needed, the most certain where one was.
    Where cells differ otherwise, an open one decides, then one that never trains, then one between the bounds.
    """
    enough = [cell for cell in cells if cell.judgment.label is alone]
    if enough:
        return min(enough, key=_p)
    for label in (Label.inconclusive, Label.never_trains, Label.between):
        if some := [cell for cell in cells if cell.judgment.label is label]:
            return max(some, key=_p)
    return max(cells, key=_p)


def _p(cell: CellVerdict) -> float:
    return 0.0 if cell.judgment.p is None else cell.judgment.p


def overall(parts: Sequence[PartVerdict]) -> Label:
    """The claim's label: that of its primary parts where they agree, else mixed."""
    labels = {part.label for part in parts if part.role == "primary"}
    return labels.pop() if len(labels) == 1 else Label.mixed


def within_claim(parts: Sequence[PartVerdict]) -> list[PartVerdict]:
    """The parts after Holm's correction over the tests of those that decide, as many of which chance may strike at.

    Every test of a primary part counts, also one that left its part open (as p = 1); what is exact needs no correction.
    A part stays decided where its adjusted p value is below the level that its rule used.
    """
    tested = {
        part.name: _p(part.deciding) if part.label in DECIDED else 1.0
        for part in parts
        if part.role == "primary" and part.deciding.judgment.p is not None
    }
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True)) if tested else {}
    return [_left(part, adjusted.get(part.name, 0.0), len(tested)) for part in parts]


def _left(part: PartVerdict, adjusted: float, tests: int) -> PartVerdict:
    judgment = part.deciding.judgment
    if part.label not in DECIDED or adjusted <= (judgment.level or 0.0):
        return part
    lost = f"{part.label} by itself, open after Holm's correction over the {tests} parts that decide"
    reason = "; ".join(filter(None, (judgment.reason, lost)))
    judgment = judgment.model_copy(update={"label": Label.inconclusive, "reason": reason})
    deciding = part.deciding.model_copy(update={"judgment": judgment})
    cells = [deciding if cell == part.deciding else cell for cell in part.cells]
    return part.model_copy(update={"label": Label.inconclusive, "deciding": deciding, "cells": cells})
