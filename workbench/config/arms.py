"""What an arm of a sweep is: its runs that agree in all but their seeds, named for what differs between arms.

Arms are computed from configurations whenever they are asked for. No name is kept with a run, since a run may be in
several sweeps, and what differs from the others is another thing in each. Configurations are flat texts by dotted
key, as a store keeps them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite

from workbench.config.schema import GROUPS, NOT_RESULT, Config
from workbench.core.plain_text import one_line

SEEDS = ("seed", "split.seed")
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#F0E442",
    "#000000",
)  # Okabe and Ito
MISSING = "-"
ALL = "all runs"
LONGEST_NUMBER = 300  # characters
LARGE = 1e15  # from here on numbers are written with an exponent
_ORDER = [*GROUPS, *(field.name for field in fields(Config) if field.name not in GROUPS)]

Params = Mapping[str, str]


@dataclass(frozen=True)
class Arms:
    """The arm of each run by name, and the places of the runs in the order of arms; `keys` are what arms differ in."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    order: tuple[int, ...]


def arms_of(rows: Sequence[Params], keys: Sequence[str] | None = None) -> Arms:
    """The arms of runs with these params: by `keys`, else by all that differ.

    Arms come in the order of their values, key by key: numbers by size, others as the rows do. A row keeps its place
    within its arm. Of a param that its choice does not have, an arm's name says nothing.
    """
    chosen = tuple(varying_keys(rows) if keys is None else keys)
    values = [tuple(_value(row, key) for key in chosen) for row in rows]
    orders = [_places([row[place] for row in values]) for place in range(len(chosen))]
    distinct = sorted(
        dict.fromkeys(values), key=lambda row: [order[value] for order, value in zip(orders, row, strict=True)]
    )
    named = _distinct([_label(chosen, row, distinct) if chosen else _common(rows) for row in distinct])
    names, places = dict(zip(distinct, named, strict=True)), {row: place for place, row in enumerate(distinct)}
    order = sorted(range(len(rows)), key=lambda place: places[values[place]])
    return Arms(chosen, tuple(names[row] for row in values), tuple(order))


def varying_keys(rows: Sequence[Params]) -> list[str]:
    """The params that differ between runs, choices of groups first.

    A run that lacks a param differs from those that have it. Left out are seeds, what changes no result, and what a
    choice that differs brings with it.
    """
    known: dict[str, Counter[str]] = {}
    for row in rows:
        for key, text in row.items():
            known.setdefault(key, Counter())[text] += 1
    several = [key for key, texts in known.items() if len({*map(canonical, texts)}) + (texts.total() < len(rows)) > 1]
    keys = [key for key in several if matters(key)]
    keys.sort(key=_rank)
    return [key for key in keys if not _comes_with_choice(key, keys, rows)]


def matters(key: str) -> bool:
    """Whether runs that differ in this param may be of two arms."""
    return key not in SEEDS and key.partition(".")[0] not in NOT_RESULT


def canonical(text: str) -> str:
    """The same text for the same number, however it is written; every other text as it is."""
    plain = text.strip()
    if not plain or len(plain) > LONGEST_NUMBER or not plain.isascii() or "_" in plain:
        return text
    try:
        number = float(plain)
    except ValueError:
        return text
    if plain.lstrip("+-").isdigit():
        return str(int(plain))
    if not isfinite(number):
        return text
    return str(int(number)) if number.is_integer() and abs(number) < LARGE else repr(number)


def is_number(text: str | None) -> bool:
    """Whether a param's value is a finite number."""
    try:
        return isfinite(float(text or "nan"))
    except ValueError:
        return False


def brief(text: str) -> str:
    """A value as names show it: numbers with six digits where that is enough to tell them, lists without blanks."""
    value = canonical(text)
    if is_number(value) and not value.lstrip("+-").isdigit():
        short = f"{float(value):g}"
        return short if float(short) == float(value) else value
    return one_line(value.replace(", ", ","))


def _rank(key: str) -> tuple[bool, int, str]:
    top = key.partition(".")[0]
    return key not in GROUPS, _ORDER.index(top) if top in _ORDER else len(_ORDER), key


def _comes_with_choice(key: str, keys: Sequence[str], rows: Sequence[Params]) -> bool:
    """Whether a choice that differs (``activation`` for ``activation.slope``) settles the param's value."""
    owners = [one for one in keys if key.startswith(f"{one}.")]
    settled: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        settled.setdefault(tuple(_value(row, one) for one in owners), set()).add(_value(row, key))
    return bool(owners) and all(len(values) == 1 for values in settled.values())


def _value(row: Params, key: str) -> str:
    return canonical(row[key]) if key in row else MISSING


def _places(values: Sequence[str]) -> dict[str, int]:
    distinct = list(dict.fromkeys(values))
    if all(map(is_number, distinct)):
        distinct.sort(key=float)
    return {value: place for place, value in enumerate(distinct)}


def _label(keys: Sequence[str], values: Sequence[str], arms: Sequence[Sequence[str]]) -> str:
    """``relu lr=0.1``: a group's choice by its name alone, other values after the last part of their key."""
    parts = []
    for place, key in enumerate(keys):
        value, short = values[place], key.rpartition(".")[2]
        if value == MISSING and any(key.startswith(f"{one}.") for one in keys):
            continue  # no param of this choice
        if sum(other.rpartition(".")[2] == short for other in keys) > 1:
            short = key
        bare = key in GROUPS and not any(is_number(row[place]) for row in arms) and value != MISSING
        parts.append(brief(value) if bare else f"{short}={brief(value)}")
    return " ".join(parts)


def _common(rows: Sequence[Params]) -> str:
    """The name of the only arm: that of its activation, where all have one."""
    found = {row.get("activation", "") for row in rows}
    return one_line(found.pop() if len(found) == 1 else "") or ALL


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each of several equal ones with its number: another arm is never taken for the same."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told
