"""Figure of a claim: drawn by `figure.py` from a study's tables, for page and phone, in light and dark."""

import io
import re
from typing import NamedTuple

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from workbench.claims.comparison_figures import STYLE
from workbench.claims.study import Study
from workbench.config.arms import PALETTE

WIDE, NARROW = (8.0, 4.2), (3.9, 3.2)  # inches
LARGEST_SVG = 400_000  # bytes; a figure of more points than that is smaller as pixels
PNG = b"\x89PNG"
PAPER, DARK_PAPER = "#ffffff", "#171716"
ON_DARK = ("#5DB7F5", "#FF8F4D", "#3CCB9E", "#F08CC6", "#E2B34A", "#B7A1F2", "#F2809B", "#ffffff")  # as PALETTE
DARK = dict(zip(PALETTE, ON_DARK, strict=True)) | {
    PAPER: DARK_PAPER,
    "#262626": "#ecece8",
    "#595959": "#b4b4ac",
    "#808080": "#a6a6a0",
    "#d9d9d9": "#45453f",
}
SHORTER = {
    rb"'DejaVu Sans', [^;\"]*sans-serif": b"'DejaVu Sans',Verdana,sans-serif",
    rb"(?<![\w#])(-?\d+\.\d\d)\d+": rb"\1",
    rb"\s*\n\s*": b"\n",
    rb"<!--.*?-->\n": b"",
    rb"(?s)<metadata>.*?</metadata>\n": b"",
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
    drawn = []
    for inches in (WIDE, NARROW):
        with matplotlib.rc_context(LOOKS):
            figure = Figure(figsize=inches, layout="constrained")
            module.draw(figure, study)
            svg = _saved(figure, "svg")
            drawn.append(_small(svg) if len(svg) <= LARGEST_SVG else _saved(figure, "png"))
    return Drawn(*drawn)


def suffix(figure: bytes) -> str:
    """``.png`` or ``.svg``, by its content."""
    return ".png" if figure.startswith(PNG) else ".svg"


def dark(figure: bytes) -> bytes:
    """The figure in the colors for a dark page; of a PNG, the figure as it is."""
    if figure.startswith(PNG):
        return figure
    return re.sub(rb"#[0-9a-fA-F]{6}\b", lambda found: _on_dark(found.group()), figure)


def adaptive(figure: bytes) -> bytes:
    """The figure with a style by which it follows the reader's choice of light or dark; a PNG as it is."""
    if figure.startswith(PNG):
        return figure
    rules = "".join(
        f'[style*="{kind}: {color.lower()}"]{{{kind}:{other}!important}}'
        for color, other in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"
    head, defs, rest = figure.partition(b"<defs>")
    return head + style.encode() + defs + rest


def _on_dark(color: bytes) -> bytes:
    return _LOWER.get(color.lower(), color)


_LOWER = {color.lower().encode(): other.encode() for color, other in DARK.items()}


def _saved(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _small(svg: bytes) -> bytes:
    """The drawing with numbers to a hundredth of a point, a short list of fonts, and no blanks around lines."""
    for pattern, instead in SHORTER.items():
        svg = re.sub(pattern, instead, svg)
    return svg
