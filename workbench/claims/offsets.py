"""Verdicts of one study on several sets of fresh seeds: how often the label of a claim or of a part differs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from workbench.claims.rules import Label
from workbench.claims.verdict import Reproduction


class Flips(NamedTuple):
    """A claim (`part` is empty) or one of its parts, with its label at each offset at which it was judged."""

    claim: str
    part: str
    role: str
    labels: list[Label]

    @property
    def rate(self) -> float:
        """Share of the offsets whose label is not the most frequent one."""
        return 1 - max(Counter(self.labels).values()) / len(self.labels)

    @property
    def opposed(self) -> bool:
        """Whether it is supported on some seeds and refuted on others."""
        return {Label.supported, Label.refuted} <= set(self.labels)


def flips(by_offset: Mapping[int, Mapping[str, Reproduction]]) -> list[Flips]:
    """Labels of every claim and part that was judged at two offsets or more, in the order of the claims."""
    names = dict.fromkeys(name for several in by_offset.values() for name in sorted(several))
    return [line for name in names for line in _of_claim(name, by_offset) if len(line.labels) > 1]


def _of_claim(name: str, by_offset: Mapping[int, Mapping[str, Reproduction]]) -> Iterator[Flips]:
    records = [several[name] for several in by_offset.values() if name in several]
    yield Flips(name, "", "", [one.label for one in records])
    for part in records[0].parts:
        labels = [own.label for one in records for own in one.parts if own.name == part.name]
        yield Flips(name, part.name, part.role, labels)
