"""The HTML report in Chromium, opened from a file: it fits narrow and wide windows, loads nothing, and passes axe-core.

Run with ``pytest -m browser``, where `chromium` is installed and the package with its extra ``browser``.
"""

from pathlib import Path
from typing import Any, Literal

import pytest

from tests.claims import made_up
from workbench.claims.claim_figure import Drawn
from workbench.claims.report import write_report

pytest_plugins = ["tests.browser_fixtures"]
pytestmark = pytest.mark.browser
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with one claim of each kind."""
    kinds = {"xor_limit": "png", "relu_faster": "svg", "piecewise_linear": "svg"}
    figures = {name: Drawn(made_up.drawn(kind), made_up.drawn(kind)) for name, kind in kinds.items()}
    return write_report(tmp_path_factory.mktemp("report"), made_up.everything(), figures)


def opened(browser: Any, report: Path, width: int, scheme: Scheme, requests: list[str]) -> Any:
    """The page in a window of this width; `requests` receives every address that is asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_report_fits_loads_nothing_and_is_accessible(browser: Any, report: Path, width: int, scheme: Scheme) -> None:
    """No scrolling sideways, no request but the file's own, no finding of axe-core, with every detail open too."""
    from axe_playwright_python.sync_playwright import Axe

    requests: list[str] = []
    page = opened(browser, report, width, scheme, requests)
    for _ in ("as it opens", "with every detail open"):
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        findings = Axe().run(page).response["violations"]
        assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in findings] == []
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert requests == [report.as_uri()]
    page.close()


def test_keyboard_reaches_the_verdicts_and_scrolls_a_table(browser: Any, report: Path) -> None:
    """The first tab stop skips to the verdicts; an arrow key moves a table that is wider than its container."""
    page = opened(browser, report, 400, "light", [])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#verdicts"
    assert page.evaluate("document.querySelector('main').getBoundingClientRect().top") < 50
    page.locator(".scroll:has(.slides-table)").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    page.close()


def test_print_shows_a_claim_per_page_and_nothing_is_cut_off(browser: Any, report: Path) -> None:
    """Nothing scrolls in print: question, expectation, figure, verdict and command of each claim fit on one page."""
    page = opened(browser, report, 680, "dark", [])  # A4 less its margins, in CSS pixels
    page.emulate_media(media="print")
    boxes = "[...document.querySelectorAll('.scroll, pre')].filter(one => one.scrollWidth > one.clientWidth + 1)"
    assert page.evaluate(f"{boxes}.map(one => one.ariaLabel)") == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    claim = page.locator("article").first
    shown = (".question", ".expect", "figure", ".verdict", "pre")
    tops = [claim.locator(part).first.bounding_box()["y"] for part in shown]
    assert tops == sorted(tops)
    assert claim.locator(".numbers").bounding_box() is None
    heights = [one.bounding_box()["height"] for one in page.locator("article").all()[:-1]]  # the last is hostile
    assert max(heights) < (297 - 32) / 25.4 * 96  # A4 less its margins, in CSS pixels
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()
