"""Figure of a claim: drawn by its `figure.py` from a study's tables, kept as SVG and PNG."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from workbench.claims.comparison_figures import STYLE
from workbench.claims.study import Study
from workbench.config.arms import PALETTE

FIGURE_INCHES = (8.0, 4.2)
SVG, PNG = "figure.svg", "figure.png"
LARGEST_SVG = 400_000  # bytes; a figure of more points than that is smaller as pixels


def figure_by(read: Callable[[str], bytes]) -> bytes:
    """Read the figure of a verdict: as SVG, where that is too large as PNG; `read` takes the file's name."""
    svg = read(SVG)
    return svg if len(svg) <= LARGEST_SVG else read(PNG)


def save_figure(study: Study, folder: Path) -> list[Path]:
    """Draw the claim's figure of the study, as ``figure.svg`` and ``figure.png``."""
    style = {**STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
        study.entry.load_figure().draw(figure, study)
        files = [folder / SVG, folder / PNG]
        figure.savefig(files[0], metadata={"Date": None})
        figure.savefig(files[1], dpi=150)
    return files
