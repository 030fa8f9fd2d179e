"""Judgments: a label with its numbers, which a rule gives to evidence."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Label(StrEnum):
    """Outcome of a cell, part or claim; only a claim can be `mixed`, where its parts differ."""

    supported = "supported"
    refuted = "refuted"
    mixed = "mixed"
    between = "between the bounds"
    never_trains = "never trains"
    inconclusive = "inconclusive"
    out_of_scope = "out of scope"


class FrozenModel(BaseModel):
    """A value read from yaml or JSON: unknown keys are errors, nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmAccuracy(FrozenModel):
    """Accuracy of one compared arm: interquartile mean over seeds, and the number of runs that ended at chance.

    `failed` of `n` runs stayed below the floor of the rule, or below chance where it names none.
    """

    arm: str
    accuracy: float
    chance: float
    failed: int
    n: int


class Judgment(FrozenModel):
    """A label with its numbers; None where there is no such number.

    `p` is that of the test behind the label, and `level` what it had to stay below. `arms` are the accuracies behind a
    difference of two arms, where they were measured. `population` says what the interval is for; `seeds_low` and
    `seeds_high` are the interval for other seeds on the same data, `ratio` n_test / n_train of data that seeds share.
    """

    label: Label
    found: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    p: float | None = None
    level: float | None = None
    reason: str = ""
    arms: list[ArmAccuracy] = Field(default_factory=list)
    population: str = ""
    seeds_low: float | None = None
    seeds_high: float | None = None
    ratio: float = 0.0
