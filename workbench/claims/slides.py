"""The lecture slide by slide: what was checked of each, with which verdict, and where it is wrong or says too much."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict

from workbench.claims.rules import Label
from workbench.claims.verdict import PartVerdict, Reproduction
from workbench.lecture.errata import ERRATA
from workbench.lecture.erratum import Erratum

FILE = Path(__file__).with_name("slides.yaml")


class Slide(BaseModel):
    """Title of the lecture, with the errata of its slides and a note on what no run decides."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str
    errata: list[str] = []
    note: str = ""


class Checked(NamedTuple):
    """A slide with the claims that check it, its errata, and the parts that came out against it."""

    slide: Slide
    claims: list[Reproduction]
    errata: list[Erratum]
    against: list[tuple[Reproduction, PartVerdict]]


@cache
def slides() -> list[Slide]:
    """All slides in the lecture's order."""
    return [Slide(**one) for one in yaml.safe_load(FILE.read_text(encoding="utf-8"))]


def slide_by_slide(several: Sequence[Reproduction]) -> list[Checked]:
    """List every slide with the verdicts of these reproductions."""
    return [_checked(slide, several) for slide in slides()]


def _checked(slide: Slide, several: Sequence[Reproduction]) -> Checked:
    pairs = [(one, part) for one in several for part in one.parts if slide.title in part.slides]
    claims = list({one.name: one for one, _ in pairs}.values())
    against = [(one, part) for one, part in pairs if _is_against(part)]
    return Checked(slide, claims, [one for one in ERRATA if one.id in slide.errata], against)


def _is_against(part: PartVerdict) -> bool:
    """Whether a part shows that the lecture says what is not so: extensions are none of its statements."""
    if part.role == "contradiction":
        return part.label is Label.supported
    return part.role != "extension" and part.label is Label.refuted
