"""The verdicts of several claims as one HTML page that needs nothing else, and as Markdown.

The pages are Jinja templates in the folder ``pages``. Every text of a record is escaped: in HTML by Jinja, in Markdown
by a backslash before each character that could mean something there.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench.claims import wording
from workbench.claims.rules import Label
from workbench.claims.slides import slide_by_slide
from workbench.claims.verdict import Reproduction
from workbench.tracking.safe_names import segment

PAGES = Path(__file__).parent / "pages"
PNG = b"\x89PNG"
SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$]|^[-+=]|(?<=\d)[.)](?= |$)")


def html_report(several: Sequence[Reproduction], figures: Mapping[str, bytes]) -> str:
    """One page with its style and its figures (SVG or PNG by the claim's name) inside."""
    sources = {name: f"data:{_media_type(data)};base64,{b64encode(data).decode()}" for name, data in figures.items()}
    return _environment(html=True).get_template("report.html").render(several=several, figures=sources)


def markdown_report(several: Sequence[Reproduction], figures: Mapping[str, str]) -> str:
    """The same as GitHub's Markdown; `figures` are addresses by the claim's name."""
    text = _environment(html=False).get_template("report.md").render(several=several, figures=figures)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_report(folder: Path, several: Sequence[Reproduction], figures: Mapping[str, bytes]) -> Path:
    """Write ``report.html``, and ``report.md`` with the folder ``figures`` that it shows; return the HTML file."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    addresses = {}
    for name, data in figures.items():
        addresses[name] = f"figures/{segment(name)}{suffix(data)}"
        (folder / addresses[name]).write_bytes(data)
    (folder / "report.md").write_text(markdown_report(several, addresses), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(html_report(several, figures), encoding="utf-8")
    return page


def suffix(figure: bytes) -> str:
    """``.png`` or ``.svg``, by its content."""
    return ".png" if figure.startswith(PNG) else ".svg"


def _media_type(data: bytes) -> str:
    return "image/png" if data.startswith(PNG) else "image/svg+xml"


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
    environment.filters["code"] = _code
    return environment


def _markdown(value: object) -> object:
    """Text on one line without any markup; what the template marks as safe stays as it is."""
    return value if isinstance(value, Markup) else SPECIAL.sub(r"\\\g<0>", " ".join(str(value).split()))


def _code(value: str) -> Markup:
    """An indented code block: no character can end it."""
    return Markup("".join(f"    {line}\n" for line in value.splitlines()))
