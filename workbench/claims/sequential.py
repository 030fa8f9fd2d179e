"""Seeds added look by look, up to a number that is fixed beforehand, until the parts that decide are settled.

Looking K times gives chance K tries. The error of a rule is spent over the looks (alpha spending, Lan and DeMets 1983),
the same share at each: a rule of 95 % judges each look at 1 - 0.05 / K. By the union bound the error over all looks is
then below 5 %, whatever the evidence is, however its looks hang together, and wherever one stops.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from workbench.claims.claim import SEEDS, Claim
from workbench.claims.evidence import Cell
from workbench.claims.rules import Label, OfASample
from workbench.claims.verdict import PartVerdict, judge, within_claim
from workbench.core.errors import ConfigError

LEAST = 10  # seeds of the first look
GROWTH = 1.5
MOST_LOOKS = 20
SETTLED = (Label.supported, Label.refuted, Label.between)


class Ended(NamedTuple):
    """The parts as they were judged at the look that settled them, or else at the last, and its number of seeds."""

    parts: list[PartVerdict]
    seeds: int


def looks(claim: str, most: object) -> list[int]:
    """Numbers of seeds, each half as many again as the one before, the last of them `most`.

    Raises ConfigError where a profile has no number of seeds, or too few to look twice.
    """
    if not isinstance(most, int) or most <= LEAST:
        raise ConfigError(
            f"claim {claim}: --sequential: its profile must have more than {LEAST} {SEEDS} to look more than once, got "
            f"{most}; choose --profile full, or drop --sequential"
        )
    sizes = [LEAST]
    while sizes[-1] * GROWTH < most and len(sizes) < MOST_LOOKS - 1:
        sizes.append(int(sizes[-1] * GROWTH))
    return [*sizes, most]


def stricter(claim: Claim, times: int) -> Claim:
    """The claim with rules for one of so many looks; what is exact stays as it is."""
    parts = {}
    for name, part in claim.parts.items():
        rule = part.rule
        if isinstance(rule, OfASample):
            rule = rule.model_copy(update={"confidence": 1 - (1 - rule.confidence) / times})
        parts[name] = part.model_copy(update={"rule": rule})
    return claim.model_copy(update={"parts": parts})


def in_looks(claim: Claim, sizes: Iterable[int], measured: Callable[[int], Iterable[Cell]]) -> Ended:
    """Judge at every size until all parts that decide are settled; `measured` gives the cells at a size."""
    planned = list(sizes)
    strict = stricter(claim, len(planned))
    settled: dict[str, PartVerdict] = {}
    deciding = {name for name, part in claim.parts.items() if part.role == "primary"}
    for size in planned:
        parts = within_claim(judge(strict, measured(size)))
        for part in parts:
            if part.label in SETTLED:
                settled.setdefault(part.name, part)
        if deciding <= settled.keys():
            break
    return Ended([settled.get(part.name, part) for part in parts], size)
