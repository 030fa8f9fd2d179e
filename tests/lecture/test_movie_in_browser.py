"""The movie of `workbench explain` in Chromium: every control, by keyboard, narrow and wide, in print, without scripts.

Run with ``pytest -m browser``, where `chromium` is installed and the package with its extra ``browser``.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import workbench as wb

pytest_plugins = ["tests.browser_fixtures"]
pytestmark = pytest.mark.browser

NARROW, WIDE = 390, 1400
NETS = {
    "2-2-1": (),
    "13-3-4-3": ("data=wine", "loss=softmax_nll", "architecture.hidden=[3,4]", "optimizer.weight_decay=0.1"),
    "2-12-1": ("architecture.hidden=[12]",),
}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each net, and one of a net of positions, by sizes."""
    folder = tmp_path_factory.mktemp("explained")
    nets = {**NETS, "elman": ("architecture=elman",)}
    for name, overrides in nets.items():
        (folder / f"{name}.html").write_text(wb.explain(*overrides).html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in nets}


@pytest.fixture
def opened(browser: Any, files: dict[str, Path]) -> Iterator[Open]:
    """Open a page from its file; it may ask for nothing else, and no script of it may fail."""
    contexts, trouble = [], []

    def page_of(net: str = "2-2-1", width: int = WIDE, **context: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **context))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: request.url == files[net].as_uri() or trouble.append(request.url))
        page.goto(files[net].as_uri())
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert trouble == []


def data_of(page: Any) -> Any:
    """The block of numbers in the page."""
    return json.loads(page.locator("#numbers").text_content())


def step_of(page: Any) -> int:
    """Number of the step that is shown, from 1."""
    return int(page.locator("output").inner_text().split()[1])


def in_drawing(page: Any) -> dict[str, str]:
    """Symbol -> text of every number that the drawing shows as computed."""
    labels = page.locator(".number:not([aria-disabled=true])").evaluate_all("all => all.map(one => one.ariaLabel)")
    return dict(label.split(" = ", 1) for label in labels)


def number(page: Any, symbol: str) -> Any:
    """A number of the drawing."""
    return page.locator(f'.number[aria-label^="{symbol} = "]')


@pytest.mark.parametrize(
    ("net", "width", "scheme"),
    [
        ("2-2-1", NARROW, "light"),
        ("2-2-1", NARROW, "dark"),
        ("2-2-1", WIDE, "light"),
        ("2-2-1", WIDE, "dark"),
        ("2-12-1", NARROW, "dark"),
        ("13-3-4-3", NARROW, "light"),
        ("13-3-4-3", WIDE, "light"),
    ],
)
def test_the_page_fits_and_is_accessible(opened: Open, net: str, width: int, scheme: str) -> None:
    """No scrolling sideways and no finding of axe-core, at the first step, with a number chosen, under an erratum."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(net, width, color_scheme=scheme)
    for act in (
        lambda: None,
        lambda: number(page, "b₁⁽¹⁾").click(),
        lambda: page.select_option(".errata select", label=page.locator("option", has_text="E1 as").inner_text()),
        lambda: page.locator("[type=range]").press("End"),
    ):
        act()
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        findings = Axe().run(page).response["violations"]
        assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in findings] == []


@pytest.mark.parametrize("net", NETS)
def test_each_step_shows_the_numbers_computed_so_far(opened: Open, net: str) -> None:
    """From step to step the drawing shows the numbers of the data, a place the newest of its numbers, and no others."""
    page = opened(net)
    data = data_of(page)
    places = {slot for layer in data["layers"] for unit in layer["units"] for slot in unit}
    places |= {edge["slot"] for edge in data["edges"]}
    expected: dict[str, str] = {}
    for index, scene in enumerate(data["scenes"], start=1):
        expected |= {data["numbers"][symbol]["slot"]: symbol for symbol in scene["shows"]}
        assert step_of(page) == index
        shown = {symbol: data["numbers"][symbol]["shown"] for slot, symbol in expected.items() if slot in places}
        assert in_drawing(page) == shown
        assert page.locator(".equation[aria-current]").count() == 1
        if index < len(data["scenes"]):
            page.get_by_role("button", name="Next").click()
    assert page.get_by_role("button", name="Next").is_disabled()


def test_play_pause_previous_and_slider(opened: Open) -> None:
    """Play goes on until it is paused; Previous goes back; the slider goes anywhere; Play at the end begins again."""
    page = opened()
    page.click("text=Play")
    page.wait_for_function("document.querySelector('output').textContent.startsWith('step 3 ')")
    page.click("text=Pause")
    paused = step_of(page)
    page.wait_for_timeout(2500)
    assert step_of(page) == paused
    page.click("text=Previous")
    assert step_of(page) == paused - 1
    last = len(data_of(page)["scenes"])
    page.locator("[type=range]").fill(str(last - 1))
    assert step_of(page) == last
    page.click("text=Play")
    page.wait_for_function("document.querySelector('output').textContent.startsWith('step 2 ')")


def test_numbers_travel_along_their_edges_unless_motion_is_reduced(opened: Open) -> None:
    """Where δ₁⁽²⁾ is computed, δ₁⁽³⁾ goes from the output to the hidden unit; with reduced motion nothing moves."""
    page = opened()
    scenes = data_of(page)["scenes"]
    page.locator("[type=range]").fill(str(next(i for i, scene in enumerate(scenes) if "δ₁⁽²⁾" in scene["shows"])))
    token = page.locator(".token")
    assert token.text_content() == "−0.4837"
    assert page.locator(".edge.on.back").count() == 1
    start = token.bounding_box()["x"]
    page.wait_for_timeout(300)
    assert token.bounding_box()["x"] < start
    calm = opened(reduced_motion="reduce")
    calm.locator("[type=range]").fill("11")
    assert calm.locator(".token").count() == 0


def test_a_number_shows_its_formula_by_mouse_and_keyboard(opened: Open) -> None:
    """The formula in symbols and in numbers; up and down go to other numbers, Escape returns to the step."""
    page = opened()
    page.locator("[type=range]").press("End")
    number(page, "δ₁⁽²⁾").click()
    for line in ("δ₁⁽²⁾ = (W₁₁⁽²⁾ δ₁⁽³⁾) f′(z₁⁽²⁾)", "= (0.42 · (−0.4837)) · 0.2072", "= −0.0421"):
        assert line in page.locator(".panel").inner_text()
    page.keyboard.press("ArrowUp")
    assert "f′(z₁⁽²⁾)\n" in page.locator(".panel").inner_text()
    page.keyboard.press("ArrowUp")
    assert "= f(0.88)" in page.locator(".panel").inner_text()
    page.keyboard.press("Escape")
    assert "J after" in page.locator(".panel h2").inner_text()


def test_the_keyboard_alone_does_it_all(opened: Open) -> None:
    """Tab reaches buttons, slider, a number and the errata; arrows, Home and End move; space plays and pauses."""
    page = opened()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
    assert reached[:3] == ["Play", "Next", "Step"]  # Previous is disabled at the first step
    assert reached[3].startswith("W₁₁⁽¹⁾ = ")
    assert "corrected" in reached[4]
    page.locator("[type=range]").focus()
    for key, step in (("ArrowRight", 2), ("End", 18), ("ArrowLeft", 17), ("Home", 1)):
        page.keyboard.press(key)
        assert step_of(page) == step
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('output').textContent.startsWith('step 2 ')")
    page.keyboard.press("Space")
    assert page.locator(".play").inner_text() == "Play"


def test_an_erratum_marks_the_numbers_that_go_wrong(opened: Open) -> None:
    """E4 shows its wrong gradients beside the right ones and what it is; E1 leaves gaps; "corrected" takes all back."""
    page = opened()
    errata = {one["id"]: one for one in data_of(page)["errata"]}
    for name in ("E4", "E12", "E1"):
        page.select_option(".errata select", label=page.locator("option", has_text=f"{name} as").inner_text())
        assert errata[name]["outcome"] in page.locator(".errata").inner_text()
        assert errata[name]["printed"] in page.locator(".errata").inner_text()
        shown = {
            label.split(" ")[0]: label
            for label in page.locator(".number.wrong").evaluate_all("all => all.map(one => one.ariaLabel)")
        }
        for symbol, value in errata[name]["numbers"].items():
            if symbol.startswith("∂J"):
                text = f"{symbol} = {value['shown']}" if value else f"{symbol} is not computed"
                assert shown[symbol].startswith(f"{text}, wrong: right is ")
        assert page.locator(".edge").count() == 7
    page.select_option(".errata select", label="corrected")
    assert page.locator(".number.wrong").count() == 0


def test_print_is_the_drawing_and_the_list_of_equations(opened: Open) -> None:
    """Controls and panel are not printed; the drawing with all corrected gradients is, and all equations, on white."""
    page = opened(width=680, color_scheme="dark")
    page.select_option(".errata select", label=page.locator("option", has_text="E4 as").inner_text())
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    numbers = data_of(page)["numbers"]
    gradients = {symbol: one["shown"] for symbol, one in numbers.items() if symbol.startswith("∂J")}
    assert gradients.items() <= in_drawing(page).items()
    page.emulate_media(media="print")
    for part in (".controls", ".panel", ".errata", ".hint"):
        assert not page.locator(part).is_visible()
    assert page.locator(".drawing svg").is_visible()
    assert page.locator(".equation").count() == page.locator(".equation:visible").count() > 20
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".number.wrong").count() > 0


def test_without_scripts_the_list_of_equations_remains(opened: Open) -> None:
    """Nothing of the movie is seen, and every equation is; the page of a net of positions has no script at all."""
    page = opened(java_script_enabled=False)
    assert not page.locator("#movie").is_visible()
    assert page.locator(".equation:visible").count() > 20
    assert opened("elman").locator("script").count() == 0


@pytest.mark.parametrize(("net", "width"), [("2-2-1", NARROW), ("2-2-1", WIDE), ("2-12-1", WIDE), ("13-3-4-3", WIDE)])
def test_no_number_covers_another(opened: Open, net: str, width: int) -> None:
    """In a drawing the boxes of all numbers are apart, with the weights and with the gradients at the edges."""
    page = opened(net, width)
    for step in (0, len(data_of(page)["scenes"]) - data_of(page)["edges"][-1]["to"][0] - 2):
        page.locator("[type=range]").fill(str(step))
        boxes = page.locator(".number:visible > rect").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right, box.top, box.bottom])"
        )
        covered = [
            (a, b)
            for index, a in enumerate(boxes)
            for b in boxes[:index]
            if min(a[1], b[1]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[2], b[2]) > 1
        ]
        assert covered == []
