"""Notations of numbers in tables: decimal sign, thousands separator and units; which texts are numbers in which.

No text is a number by chance: the last group of thousands has three digits (others three, or two as in India), and
units beside a number must be listed.
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
MANY_SIZES = 10  # distinct sizes with a unit in letters, such as 10 kg, above which a column holds numbers, not names


class Notation(NamedTuple):
    """Decimal sign, thousands separator or None, and the units that may stand before or behind numbers."""

    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()


PLAIN = Notation()


def number(text: str, notation: Notation = PLAIN) -> float | None:
    """Parse a text in this notation; None where it is no number."""
    parts = _pattern(notation).fullmatch(_usual(text)) if len(text) <= LONGEST else None
    if not parts:
        return None
    sign = "-" if "-" in (parts["sign"] + parts["inner"]) else ""
    digits = parts["whole"] if notation.thousands is None else parts["whole"].replace(notation.thousands, "")
    return float(f"{sign}{digits}{parts['fraction'].replace(notation.decimal, '.')}{parts['power']}")


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
    """Replace Unicode variants of blanks, minus signs and digits by the ASCII ones, and strip."""
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
    """Whether distinct texts are numbers with units in letters: some with fractions, or more than MANY_SIZES."""
    if not all(len(text) <= LONGEST and WITH_UNIT.fullmatch(_usual(text)) for text in texts):
        return False
    return len(texts) > MANY_SIZES or any(FRACTION.search(text) for text in texts)


def readings(columns: Sequence[Sequence[str]]) -> list[Notation]:
    """List the notations, simplest first, in which all texts of the columns are numbers and whose numbers differ."""
    texts = [text for column in columns for text in column]
    units = tuple(sorted({unit for text in texts for unit in _units_of(text)}))
    if any(sign in unit for unit in units for sign in "()-"):  # which make a number negative
        return []
    by_numbers: dict[tuple[float | None, ...], Notation] = {}
    for notation in _candidates({sign for text in texts for sign in _usual(text)}, units):
        numbers = tuple(number(text, notation) for text in texts)
        if None not in numbers:
            by_numbers.setdefault(numbers, notation)
    return list(by_numbers.values())


def _candidates(signs: set[str], units: tuple[str, ...]) -> Iterator[Notation]:
    """List the notations that use signs which occur; those without a thousands separator come first."""
    for thousands in (None, *SEPARATORS):
        for decimal in (".", ",", "٫"):
            if decimal != thousands and {decimal, thousands} <= signs | {".", None}:
                yield Notation(decimal, thousands, units)


def _units_of(text: str) -> Iterator[str]:
    """Yield the units before and behind a number's digits, without its sign."""
    parts = re.fullmatch(
        rf"[+-]?(?P<before>[^0-9.,+-]*)[+-]?{DIGITS}(?:[eE][+-]?[0-9]+)?(?P<behind>[^0-9]*)", _usual(text)
    )
    for unit in (parts["before"], parts["behind"]) if parts else ():
        if unit.strip():
            yield unit.strip()
