"""A claim as data: what its yaml says under the key ``claim``.

claim:
  title: XOR                          # of the card
  statement: What the lecture says.   # its sentence
  slides: [Perceptron vs. Logistic Neuron]
  version: 1                          # goes up when a rule changes
  parts:                              # sentences that a measurement can decide, each with its rule
    limit:
      says: No neuron with a monotone activation computes XOR.
      headline: one neuron computes XOR not   # the sentence in a few words, as the claim's headline has it
      measure: points of four that the best one decides wrongly
      rule: {kind: always}
      cells: {activation: [sigmoid, tanh]}
  anchors:                            # published numbers, with the evidence for them
    - {source: Glorot and Bengio 2010, says: Table 1 ..., evidence: read}
  arms: {relu: [activation=relu]}     # overrides by name, where runs are trained
  learning_rates: [0.01, 0.03, 0.1, 0.3, 1.0]
  tuned_by: valid/loss                # the metric by which the best is chosen, if the code names no other
  pilots:                             # what was run before this was fixed, or led to another version of it
    - {ran: Two depths, seeds: from 2000000 on, changed: the number of epochs}
  figure: What the figure shows, in a sentence for those who cannot see it.
  specifications: {part: limit, ...}  # a map of other data, widths, budgets and optimizers: `map_rules`
  profiles:
    quick: {seeds: 10}
    full: {seeds: 50}
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from workbench.claims.evidence import Coordinate
from workbench.claims.map_rules import MAP, Specifications
from workbench.claims.rules import Above, AnyRule, Below, FrozenModel, OfASample
from workbench.core.errors import ConfigError, unknown_name

Role = Literal["primary", "secondary", "contradiction", "extension"]
Kind = TypeVar("Kind", int, float, str)
Text = Annotated[str, Field(min_length=1)]
TUNING_SEED = 1_000_000  # tuning seeds count from here, those of the verdict from 0
LEAST_RATES = 5
SEEDS = "seeds"  # a profile's key
FOLDS = 4  # of the tuning seeds: with fewer, Student's t for other tuning is above 4
TUNING = (
    "{} folds of the tuning seeds each choose the rate that is best on them, and seeds of the verdict have these rates "
    "by turns; the grid is extended, and its ends are told, by all tuning seeds together"
)
NO_RULE = {"title", "anchors", "figure", "notes", "pilots", "version"}  # shown only


class Anchor(FrozenModel):
    """A published result. `evidence`: ``read`` in the primary text, ``secondary`` source, or ``computed`` here."""

    source: Text
    says: Text
    evidence: Literal["read", "secondary", "computed"]


class Pilot(FrozenModel):
    """Pilot before the rule was fixed: runs, their seeds, and the change that followed from them."""

    ran: Text
    seeds: Text
    changed: Text

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return f"{self.ran}; seeds: {self.seeds}; changed: {self.changed}"


class Part(FrozenModel):
    """A sentence with the rule that decides it, in the cells of a map.

    `role`: a ``primary`` part decides the claim; a ``secondary`` one and an ``extension`` (what the lecture does not
    say) are judged and shown; a ``contradiction``, where it is supported, shows that the lecture contradicts itself.
    `decided_by` is ``all`` cells, ``any`` cell, or the coordinates of one. `n` says how many values, one per seed, its
    rule judges: a number, or a key of the profiles; null where it judges other evidence. `over` is what one value is
    of: a run on ``data``, nets at their ``starts``, ``nets`` that see no data set, or ``processes`` that are timed.

    `headline` is the sentence in a few words, parts of one sentence share it, and `where` then tells them apart ("on
    digits"). A contradiction gives in `quotes` the words of the slides that it is about.
    """

    says: Text
    measure: Text
    rule: AnyRule
    headline: str = ""
    where: str = ""
    quotes: list[Text] = Field(default_factory=list)
    role: Role = "primary"
    cells: dict[str, list[Coordinate]] = Field(default_factory=dict)
    decided_by: Literal["all", "any"] | dict[str, Coordinate] = "all"
    slides: list[Text] = Field(default_factory=list)
    n: int | str | None = SEEDS
    over: Literal["data", "starts", "nets", "processes"] = "data"

    @property
    def grid(self) -> list[dict[str, Coordinate]]:
        """The coordinates of every cell that must be measured; a part without a map has one cell without any."""
        return [dict(zip(self.cells, values, strict=True)) for values in product(*self.cells.values())]

    def values(self, coordinate: str, kind: type[Kind]) -> list[Kind]:
        """The declared values of one coordinate: ``part.values("depth", int)``.

        Raises ConfigError for an unknown coordinate and for values of another kind.
        """
        if coordinate not in self.cells:
            raise unknown_name("cells", coordinate, self.cells)
        return [_of_kind(coordinate, value, kind) for value in self.cells[coordinate]]

    @model_validator(mode="after")
    def _decidable(self) -> "Part":
        if isinstance(self.decided_by, dict) and self.decided_by not in self.grid:
            raise ValueError(f"decided_by must be a cell of the map, got {self.decided_by}")
        if self.role == "contradiction" and not self.quotes:
            raise ValueError("a contradiction must have quotes, the slide's own words that it is about")
        return self


def _of_kind(coordinate: str, value: Coordinate, kind: type[Kind]) -> Kind:
    if kind is float and isinstance(value, int):
        value = float(value)
    if not isinstance(value, kind):
        raise ConfigError(f"cells.{coordinate}: must hold values of type {kind.__name__}, got {value!r}")
    return value


class Claim(FrozenModel):
    """A statement of the lecture with everything that is fixed before the runs of a version."""

    title: Text
    statement: Text
    slides: list[Text] = Field(min_length=1)
    version: int = Field(ge=1)
    parts: dict[str, Part] = Field(min_length=1)
    anchors: list[Anchor] = Field(default_factory=list)
    figure: Text
    profiles: dict[str, dict[str, Any]] = Field(min_length=1)
    arms: dict[str, list[str]] = Field(default_factory=dict)
    learning_rates: list[float] = Field(default_factory=list)
    tuning_seeds: int = Field(FOLDS, ge=1)
    tuned_by: Text = "valid/loss"
    pilots: list[Pilot] = Field(default_factory=list)
    notes: list[Text] = Field(default_factory=list)
    specifications: Specifications | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Claim":
        if not any(part.role == "primary" for part in self.parts.values()):
            raise ValueError("parts must hold one whose role is primary")
        if self.learning_rates and (
            len(self.learning_rates) < LEAST_RATES or sorted(set(self.learning_rates)) != self.learning_rates
        ):
            raise ValueError(f"learning_rates must be at least {LEAST_RATES}, rising, got {self.learning_rates}")
        if (plan := self.specifications) is not None:
            part = self.parts.get(plan.part)
            if part is None or plan.cell not in part.grid or not isinstance(part.rule, Above | Below):
                raise ValueError(f"{MAP} must name a part with a rule above or below, and a cell of it, got {plan}")
        return self

    @property
    def floor(self) -> float | None:
        """Least floor of the claim's rules: accuracy above chance that counts as training; None without one."""
        floors = [part.rule.floor for part in self.parts.values() if isinstance(part.rule, OfASample)]
        return min((floor for floor in floors if floor is not None), default=None)

    @property
    def folds(self) -> int:
        """Number of folds of the tuning seeds, each of which chooses learning rates of its own."""
        return min(FOLDS, self.tuning_seeds)

    @property
    def rule_text(self) -> str:
        """The rule, as text that is the same exactly when it is; `registration` has all that decides a verdict."""
        fixed = self.model_dump(mode="json", exclude={*NO_RULE, "tuned_by"})
        for name, part in self.parts.items():
            for shown in ("n", "headline", "where", "quotes"):  # the profiles hold n
                del fixed["parts"][name][shown]
            fixed["parts"][name]["decides"] = part.rule.says  # what the rule's kind means is a part of the rule
        if self.specifications is None:
            del fixed[MAP]
        if self.learning_rates:
            fixed["tuning"] = TUNING.format(self.folds)
        return json.dumps(fixed, indent=1, sort_keys=True, ensure_ascii=False)

    @property
    def rule_hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of `rule_text`."""
        return sha256(self.rule_text.encode()).hexdigest()[:16]


def parse_claim(file: Path, node: Mapping[str, Any]) -> Claim:
    """The claim of a yaml file.

    Raises ConfigError with file, key, rule and value where it is not one.
    """
    try:
        claim = Claim.model_validate(node)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["claim", *(str(part) for part in first["loc"])])
        rule = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise ConfigError(f"{file}: {place}: {rule}, got {str(first['input'])[:80]!r}") from error
    for name, part in claim.parts.items():
        for profile in claim.profiles:
            _refuse_undecidable(file, claim, name, part, profile)
    for profile in claim.profiles:
        _refuse_undecidable_map(file, claim, profile)
    return claim


def _refuse_undecidable(file: Path, claim: Claim, name: str, part: Part, profile: str) -> None:
    """Raise ConfigError for a part of which a profile has too few seeds for any verdict but an open one."""
    if not isinstance(part.rule, OfASample) or part.n is None:
        return
    settings, key = claim.profiles[profile], f"parts.{name}.n"
    n: Any = part.n
    if isinstance(part.n, str):
        if part.n == SEEDS and SEEDS not in settings:
            return
        key, n = f"profiles.{profile}.{part.n}", settings.get(part.n)
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ConfigError(
                f"{file}: claim.{key}: must be how many values part {name} is judged by, got {n!r}; write for example "
                f"{part.n}: 10 there, or n: null in the part if it is not judged by one value per seed"
            )
    if few := part.rule.too_few(n):
        raise ConfigError(
            f"{file}: claim.{key}: part {name} could only stay open, got {n}: {few}; write so many, or n: null in the "
            "part if it is not judged by one value per seed (but by a Rate, an Estimate, ...)"
        )


def _refuse_undecidable_map(file: Path, claim: Claim, profile: str) -> None:
    """Raise ConfigError for a profile with a map that the claim has not, or with too few seeds for a label."""
    n, plan = claim.profiles[profile].get(MAP), claim.specifications
    if n is None:
        return
    place = f"{file}: claim.profiles.{profile}.{MAP}"
    if plan is None or not isinstance(n, int) or n < 2:
        raise ConfigError(f"{place}: must be the seeds of each specification of claim.{MAP}, two or more, got {n!r}")
    rule = claim.parts[plan.part].rule
    if isinstance(rule, OfASample) and (few := rule.too_few(n)):
        raise ConfigError(f"{place}: a specification could only stay open, got {n}: {few}")
