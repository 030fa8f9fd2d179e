"""Words and symbols of a reproduction, shared by the card, the reports and the list of claims."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from workbench.claims.rules import Judgment, Label
from workbench.claims.verdict import CellVerdict, PartVerdict, Reproduction

SYMBOLS = {
    Label.supported: "✓",
    Label.refuted: "✗",
    Label.mixed: "±",
    Label.between: "≈",
    Label.never_trains: "∅",
    Label.inconclusive: "?",
    Label.out_of_scope: "–",
}
MEANINGS = {
    Label.supported: "what was measured fulfills the rule that was fixed before the runs of its version",
    Label.refuted: "by the same rule what was measured shows the opposite: a counterexample, or no such effect",
    Label.mixed: "the claim's sentences came out differently; each has its own label",
    Label.between: "the effect is real, but smaller than what counts; no number of seeds decides",
    Label.never_trains: "neither net that is compared comes above chance, so that nothing can be said of a gain",
    Label.inconclusive: "what was measured decides neither way; its reason says whether more seeds might",
    Label.out_of_scope: "a statement that no run of this program can decide",
}
ROLES = {
    "primary": "decides",
    "secondary": "also judged",
    "extension": "beyond the lecture",
    "contradiction": "contradiction",
}
ROLE_MEANINGS = {
    "primary": "the claim has the label that all of these parts have, and is mixed where they differ",
    "secondary": "judged and shown, without a say in the claim's verdict",
    "extension": "what the lecture does not say, without a say in the claim's verdict",
    "contradiction": "where it is supported, the lecture contradicts itself in the words that are quoted",
}
EVIDENCE = {"read": "read in the paper", "secondary": "from a secondary source", "computed": "computed here"}
EVIDENCE_MEANINGS = {
    "read": "the published number was read in the primary text",
    "secondary": "it was read in an abstract, in notes or in another text that cites it",
    "computed": "it was computed for this claim, and nobody published it",
}
SCOPE = "A verdict holds for the cells that were measured (depths, widths, data, optimizers), not for every network."
WIDEST_MAP = 72  # characters; a wider map is listed row by row


BARS = "Bars and bands are 95 % intervals of means over seeds; on a narrow screen left is above and right below."
EXPECT = "What do you expect?"


class CellMap(NamedTuple):
    """Cells by one or two coordinates; `across` or `down` is empty where there is one, None is a cell not measured."""

    across: str
    down: str
    columns: list[str]
    rows: list[tuple[str, list[CellVerdict | None]]]


def verdict_words(one: Reproduction) -> str:
    """The label, and what is left of it where Holm's correction changes it."""
    changed = one.holm is not None and one.holm is not one.label
    return f"{one.label}; {one.holm} after Holm's correction" if changed else str(one.label)


class Line(NamedTuple):
    """One sentence of the lecture in a few words, with the labels of its parts and where they hold."""

    short: str
    found: list[tuple[Label, str]]

    def __str__(self) -> str:
        return f"{self.short}: {ends_of(self)}"


def lines(one: Reproduction) -> list[Line]:
    """One labelled line per sentence of the lecture, in the order of the claim's primary parts."""
    several: dict[str, dict[Label, list[str]]] = {}
    for part in one.primary:
        where = " ".join(filter(None, (where_it_holds(part), _agreement(one, part))))
        several.setdefault(part.short, {}).setdefault(part.label, []).append(where)
    return [
        Line(short, [(label, joined(list(filter(None, places)))) for label, places in found.items()])
        for short, found in several.items()
    ]


def where_it_holds(part: PartVerdict) -> str:
    """Say where the part's label holds, in its own words or as a number of cells; empty if it holds everywhere.

    ``in 3 of 4 settings (1 supported)`` names the labels of the other cells, too.
    """
    labels = [cell.judgment.label for cell in part.cells if cell.decides]
    others = [label for label in labels if label is not part.label]
    if part.where or not others or len(others) == len(labels):
        return part.where
    return f"in {len(labels) - len(others)} of {len(labels)} settings ({tally(others)})"


def _agreement(one: Reproduction, part: PartVerdict) -> str:
    """Say whether the part is robust, or for which setting it holds; empty where no map was measured."""
    found = one.specifications
    if found is None or found.part != part.name:
        return ""
    own = "at width {width}, {epochs} epochs in batches of {batch} with {optimizer} on {data}".format(**found.own)
    begin = "robust" if found.robust else own
    return f"({begin}: {found.agree} of {found.total} specifications agree)"


def curve(one: Reproduction) -> str:
    """Describe the figure of the specification map; empty where there is none."""
    found = one.specifications
    if found is None:
        return ""
    part = next(part for part in one.parts if part.name == found.part)
    only = f"Its only pictures are {found.data[0]}; --pictures names a folder of others." if len(found.data) < 2 else ""
    return (
        f"Specification curve: {part.measure}, in {found.total} specifications by rising estimate with its 95 % "
        f"interval, and below the data, width, epochs and optimizer of each. A dotted line marks the rule's bound. "
        f"{found.agree} have the label of the cell that decides, {found.label}. {only}"
    ).strip()


def headline(one: Reproduction) -> str:
    """``units die: supported; 0.1 helps: supported at width 3, refuted on digits``."""
    return "; ".join(map(str, lines(one)))


def plain(one: Reproduction) -> str:
    """The verdict in plain words: ``One neuron cannot compute XOR and a hidden layer can: supported.``

    Where labels or places differ, a sentence for each of the lecture's: ``Units die: supported. 0.1 helps: refuted.``
    """
    found = lines(one)
    if len(found) > 1 and len({tuple(line.found) for line in found}) == 1:
        many = "both" if len(found) == 2 else "all"
        return _capital(f"{joined([line.short for line in found])}: {many} {ends_of(found[0])}")
    return " ".join(_capital(f"{line.short}: {ends_of(line)}") for line in found)


def footnote(one: Reproduction) -> str:
    """Number, cell, measure and reason of the part that stands for the claim; empty for a mixed one."""
    if one.label is Label.mixed:
        return ""
    part = one.headline
    judgment = part.deciding.judgment
    where = f" at {part.deciding.where}" if part.deciding.where else ""
    reason = f"; {judgment.reason}" if judgment.reason else ""
    return f"{judgment.found}{where} ({part.measure}){reason}"


def joined(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def ends_of(line: Line) -> str:
    """``supported at width 3, refuted on digits``."""
    return ", ".join(" ".join(filter(None, (label, where))) for label, where in line.found)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def accuracies(judgment: Judgment) -> str:
    """``relu 97.5%, tanh 12.0% (3 of 10 fail)``: what compared arms reached; empty where that was not measured."""
    return ", ".join(
        f"{arm.arm} {arm.accuracy:.1%}" + (f" ({arm.failed} of {arm.n} fail)" if arm.failed else "")
        for arm in judgment.arms
    )


def brief(one: Reproduction) -> list[str]:
    """Text for a table: effect and interval of the part that stands for the claim, or a line for each sentence."""
    if one.label is Label.mixed:
        return [str(line) for line in lines(one)]
    judgment = one.headline.deciding.judgment
    return list(filter(None, (size(judgment), interval(judgment))))


def size(judgment: Judgment) -> str:
    """The effect alone, without its interval."""
    return f"{judgment.effect:.4g}" if judgment.low is not None else judgment.found


def interval(judgment: Judgment) -> str:
    """``[low, high]``; empty for what has none."""
    return "" if judgment.low is None else f"[{judgment.low:.4g}, {judgment.high:.4g}]"


def population(judgment: Judgment) -> str:
    """Say what the interval is for, and the interval for other seeds on the same data; empty if unknown."""
    if not judgment.ratio or judgment.seeds_low is None:
        return judgment.population
    return f"{judgment.population}; other seeds on these data: [{judgment.seeds_low:.4g}, {judgment.seeds_high:.4g}]"


def tally(labels: Iterable[Label]) -> str:
    """``7 supported, 2 refuted``: how often each label occurs."""
    counts = Counter(labels)
    return ", ".join(f"{counts[label]} {label}" for label in Label if counts[label])


def duration(seconds: float) -> str:
    """Rounded to what a reader needs."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def cost(one: Reproduction) -> str:
    """Time, and how many runs where some were trained."""
    trained = f", {one.runs:,} {'run' if one.runs == 1 else 'runs'}" if one.runs else ""
    return f"{duration(one.seconds)}{trained}"


def settings(one: Reproduction) -> str:
    """``quick (seeds=10)``: the profile with its numbers."""
    numbers = ", ".join(f"{name}={value}" for name, value in one.settings.items())
    return f"{one.profile} ({numbers})" if numbers else one.profile


def mark(cell: CellVerdict, part: PartVerdict) -> str:
    """The cell's symbol: in brackets where it may not decide, with a star where its numbers stand for the part."""
    symbol = SYMBOLS[cell.judgment.label]
    return f"{symbol}*" if cell == part.deciding else symbol if cell.decides else f"({symbol})"


def legend(part: PartVerdict) -> str:
    """The marks of a part's map in words, those that occur."""
    used = {cell.judgment.label for cell in part.cells}
    words = [f"{symbol} {label}" for label, symbol in SYMBOLS.items() if label in used]
    extra = (
        ["( ) beyond the declared cells: shown, not judged with them"] if not all(c.decides for c in part.cells) else []
    )
    return ", ".join([*words, *extra, "* its numbers stand for the part"])


def cell_map(part: PartVerdict) -> CellMap | None:
    """The part's cells as a grid; None where they have no coordinate, more than two, or not the same ones."""
    names = list(part.cells[0].at)
    if len(names) not in (1, 2) or any(set(cell.at) != set(names) for cell in part.cells):
        return None
    values = {name: list(dict.fromkeys(str(cell.at[name]) for cell in part.cells)) for name in names}
    across = min(names, key=lambda name: _width(values[name]))
    down = next((name for name in names if name != across), "")
    if _width(values[across]) > WIDEST_MAP:
        if down:
            return None
        across, down = "", across
    at = {(str(cell.at.get(down, "")), str(cell.at.get(across, ""))): cell for cell in part.cells}
    columns, lines = values.get(across, [""]), values.get(down, [""])
    rows = [(line, [at.get((line, column)) for column in columns]) for line in lines]
    return CellMap(across, down, columns, rows)


def _width(values: Sequence[str]) -> int:
    return sum(max(len(value), 4) + 3 for value in values)
