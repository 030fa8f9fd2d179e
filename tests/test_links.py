"""Links and pictures of README and docs: files and anchors are there. Addresses on the web are not asked for."""

import re
import subprocess
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


class Html(HTMLParser):
    """Addresses and ids in a page's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what it shows, links to, or is called."""
        for name, value in attrs:
            if name in ("href", "src", "srcset"):
                self.addresses.append(value or "")
            elif name in ("id", "name"):
                self.ids.add(value or "")


@cache
def read(page: Path) -> tuple[list[str], set[str]]:
    """Addresses that a Markdown page links to or shows, and its anchors: ids, and headings as GitHub names them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    parts = [part for token in tokens for part in (token, *(token.children or []))]
    html = Html("".join(part.content for part in parts if part.type.startswith("html")))
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    anchors: set[str] = set()
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        anchors.add(next(name for name in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if name not in anchors))
    found = [str(part.attrs[name]) for part in parts for name in ("href", "src") if name in part.attrs]
    return [*found, *html.addresses], anchors | html.ids


def has_anchor(target: Path, anchor: str) -> bool:
    """Whether a page has an anchor; what `make docs` generates is checked by its strict build."""
    return target.suffix != ".md" or anchor in read(target)[1] or "<!-- generated:" in target.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    """Every file is in the repository, none is kept out of it by .gitignore, and has the anchor that is named."""
    broken, files = [], set()
    for address in read(page)[0]:
        if re.match(r"[a-z]+:", address):
            continue
        path, _, anchor = unquote(address).partition("#")
        target = (page.parent / path).resolve() if path else page
        files.add(target)
        if not target.exists() or (anchor and not has_anchor(target, anchor)):
            broken.append(address)
    assert broken == []
    ignored = subprocess.run(["git", "check-ignore", *files], capture_output=True, text=True, cwd=ROOT)
    assert ignored.stdout == ""


def test_figures_of_the_report_are_kept() -> None:
    """The pattern that keeps out figures of runs spares those that docs/claims shows."""
    kept = subprocess.run(["git", "check-ignore", "docs/claims/figures/xor.svg"], capture_output=True, cwd=ROOT)
    assert kept.returncode == 1
