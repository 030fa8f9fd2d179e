"""Reports: one HTML page that needs nothing else, and Markdown; whatever a record says is shown as text."""

import re
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.claims import made_up
from workbench.claims import wording
from workbench.claims.adaptive_svg import DARK, DARK_PAPER, IN_THE_DARK, PAPER, adaptive
from workbench.claims.catalog import catalog
from workbench.claims.claim_figure import Drawn, draw
from workbench.claims.report import PAGES, html_report, markdown_report, write_report
from workbench.claims.rules import Label
from workbench.claims.slides import slide_by_slide
from workbench.claims.study import Study
from workbench.claims.verdict import Reproduction
from workbench.config.arms import PALETTE

DOCS = Path(__file__).parents[2] / "docs"
EVERYTHING = made_up.everything()
KINDS = {"xor_limit": "png", "relu_faster": "svg"}
FIGURES = {name: Drawn(made_up.drawn(kind), made_up.drawn(kind)) for name, kind in KINDS.items()}
VOID = {"meta", "img", "br", "source"}
ADDRESSES = {"wide": "figures/x.svg", "narrow": "figures/x-narrow.svg"}
LOADING = {"src", "srcset", "href", "data", "action", "poster", "background", "style"}
TEXTS = ["ink", "quiet", "link", *(label.name for label in Label)]


@dataclass
class Element:
    """A tag of the page with all text inside it."""

    tag: str
    attributes: dict[str, str | None]
    parents: list["Element"] = field(default_factory=list)
    text: str = ""


class Page(HTMLParser):
    """A page's elements; tags that are not closed in order are errors."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.stack: list[Element] = []
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it, with the tags around it."""
        element = Element(tag, dict(attrs), list(self.stack))
        self.elements.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open tag."""
        assert self.stack.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Text belongs to all tags around it."""
        for element in self.stack:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        """The elements with these tags, as they stand in the page."""
        return [element for element in self.elements if element.tag in tags]

    @property
    def text(self) -> str:
        """All that can be read, blanks as one."""
        return " ".join(self.all("body")[0].text.split())


HTML = html_report(EVERYTHING, FIGURES)
PAGE = Page(HTML)


def test_page_stands_alone() -> None:
    """Nothing is loaded: no scripts or frames, pictures inside, addresses only in links; and it is small."""
    assert not PAGE.all("script", "link", "iframe", "object", "embed", "base", "form")
    for element in PAGE.elements:
        for name in LOADING & set(element.attributes):
            value = element.attributes[name] or ""
            assert value.startswith("data:image/") or (element.tag == "a" and name == "href"), (element.tag, name)
        assert not [name for name in element.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|//", PAGE.all("style")[0].text)
    assert len(HTML.encode()) < 5e6


def test_links_of_the_page_lead_somewhere() -> None:
    """Ids are unique; every inner link has its target; outer links are addresses of sweeps by http."""
    ids = [element.attributes["id"] for element in PAGE.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    links = [element.attributes["href"] or "" for element in PAGE.all("a")]
    inner = {unquote(link[1:]) for link in links if link.startswith("#")}
    assert inner <= set(ids)
    assert {f"claim-{one.name}" for one in EVERYTHING} <= inner
    assert [link for link in links if not link.startswith("#")] == [
        "http://127.0.0.1:5000/#/compare?runs=1&runs=2",
        f"http://x/{made_up.HOSTILE}",
    ]


def test_page_has_structure() -> None:
    """Language, landmarks, a skip link first, one h1, an h2 for each claim, no level of headings left out."""
    assert PAGE.all("html")[0].attributes["lang"] == "en"
    assert [len(PAGE.all(tag)) for tag in ("main", "nav", "header", "footer", "h1")] == [1] * 5
    assert PAGE.all("a")[0].attributes == {"class": "skip", "href": "#verdicts"}
    assert PAGE.all("main")[0].attributes["id"] == "verdicts"
    headings = PAGE.all("h1", "h2", "h3", "h4", "h5", "h6")
    levels = [int(heading.tag[1]) for heading in headings]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    titles = [heading.text for heading in headings if heading.tag == "h2" and heading.parents[-1].tag == "article"]
    assert titles == [one.title for one in EVERYTHING]


def test_tables_can_be_scrolled_and_read() -> None:
    """Every table lies in a labeled container that takes the focus; headers say what they head."""
    for element in PAGE.all("table"):
        box = element.parents[-1].attributes
        assert (box["class"], box["role"], box["tabindex"]) == ("scroll", "group", "0")
        assert box["aria-label"]
    assert all(header.attributes["scope"] in ("row", "col") and header.text.strip() for header in PAGE.all("th"))


def test_figures_are_described_and_follow_light_and_dark() -> None:
    """The record's description as alternative text and caption; a narrow figure for a phone."""
    images = PAGE.all("img")
    drawn = [one for one in EVERYTHING if one.name in FIGURES]
    assert [image.attributes["alt"] for image in images] == [one.figure for one in drawn]
    assert [one.figure in caption.text for one, caption in zip(drawn, PAGE.all("figcaption"), strict=True)] == [
        True
    ] * 2
    for image, one, kind in zip(images, drawn, ("png", "svg+xml"), strict=True):
        start, data = (image.attributes["src"] or "").split(",")
        assert (start, b64decode(data)) == (f"data:image/{kind};base64", adaptive(FIGURES[one.name].wide))
    phone = [element.attributes for element in PAGE.all("source")]
    assert [one["media"] for one in phone] == ["screen and (max-width: 40rem)"] * 2
    assert b64decode((phone[1]["srcset"] or "").split(",")[1]) == adaptive(FIGURES["relu_faster"].narrow)


def test_colors_of_figures_can_be_seen_on_light_and_on_dark() -> None:
    """Figure colors reach contrast 3 : 1 (WCAG 2.2, 1.4.11) on light paper, and their counterparts on dark paper."""
    assert len(set(PALETTE)) == len({DARK[color.lower()] for color in PALETTE}) == len(PALETTE)
    for color in PALETTE:
        assert contrast(color, PAPER) >= 3
        assert contrast(DARK[color.lower()], DARK_PAPER) >= 3


@pytest.mark.slow
def test_a_figure_is_dark_on_a_dark_page() -> None:
    """The styles of the drawing once more, for the dark, with all colors exchanged; drawn small, and nothing lost."""
    table = pd.DataFrame({"arm": ["relu"], "accuracy": [0.5]})
    drawn = draw(Study(catalog()["relu_family"], {}, tables={"accuracy": table}))
    rules = adaptive(drawn.wide).partition(b"</style>")[0].decode().lower().split(IN_THE_DARK.decode())
    light, in_the_dark = (set(re.findall(r"#[0-9a-f]{6}\b", each)) for each in rules)
    assert PALETTE[1].lower() in light
    assert in_the_dark == {DARK[color.lower()].lower() for color in light}
    ElementTree.fromstring(adaptive(drawn.wide))
    assert b"test accuracy" in drawn.wide
    assert not re.search(rb"\d\.\d{3}| style=", drawn.wide.partition(b"</style>")[2])


def dense(text: str) -> str:
    """Remove blanks, which pages set as they like."""
    return "".join(text.split())


def claim_texts(one: Reproduction) -> list[str]:
    """List every text that a report must give about a claim."""
    judgments = [cell.judgment for part in one.parts for cell in part.cells]
    return [
        one.title,
        one.statement,
        *one.slides,
        *one.notes,
        one.command,
        one.rule_hash,
        "Registered before its first run",
        f"version {one.version}, SHA-256 {one.rule_hash}",
        one.date,
        wording.cost(one),
        wording.settings(one),
        wording.plain(one),
        wording.footnote(one),
        *(text for part in one.parts for text in (part.says, part.measure, part.rule, wording.ROLES[part.role])),
        *(text for part in one.parts if len(part.cells) > 1 for text in (wording.legend(part), f"Map of {part.name}")),
        *(part.deciding.where for part in one.parts),
        *(cell.where for part in one.parts if wording.cell_map(part) is None for cell in part.cells),
        *(judgment.found for judgment in judgments),
        *(part.deciding.judgment.reason for part in one.parts),
        *(f"The lecture contradicts itself: {part.says}" for part in one.contradictions),
        *(f"{anchor.source}: {anchor.says}" for anchor in one.anchors),
        *(wording.EVIDENCE[anchor.evidence] for anchor in one.anchors),
        *(sweep.id for sweep in one.sweeps),
        *(text for item in one.tuning.items() for text in item),
        *(text for item in one.environment.items() for text in item),
    ]


@pytest.mark.parametrize("one", EVERYTHING, ids=lambda one: one.name)
def test_page_says_everything_as_text(one: Reproduction) -> None:
    """The page holds every text about a claim, also text that looks like markup: it is read, never obeyed."""
    article = next(element for element in PAGE.all("article") if element.attributes["id"] == f"claim-{one.name}")
    assert [text for text in claim_texts(one) if dense(text) not in dense(article.text)] == []


def test_page_leaves_no_template_behind() -> None:
    """Text in the template's own language is not evaluated."""
    assert "{{ 7 * 7 }}" in PAGE.text
    assert "49" not in Page(html_report([made_up.hostile()], {})).text.replace(made_up.hostile().rule_hash, "")


def test_verdicts_are_symbols_and_words() -> None:
    """Each badge and each cell of a map says its label; the summary has one row per claim, the legend every label."""
    badges = [
        element.text.strip() for element in PAGE.all("span") if "badge" in (element.attributes.get("class") or "")
    ]
    assert set(badges) == {f"{wording.SYMBOLS[label]} {label}" for label in Label}
    cells = [element for element in PAGE.all("td") if element.parents[-3].attributes.get("class") == "map"]
    assert len(cells) == 4 + 15 + 2
    assert all((element.attributes["class"] or "").split()[0].replace("_", " ") in element.text for element in cells)
    nav = PAGE.all("nav")[0].text
    assert [one.title for one in EVERYTHING if one.title not in nav] == []
    assert "inconclusive after Holm’s correction" in " ".join(nav.split())


def luminance(color: str) -> float:
    """WCAG 2's relative luminance of ``#rrggbb`` or ``#rgb``."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(color: str, other: str) -> float:
    """WCAG 2's ratio of two colors."""
    low, high = sorted([luminance(color), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("text", TEXTS)
def test_contrast(text: str, scheme: int) -> None:
    """Each text color has a contrast of at least 4.5 : 1 on every background that the text stands on."""
    blocks = re.findall(r":root \{(.*?)\}", (PAGES / "report.css").read_text(), re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#\w+)", blocks[scheme]))
    for background in ("paper", "raised", f"{text}-tint"):
        if background in colors:
            assert contrast(colors[text], colors[background]) >= 4.5, background


def markdown_tokens(text: str) -> list[Token]:
    """Parse Markdown as GitHub does: CommonMark with tables."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def shown(token: Token) -> str:
    """An inline token's text as a reader sees it, a picture's description included."""
    return "".join(
        " " if "break" in child.type else child.content for child in token.children or [] if "html" not in child.type
    )


@pytest.mark.parametrize("one", EVERYTHING, ids=lambda one: one.name)
def test_markdown_says_everything_as_text(one: Reproduction) -> None:
    """The Markdown report holds every text about a claim as text, and its command as a code block."""
    tokens = markdown_tokens(markdown_report([one], {one.name: ADDRESSES}))
    text = dense("".join(shown(token) for token in tokens if token.type == "inline")).replace("rule:", "rule")
    left = [expected for expected in claim_texts(one) if dense(expected) not in text]
    assert left == [one.command]
    assert [token.content for token in tokens if token.type == "code_block"] == [f"{one.command}\n"]


def test_markdown_has_only_the_markup_of_its_template() -> None:
    """No HTML but breaks, anchors, pictures and what folds away; no links but its own, headings as in the page."""
    tokens = markdown_tokens(markdown_report(EVERYTHING, {"relu_faster": ADDRESSES}))
    inner = [child for token in tokens for child in token.children or []]
    html = {child.content for child in inner if child.type == "html_inline"}
    anchors = {f'<a id="claim-{one.name}">' for one in EVERYTHING}
    assert html == {"<br>", "</a>"} | anchors
    blocks = [token.content for token in tokens if token.type == "html_block"]
    (figure,) = (block for block in blocks if block.startswith("<picture>"))
    assert {tag for block in blocks for tag in re.findall(r"</?\w+", block)} - set(re.findall(r"</?\w+", figure)) == {
        *("<details", "</details", "<summary", "</summary"),
    }
    assert Page(figure).all("img")[0].attributes == {"src": ADDRESSES["wide"], "alt": made_up.CLAIM["figure"]}
    links = [child.attrs["href"] for child in inner if child.type == "link_open"]
    of_slides = [one.name for line in slide_by_slide(EVERYTHING) for one in line.claims]
    assert links == [f"#claim-{name}" for name in [*(one.name for one in EVERYTHING), *of_slides]]
    assert not [child for child in inner if child.type == "image"]
    headings = [shown(after) for token, after in pairwise(tokens) if token.tag == "h2" and token.nesting == 1]
    fixed = ["All verdicts", "The lecture, slide by slide"]
    assert headings == [*fixed, *(one.title for one in EVERYTHING), "How to read this"]


def test_markdown_map_is_a_table() -> None:
    """A map in Markdown is a table with the rows as they are measured."""
    text = markdown_report([made_up.mapped()], {})
    assert "| depth by width | 16 | 64 | 256 |\n|---|:---:|:---:|:---:|\n| 2 | ? 0.05" in text
    rows = [[cell.split("[")[0].strip() for cell in line.split(" | ")] for line in text.splitlines()]
    assert ["| 4", "? 0.175 \\", "? 0.7 \\", "✓\\* 2.8 \\"] in rows
    assert ["| 32", "(?) 0.125 \\", "(?) 0.5 \\", "(✓) 2 \\"] in rows


def test_written_report_shows_its_figures(tmp_path: Path) -> None:
    """report.html, report.md and the figures that the latter shows, each with the ending of its kind."""
    page = write_report(tmp_path / "new", EVERYTHING, FIGURES)
    assert page == tmp_path / "new" / "report.html"
    assert page.read_text(encoding="utf-8") == HTML
    text = (tmp_path / "new" / "report.md").read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        for variant, figure in zip(("", "-narrow"), FIGURES[name], strict=True):
            address = f"figures/{name}{variant}.{kind}"
            assert f'"{address}"' in text
            assert (tmp_path / "new" / address).read_bytes() == adaptive(figure)


def test_the_pages_on_claims_have_the_labels_of_the_report() -> None:
    """The table of docs/claims.md has each claim once, with the label that the committed report has."""
    report = (DOCS / "claims" / "report.md").read_text(encoding="utf-8")
    page = (DOCS / "claims.md").read_text(encoding="utf-8")
    labels = dict(re.findall(r"^\| \[[^\]]*\]\(#claim-(\w+)\) \| \*\*\S+ ([\w ]+)\*\*", report, re.MULTILINE))
    rows = [re.split(r" (?<!\\)\| ", line) for line in page.splitlines() if line.startswith("| `")]
    table = {row[0].strip("| `"): row[2] for row in rows}
    assert table == labels
    assert set(table) == set(catalog())
