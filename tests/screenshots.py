"""Write the pictures of ``workbench play`` and ``workbench explain`` in docs/images: ``python -m tests.screenshots``.

Needs `chromium` and the package with its extra ``browser``. Steps are counted, so that the same numbers are shown.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

import workbench as wb
from tests.play.serving import served, until
from workbench.play.server import PAGE

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, HEIGHT = 1300, 860
SHOTS = {"play": ("revived", "light", 150), "play_deep": ("deep", "dark", 40)}  # file: lesson, colors, steps


def shoot(page: Any, address: str, name: str, lesson: str, steps: int) -> None:
    """Take so many steps of a lesson, and write the picture of the whole page."""
    state = next(one["state"] for one in json.loads((PAGE / "lessons.json").read_text()) if one["name"] == lesson)
    page.goto(f"{address}#lesson={lesson}&{state}")
    page.wait_for_selector("#play:enabled")
    for _ in range(steps):
        page.click("#step")
    until(lambda: page.locator(".numbers b").first.inner_text() == str(steps))
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True)


def shoot_movie(page: Any, file: Path) -> None:
    """Write the picture of an explanation's movie under an erratum, with the formula of a delta."""
    file.write_text(wb.explain().html, encoding="utf-8")
    page.goto(file.as_uri())
    page.select_option(".errata select", label=page.locator("option", has_text="E4 as").inner_text())
    page.locator('.number[aria-label^="δ₁⁽²⁾"]').click()
    page.locator("#movie").screenshot(path=IMAGES / "explain.png")


def main() -> None:
    """Write every picture."""
    with TemporaryDirectory() as folder, served(Path(folder)) as (_, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, (lesson, scheme, steps) in SHOTS.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            shoot(page, address, name, lesson, steps)
            page.close()
        shoot_movie(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), Path(folder) / "step.html")
        browser.close()


if __name__ == "__main__":
    main()
