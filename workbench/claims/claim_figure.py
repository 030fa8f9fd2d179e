"""Figure of a claim: drawn by `figure.py` from a study's tables, for page and phone, in light and dark."""

import io
from collections.abc import Callable
from typing import NamedTuple

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from workbench.claims import plots
from workbench.claims.adaptive_svg import INKS, PNG, small
from workbench.claims.comparison_figures import STYLE
from workbench.claims.map_rules import MAP, SETTINGS
from workbench.claims.rules import Above, Below
from workbench.claims.study import Study
from workbench.config.arms import PALETTE

WIDE, NARROW = (8.0, 4.2), (3.9, 3.2)  # inches
LARGEST_SVG = 400_000  # bytes; a figure of more points than that is smaller as pixels
LOOKS = {
    **STYLE,
    "axes.prop_cycle": cycler(color=PALETTE),
    "font.size": 9.5,
    "axes.titlesize": 10,
    **INKS,
    "grid.alpha": 0.7,
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
            drawn.append(small(svg) if len(svg) <= LARGEST_SVG else _saved(figure, "png"))
    return Drawn(*drawn)


def suffix(figure: bytes) -> str:
    """``.png`` or ``.svg``, by its content."""
    return ".png" if figure.startswith(PNG) else ".svg"


def _saved(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()
