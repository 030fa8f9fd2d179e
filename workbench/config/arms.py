"""The arms of a sweep: runs that agree in all but their seeds, named for what differs between arms.

Arms are computed from configurations on every call. A run does not store its arm's name: it may be in several sweeps,
and in each of them other params differ. Configurations are flat texts by dotted key, as a store has them.
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
    "#C84E00",
    "#00805C",
    "#B3478A",
    "#9A6B00",
    "#6A4FB3",
    "#8B1E3F",
    "#000000",
)  # after Okabe and Ito, but darker where theirs are pale on white
TINTS = (0.0, 0.5)  # of the palette: as it is, then halfway to white
MISSING = "-"
ALL = "all runs"
LONGEST_NUMBER = 300  # characters
LARGE = 1e15  # from here on numbers are written with an exponent
_ORDER = [*GROUPS, *(field.name for field in fields(Config) if field.name not in GROUPS)]

Params = Mapping[str, str]


@dataclass(frozen=True)
class Arms:
    """Arm name of each run, and `order`, the indices of the runs sorted by arm; arms differ in the params `keys`."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    order: tuple[int, ...]


def arms_of(rows: Sequence[Params], keys: Sequence[str] | None = None) -> Arms:
    """Group runs with these params into arms by `keys`, else by all params that differ.

    Arms are sorted by their values, key by key: numbers by size, texts by first appearance. Runs of one arm stay in
    their relative order. An arm's name leaves out params that its choice does not have.
    """
    chosen = tuple(varying_keys(rows) if keys is None else keys)
    values = [tuple(_value(row, key) for key in chosen) for row in rows]
    orders = [_sort_positions([row[index] for row in values]) for index in range(len(chosen))]
    distinct = sorted(
        dict.fromkeys(values), key=lambda row: [order[value] for order, value in zip(orders, row, strict=True)]
    )
    arm_names = _distinct([_label(chosen, row, distinct) if chosen else _common(rows) for row in distinct])
    names, positions = dict(zip(distinct, arm_names, strict=True)), {row: index for index, row in enumerate(distinct)}
    order = sorted(range(len(rows)), key=lambda index: positions[values[index]])
    return Arms(chosen, tuple(names[row] for row in values), tuple(order))


def color_of(number: int) -> str:
    """Color of an arm by its number in the order of the arms, in figures, tables and charts; the 17th has the first."""
    tints, position = divmod(number % (len(PALETTE) * len(TINTS)), len(PALETTE))
    parts = bytes.fromhex(PALETTE[position].removeprefix("#"))
    return "#" + "".join(f"{round(part + (255 - part) * TINTS[tints]):02X}" for part in parts)


def varying_keys(rows: Sequence[Params]) -> list[str]:
    """List the params that differ between runs, choices of groups first.

    A run that lacks a param differs from those that have it. Left out are seeds, params that change no result, and the
    params of a choice when the choice itself differs.
    """
    known: dict[str, Counter[str]] = {}
    for row in rows:
        for key, text in row.items():
            known.setdefault(key, Counter())[text] += 1
    varying = [key for key, texts in known.items() if len({*map(canonical, texts)}) + (texts.total() < len(rows)) > 1]
    keys = [key for key in varying if matters(key)]
    keys.sort(key=_rank)
    return [key for key in keys if not _comes_with_choice(key, keys, rows)]


def matters(key: str) -> bool:
    """Whether runs that differ in this param may be of two arms."""
    return key not in SEEDS and key.partition(".")[0] not in NOT_RESULT


def canonical(text: str) -> str:
    """Write equal numbers alike, however they were written; leave every other text as it is."""
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
    """Shorten a value for a name: numbers to six digits where these are exact, lists without blanks."""
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
    owners = [owner for owner in keys if key.startswith(f"{owner}.")]
    settled: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        settled.setdefault(tuple(_value(row, owner) for owner in owners), set()).add(_value(row, key))
    return bool(owners) and all(len(values) == 1 for values in settled.values())


def _value(row: Params, key: str) -> str:
    return canonical(row[key]) if key in row else MISSING


def _sort_positions(values: Sequence[str]) -> dict[str, int]:
    distinct = list(dict.fromkeys(values))
    if all(map(is_number, distinct)):
        distinct.sort(key=float)
    return {value: position for position, value in enumerate(distinct)}


def _label(keys: Sequence[str], values: Sequence[str], arms: Sequence[Sequence[str]]) -> str:
    """``relu lr=0.1``: a group's choice by its name alone, other values after the last part of their key."""
    parts = []
    for index, key in enumerate(keys):
        value, short = values[index], key.rpartition(".")[2]
        if value == MISSING and any(key.startswith(f"{group}.") for group in keys):
            continue  # no param of this choice
        if sum(other.rpartition(".")[2] == short for other in keys) > 1:
            short = key
        bare = key in GROUPS and not any(is_number(row[index]) for row in arms) and value != MISSING
        parts.append(brief(value) if bare else f"{short}={brief(value)}")
    return " ".join(parts)


def _common(rows: Sequence[Params]) -> str:
    """Name the only arm: by the activation where all runs share one."""
    activations = {row.get("activation", "") for row in rows}
    return one_line(activations.pop() if len(activations) == 1 else "") or ALL


def _distinct(names: Sequence[str]) -> list[str]:
    """Number repeated names, so that no two arms are called the same."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered
