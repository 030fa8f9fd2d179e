"""The verdicts of several claims as one HTML page that needs nothing else, and as Markdown.

The pages are Jinja templates in the folder ``pages``. Every text of a record is escaped: in HTML by Jinja, in Markdown
by a backslash before each character that could mean something there.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from workbench.claims import wording
from workbench.claims.adaptive_svg import adaptive
from workbench.claims.claim_figure import Drawn, suffix
from workbench.claims.map_rules import MAP
from workbench.claims.offsets import flips
from workbench.claims.rules import Label
from workbench.claims.slides import slide_by_slide
from workbench.claims.verdict import Reproduction
from workbench.tracking.safe_names import segment

Addresses = Mapping[str, Mapping[str, str]]
NO_CURVES: Mapping[str, Drawn] = MappingProxyType({})
NO_ADDRESSES: Addresses = MappingProxyType({})
PAGES = Path(__file__).parent / "pages"
SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$]|^[-+=]|(?<=\d)[.)](?= |$)")


def html_report(
    several: Sequence[Reproduction], figures: Mapping[str, Drawn], curves: Mapping[str, Drawn] = NO_CURVES
) -> str:
    """One page with its style, its figures and specification curves (by the claim's name) inside."""
    figures_inside, curves_inside = (
        {name: {kind: _inside(data) for kind, data in drawn._asdict().items()} for name, drawn in some.items()}
        for some in (figures, curves)
    )
    template = _environment(html=True).get_template("report.html")
    return template.render(several=several, figures=figures_inside, curves=curves_inside)


def markdown_report(several: Sequence[Reproduction], figures: Addresses, curves: Addresses = NO_ADDRESSES) -> str:
    """The same as GitHub's Markdown; the figures' addresses are by the claim's name and ``wide`` or ``narrow``."""
    template = _environment(html=False).get_template("report.md")
    text = template.render(several=several, figures=figures, curves=curves)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def offsets_report(by_offset: Mapping[int, Mapping[str, Reproduction]]) -> str:
    """How often labels differ between seed offsets, as GitHub's Markdown: the parts that differ most come first."""
    template = _environment(html=False).get_template("offsets.md")
    lines = sorted(flips(by_offset), key=lambda line: -line.rate)
    opposed = [line for line in lines if line.opposed and line.part]
    return template.render(offsets=list(by_offset), lines=lines, opposed=opposed).strip() + "\n"


def write_report(
    folder: Path,
    several: Sequence[Reproduction],
    figures: Mapping[str, Drawn],
    curves: Mapping[str, Drawn] = NO_CURVES,
) -> Path:
    """Write ``report.html``, and ``report.md`` with the folder ``figures`` that it shows; return the HTML file."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    addresses = _written(folder, figures, ""), _written(folder, curves, f"-{MAP}")
    (folder / "report.md").write_text(markdown_report(several, *addresses), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(html_report(several, figures, curves), encoding="utf-8")
    return page


def _written(folder: Path, figures: Mapping[str, Drawn], end: str) -> dict[str, dict[str, str]]:
    """Write figures; their addresses by the claim's name and kind."""
    addresses: dict[str, dict[str, str]] = {}
    for name, drawn in figures.items():
        for kind, data in drawn._asdict().items():
            address = f"figures/{segment(name)}{end}{'-narrow' * (kind == 'narrow')}{suffix(data)}"
            (folder / address).write_bytes(adaptive(data))
            addresses.setdefault(name, {})[kind] = address
    return addresses


def _inside(figure: bytes) -> str:
    kind = "png" if suffix(figure) == ".png" else "svg+xml"
    return f"data:image/{kind};base64,{b64encode(adaptive(figure)).decode()}"


def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=html,
        finalize=None if html else _markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"words": wording, "Label": Label, "slide_by_slide": slide_by_slide}
    environment.filters |= {"code": _code, "picture": _picture}
    return environment


def _markdown(value: object) -> object:
    """Text on one line without any markup; what the template marks as safe stays as it is."""
    return value if isinstance(value, Markup) else SPECIAL.sub(r"\\\g<0>", " ".join(str(value).split()))


def _picture(files: Mapping[str, str], description: str) -> Markup:
    """A figure's files for a page and for a phone as HTML, which GitHub shows."""
    text = escape(" ".join(description.split()))
    narrow = f'<source media="(max-width: 640px)" srcset="{quote(files["narrow"])}">'
    return Markup(f'<picture>\n{narrow}\n<img src="{quote(files["wide"])}" alt="{text}">\n</picture>\n')


def _code(value: str) -> Markup:
    """An indented code block: no character can end it."""
    return Markup("".join(f"    {line}\n" for line in value.splitlines()))
