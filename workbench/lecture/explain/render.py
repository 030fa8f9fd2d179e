"""Render an explanation as text for a terminal, as Markdown, or as one self-contained HTML page.

Numbers have four significant digits everywhere.
"""

import json
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from workbench.lecture.explain.content import Equation, Heading, Matrix, Movie, Step, Text
from workbench.lecture.explain.formats import FORMATS, number

WIDTH = 110
NARROW_COLUMNS = 3  # of a matrix that a phone shows whole
PAGE = Path(__file__).parent / "page"
Block = list[str]  # lines of equal width

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: clamp(1.4rem, 5vw, 2rem); line-height: 1.25; }
.equation { display: flex; flex-wrap: wrap; align-items: center; gap: .4em; margin: .9em 0; overflow-x: auto; }
table { border-spacing: 0; border: solid; border-width: 0 2px; border-radius: .5em; }
td { padding: 0 .5em; text-align: right; font-variant-numeric: tabular-nums; }
.value { font-weight: bold; }
@media print { .equation { overflow-x: visible; break-inside: avoid; } h2 { break-after: avoid; } }
"""


def as_text(title: str, steps: Sequence[Step]) -> str:
    """Render for a terminal, with brackets drawn by characters."""
    lines = [title, "=" * len(title)]
    for step in steps:
        if isinstance(step, Equation):
            lines += _drawn(step)
        elif isinstance(step, Heading):
            lines += ["", step.text, "-" * len(step.text)]
        elif isinstance(step, Text):
            lines += _wrapped(step.text)
    return "\n".join(lines) + "\n"


def as_markdown(title: str, steps: Sequence[Step]) -> str:
    """Render headings and paragraphs as Markdown, equations as preformatted text."""
    lines = [f"# {title}", ""]
    for kind, group in groupby(steps, type):
        lines += ["```text"] if kind is Equation else []
        for step in group:
            if isinstance(step, Equation):
                lines += _drawn(step)
            elif not isinstance(step, Movie):
                lines += [f"## {step.text}" if isinstance(step, Heading) else step.text, ""]
        lines += ["```", ""] if kind is Equation else []
    return "\n".join(lines[:-1]) + "\n"


def as_html(title: str, steps: Sequence[Step]) -> str:
    """Render one HTML page, with its style and script included and nothing to load.

    Without scripts, and in print, it is the list of equations; a page without a movie has no script.
    """
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(map(_html, steps))
        + "\n</main>\n</body>\n</html>\n"
    )


def _html(step: Step) -> str:
    match step:
        case Equation():
            return f'<div class="equation"{_scrolling(step)}>{"".join(_html_parts(step))}</div>'
        case Heading():
            return f"<h2>{escape(step.text)}</h2>"
        case Text():
            return f"<p>{escape(step.text)}</p>"
        case Movie():
            return _movie(step)


def _scrolling(equation: Equation) -> str:
    """Let the keyboard reach an equation that may be wider than a narrow window, to scroll it."""
    matrices = (part for part in (*equation.filled, equation.value) if not isinstance(part, str))
    widest = max((len(part[0]) for part in matrices), default=0)
    return f' tabindex="0" role="group" aria-label="{escape(equation.symbol)}"' if widest > NARROW_COLUMNS else ""


def _movie(step: Movie) -> str:
    """Give style, data and script of a movie, and the place where the script puts it."""
    style, *scripts = ((PAGE / name).read_text(encoding="utf-8") for name in ("movie.css", "places.js", "movie.js"))
    given = json.dumps(step.data(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<style>{style}</style>\n<section id="movie" aria-label="Movie of the step" hidden></section>\n'
        f'<script type="application/json" id="numbers">{given}</script>\n'
        f'<script type="module">{"".join(scripts)}</script>'
    )


def _sides(equation: Equation) -> Iterator[tuple[str | Matrix, ...]]:
    """Yield the sides of an equation, left to right; a single number as the result gets no brackets."""
    yield (equation.symbol,)
    if equation.formula:
        yield (equation.formula,)
    if equation.filled:
        yield equation.filled
    value = equation.value
    yield (number(value[0][0]) if not isinstance(value, str) and len(value) == len(value[0]) == 1 else value,)


def _html_parts(equation: Equation) -> Iterator[str]:
    sides = list(_sides(equation))
    for index, side in enumerate(sides):
        style = ' class="value"' if index == len(sides) - 1 else ""
        if index:
            yield "<span>=</span>"
        for part in side:
            if isinstance(part, str):
                yield f"<span{style}>{escape(part)}</span>"
            else:
                rows = "".join(f"<tr>{''.join(f'<td>{number(entry)}</td>' for entry in row)}</tr>" for row in part)
                yield f"<table{style}>{rows}</table>"


def _drawn(equation: Equation) -> Block:
    """Draw an equation as one row of blocks, or as several where it is wider than WIDTH."""
    first, *others = (_beside([_block(part) for part in side]) for side in _sides(equation))
    indent = [" " * len(first[0])]
    lines: Block = []
    current = first
    for side in others:
        longer = _beside([current, ["="], side])
        if len(longer[0]) > WIDTH and current is not first:
            lines += current
            longer = _beside([indent, ["="], side])
        current = longer
    return [line.rstrip() for line in lines + current]


def _block(part: str | Matrix) -> Block:
    if isinstance(part, str):
        return [part]
    cells = [[number(entry) for entry in row] for row in part]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rows = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    if len(rows) == 1:
        return [f"[{rows[0]}]"]
    left, right = (top + middle * (len(rows) - 2) + bottom for top, middle, bottom in ("⎡⎢⎣", "⎤⎥⎦"))
    return [f"{left[index]} {row} {right[index]}" for index, row in enumerate(rows)]


def _beside(blocks: Sequence[Block]) -> Block:
    """Join blocks side by side, vertically centered."""
    height = max(map(len, blocks))
    padded = []
    for block in blocks:
        empty = [" " * len(block[0])]
        above = (height - len(block)) // 2
        padded.append(empty * above + block + empty * (height - len(block) - above))
    return [" ".join(row) for row in zip(*padded, strict=True)]


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


RENDERERS = dict(zip(FORMATS, (as_html, as_markdown, as_text), strict=True))
