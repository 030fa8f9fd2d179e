"""How numbers are written in a table: which of its texts are numbers, and by which notation they are read.

A text is never taken for a number by chance: groups of thousands have three digits (the others two, in India), and what
stands beside a number must be named.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

BLANKS = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
SIGNS = {**BLANKS, **dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d"), "-"), ord("’"): "'"}
SEPARATORS = (".", ",", " ", "'", "_")
TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}  # pandas' own
DIGITS = r"[0-9](?:[0-9.,'_٫٬ ]*[0-9])?[.,]?"
POWER = r"(?:[eEdD][+-]?[0-9]+|\s*[x×*]\s*10\^?[+-]?[0-9]+)?"
BESIDE = (
    r"(?:(?:[^\w\s.,+\-<>=~≤≥≈?/\\|&;:#]|EUR|USD|GBP|CHF|JPY|CNY|INR|Rs\.?|kr)\s*)"  # currencies, %, quotes, brackets
)
LIKE = re.compile(
    rf"{BESIDE}?[+-]?\s*{BESIDE}?[+-]?(?:0[xX][0-9a-fA-F]+|{DIGITS}{POWER}|[.,][0-9]+{POWER})\s*{BESIDE}*-?"
)
WITH_UNIT = re.compile(rf"[+-]?{DIGITS}\s*[^\W\d_]{{1,8}}\.?")
FRACTION = re.compile(r"[.,][0-9]")
DAY = r"(?:[0-9]{4}[-/.][0-9]{1,2}(?:[-/.][0-9]{1,2})?|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{4}|[0-9]{2}))"
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:\s*[AaPp][Mm])?(?:\s*(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
TIME = re.compile(rf"(?:{DAY}(?:[T ]\s*{CLOCK})?|{CLOCK})")
LONGEST = 400  # characters of a number, and of what is like one
MANY_SIZES = 10  # different sizes with a unit in letters, above which they are no names


class Notation(NamedTuple):
    """The sign of the fraction, that of thousands where there is one, and what stands beside numbers."""

    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()


PLAIN = Notation()


def number(text: str, notation: Notation = PLAIN) -> float | None:
    """The number that a text is in this notation, None where it is none."""
    found = _pattern(notation).fullmatch(_usual(text)) if len(text) <= LONGEST else None
    if not found:
        return None
    sign = "-" if "-" in (found["sign"] + found["inner"]) else ""
    digits = found["whole"] if notation.thousands is None else found["whole"].replace(notation.thousands, "")
    return float(f"{sign}{digits}{found['fraction'].replace(notation.decimal, '.')}{found['power']}")


@lru_cache(maxsize=64)
def _pattern(notation: Notation) -> re.Pattern[str]:
    point = re.escape(notation.decimal)
    groups = ""
    if notation.thousands is not None:
        mark = re.escape(notation.thousands)
        groups = rf"[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}|"
    units = "|".join(re.escape(_usual(unit)) for unit in sorted(notation.units, key=len, reverse=True))
    unit = rf"(?:\s*(?:{units})\s*)?" if units else ""
    return re.compile(
        rf"(?P<sign>[+-]?){unit}(?P<inner>[+-]?)(?=[0-9]|{point}[0-9])(?P<whole>{groups}[0-9]*)"
        rf"(?P<fraction>(?:{point}[0-9]*)?)(?P<power>(?:[eE][+-]?[0-9]+)?){unit}"
    )


def _usual(text: str) -> str:
    """Usual blanks, minus signs and digits for what only looks otherwise."""
    if text.isascii():
        return text.strip()
    text = text.translate(SIGNS).strip()
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in text)


def is_like_number(text: str) -> bool:
    """Whether a text is a number in some notation."""
    return number(text) is not None or (len(text) <= LONGEST and LIKE.fullmatch(_usual(text)) is not None)


def is_time(text: str) -> bool:
    """Whether a text is a date, a time of day, or both."""
    return len(text) <= LONGEST and TIME.fullmatch(text.strip()) is not None


def are_sizes(texts: Sequence[str]) -> bool:
    """Whether different texts are numbers with units in letters: with fractions, or too many to be names."""
    if not all(len(text) <= LONGEST and WITH_UNIT.fullmatch(_usual(text)) for text in texts):
        return False
    return len(texts) > MANY_SIZES or any(FRACTION.search(text) for text in texts)


def readings(columns: Sequence[Sequence[str]]) -> list[Notation]:
    """The notations, simplest first, by which all texts of these columns are numbers: several where these differ."""
    texts = [text for column in columns for text in column]
    units = tuple(sorted({unit for text in texts for unit in _beside(text)}))
    if any(sign in unit for unit in units for sign in "()-"):  # which make a number negative
        return []
    found: dict[tuple[float | None, ...], Notation] = {}
    for notation in _candidates({sign for text in texts for sign in _usual(text)}, units):
        numbers = tuple(number(text, notation) for text in texts)
        if None not in numbers:
            found.setdefault(numbers, notation)
    return list(found.values())


def _candidates(signs: set[str], units: tuple[str, ...]) -> Iterator[Notation]:
    """Of signs that occur, those without one of thousands first."""
    for thousands in (None, *SEPARATORS):
        for decimal in (".", ",", "٫"):
            if decimal != thousands and {decimal, thousands} <= signs | {".", None}:
                yield Notation(decimal, thousands, units)


def _beside(text: str) -> Iterator[str]:
    """What stands before and behind the digits of a number, without its sign."""
    found = re.fullmatch(
        rf"[+-]?(?P<before>[^0-9.,+-]*)[+-]?{DIGITS}(?:[eE][+-]?[0-9]+)?(?P<behind>[^0-9]*)", _usual(text)
    )
    for unit in (found["before"], found["behind"]) if found else ():
        if unit.strip():
            yield unit.strip()
