"""Figures as SVG that follow their reader's choice of a light or a dark page, and are small."""

import re

from workbench.config.arms import PALETTE

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
INKS = {  # of letters, axes and grid: matplotlib writes black, which could not be changed, nowhere
    "axes.edgecolor": "#595959",
    "axes.labelcolor": "#262626",
    "text.color": "#262626",
    "xtick.color": "#595959",
    "xtick.labelcolor": "#262626",
    "ytick.color": "#595959",
    "ytick.labelcolor": "#262626",
    "grid.color": "#d9d9d9",
}


def adaptive(figure: bytes) -> bytes:
    """The figure as SVG that follows its reader's choice of light or dark; a PNG as it is."""
    head, begin, rest = figure.partition(STYLE_BEGIN)
    rules, end, drawing = rest.partition(STYLE_END)
    if not begin or figure.startswith(PNG):
        return figure
    in_the_dark = re.sub("#[0-9a-f]{6}\\b", lambda found: DARK.get(found.group(), found.group()), rules.decode())
    return head + begin + rules + IN_THE_DARK + in_the_dark.encode() + b"}" + end + drawing


def small(svg: bytes) -> bytes:
    """The drawing with numbers to a hundredth of a point, and each style once, as a class."""
    for pattern, instead in SHORTER.items():
        svg = re.sub(pattern, instead, svg)
    styles = dict.fromkeys(re.findall(rb' style="([^"]*)"', svg))
    names = {style: b"s%d" % number for number, style in enumerate(styles)}
    svg = re.sub(rb' style="([^"]*)"', lambda found: b' class="%s"' % names[found.group(1)], svg)
    rules = b"".join(b".%s{%s}" % (name, style) for style, name in names.items())
    return svg.replace(b"<defs>", STYLE_BEGIN + rules + STYLE_END + b"<defs>", 1)
