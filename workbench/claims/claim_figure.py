"""Figure of a claim: drawn by `figure.py` from a study's tables, for page and phone, in light and dark."""

import io
import re
from collections.abc import Callable
from typing import NamedTuple

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from workbench.claims import plots
from workbench.claims.comparison_figures import STYLE
from workbench.claims.map_rules import MAP, SETTINGS
from workbench.claims.rules import Above, Below
from workbench.claims.study import Study
from workbench.config.arms import PALETTE

WIDE, NARROW = (8.0, 4.2), (3.9, 3.2)  # inches
LARGEST_SVG = 400_000  # bytes; a figure of more points than that is smaller as pixels
PNG = b"\x89PNG"
PAPER, DARK_PAPER = "#ffffff", "#171716"
ON_DARK = ("#5DB7F5", "#FF8F4D", "#3CCB9E", "#F08CC6", "#E2B34A", "#B7A1F2", "#F2809B", "#ffffff")  # as PALETTE
DARK = dict(zip(map(str.lower, PALETTE), ON_DARK, strict=True)) | {
    PAPER: DARK_PAPER,
    "#262626": "#ecece8",
    "#595959": "#b4b4ac",
    "#808080": "#a6a6a0",
    "#d9d9d9": "#45453f",
}
STYLE_BEGIN, STYLE_END, IN_THE_DARK = b"<style>", b"</style>", b"@media screen and (prefers-color-scheme:dark){"
SHORTER = {
    rb"'DejaVu Sans', [^;\"]*sans-serif": b"'DejaVu Sans',Verdana,sans-serif",
    rb"(?<![\w#])(-?\d+\.\d\d)\d+": rb"\1",
    rb"\s*\n\s*": b"\n",
    rb"<!--.*?-->\n": b"",
    rb"(?s)<metadata>.*?</metadata>\n": b"",
    rb' transform="rotate\(-?0 [^"]*"': b"",
    rb'<g id="[^"]*">': b"<g>",
}
LOOKS = {
    **STYLE,
    "axes.prop_cycle": cycler(color=PALETTE),
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.edgecolor": "#595959",
    "axes.labelcolor": "#262626",
    "text.color": "#262626",
    "xtick.color": "#595959",
    "xtick.labelcolor": "#262626",
    "ytick.color": "#595959",
    "ytick.labelcolor": "#262626",
    "grid.color": "#d9d9d9",
    "grid.alpha": 0.7,
    "svg.fonttype": "none",  # letters as letters: a third of the size
}


class Drawn(NamedTuple):
    """A figure as SVG, where that is too large as PNG: `wide` for a page, `narrow` for a phone."""

    wide: bytes
    narrow: bytes


def draw(study: Study) -> Drawn:
    """Draw the figure of a claim from the tables of its study."""
    module = study.entry.load_figure()
    return _drawn(lambda figure: module.draw(figure, study))


def draw_curve(study: Study) -> Drawn | None:
    """Draw the specification curve of a claim; None where its study has measured no map."""
    plan, table = study.claim.specifications, study.tables.get(MAP)
    if plan is None or table is None:
        return None
    rule, ordered = study.claim.parts[plan.part].rule, table.sort_values([*SETTINGS[1:4]], kind="stable")
    assert isinstance(rule, Above | Below)
    return _drawn(lambda figure: plots.specification_curve(figure, ordered, SETTINGS, rule.than))


def _drawn(draw_into: Callable[[Figure], None]) -> Drawn:
    drawn = []
    for inches in (WIDE, NARROW):
        with matplotlib.rc_context(LOOKS):
            figure = Figure(figsize=inches, layout="constrained")
            draw_into(figure)
            svg = _saved(figure, "svg")
            drawn.append(_small(svg) if len(svg) <= LARGEST_SVG else _saved(figure, "png"))
    return Drawn(*drawn)


def suffix(figure: bytes) -> str:
    """``.png`` or ``.svg``, by its content."""
    return ".png" if figure.startswith(PNG) else ".svg"


def adaptive(figure: bytes) -> bytes:
    """The figure as SVG that follows its reader's choice of light or dark; a PNG as it is."""
    head, begin, rest = figure.partition(STYLE_BEGIN)
    rules, end, drawing = rest.partition(STYLE_END)
    if not begin or figure.startswith(PNG):
        return figure
    in_the_dark = re.sub("#[0-9a-f]{6}\\b", lambda found: DARK.get(found.group(), found.group()), rules.decode())
    return head + begin + rules + IN_THE_DARK + in_the_dark.encode() + b"}" + end + drawing


def _saved(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _small(svg: bytes) -> bytes:
    """The drawing with numbers to a hundredth of a point, and each style once, as a class."""
    for pattern, instead in SHORTER.items():
        svg = re.sub(pattern, instead, svg)
    styles = dict.fromkeys(re.findall(rb' style="([^"]*)"', svg))
    names = {style: b"s%d" % number for number, style in enumerate(styles)}
    svg = re.sub(rb' style="([^"]*)"', lambda found: b' class="%s"' % names[found.group(1)], svg)
    rules = b"".join(b".%s{%s}" % (name, style) for style, name in names.items())
    return svg.replace(b"<defs>", STYLE_BEGIN + rules + STYLE_END + b"<defs>", 1)
