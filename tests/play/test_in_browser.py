"""The page in Chromium: every control, narrow and wide, by keyboard, light and dark, and how training ends.

Run with ``pytest -m browser``, where `chromium` is installed and the package with its extra ``browser``.
"""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.play.serving import SECONDS, Running, served, until
from workbench.api.sweeps import Sweep

pytest_plugins = ["tests.browser_fixtures", "tests.outer_fixtures", "tests.play.serving_fixtures"]
pytestmark = pytest.mark.browser

STEP = ".side .numbers b"  # the first number is the step
TIMEOUT = SECONDS * 1000
NARROW, WIDE = 390, 1400
SMALL = "data=xor&activation=tanh&architecture.hidden=3&loss=binary_nll&seeds=4"
Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, running: Running) -> Iterator[Open]:
    """Open the page with this state; it may ask no other host, and no script of it may fail."""
    pages, trouble = [], []

    def page_with(state: str = "", width: int = WIDE, scheme: str = "light", address: str = running.address) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: request.url.startswith((address, "data:")) or trouble.append(request.url))
        page.goto(f"{address}#{state}")
        pages.append(page)
        return page

    yield page_with
    for page in pages:
        page.close()
    assert trouble == []


def waits(page: Any, condition: str) -> None:
    """Wait until an expression is true; the page's policy forbids playwright's own way, which evaluates texts in it."""
    until(lambda: page.evaluate(condition))


def begun(page: Any) -> Any:
    """The page, once its training is ready and its first frame is drawn."""
    page.wait_for_selector("#play:enabled")
    waits(page, "document.querySelector('.side .numbers b')")
    return page


def step_of(page: Any) -> int:
    """Step that the page shows."""
    return int(page.locator(STEP).first.inner_text())


def plays_to(page: Any, step: int) -> None:
    """Wait until the page shows this step or a later one."""
    waits(page, f"Number(document.querySelector('{STEP}')?.textContent) >= {step}")


def number(page: Any, side: int, name: str) -> str:
    """A number of a side, by its name."""
    text = page.locator(".side").nth(side).locator(".numbers span", has_text=name).inner_text()
    return str(text.removeprefix(name).strip())


def shows_step(page: Any, step: int) -> None:
    """Wait until the page shows this step."""
    waits(page, f"document.querySelector('{STEP}')?.textContent === '{step}'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_page_fits_and_is_accessible(opened: Open, width: int, scheme: str) -> None:
    """No scrolling sideways and no finding of axe-core: a lesson with two packs, digits, drawn points, a refusal."""
    from axe_playwright_python.sync_playwright import Axe

    page = begun(opened(width=width, scheme=scheme))
    states = ("data=digits&architecture.hidden=20", "data=points&points=0.5,0.5,1", f"{SMALL}&optimizer.lr=-1")
    for state in ("", *states):
        if state:
            page.evaluate(f"location.hash = '{state}'")
            page.wait_for_timeout(1500)
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        findings = Axe().run(page).response["violations"]
        assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in findings] == []
    assert "optimizer.lr" in page.locator("#refused").inner_text()


def test_play_pause_step_and_rewind(opened: Open) -> None:
    """Pause stops at a step, step takes one, rewind returns to the initial loss; speed limits steps."""
    page = begun(opened(SMALL))
    first = page.locator(".numbers").inner_text()
    page.click("#step")
    shows_step(page, 1)
    page.click("#play")
    plays_to(page, 100)
    page.click("#play")
    assert page.locator("#play").inner_text() == "Play"
    page.wait_for_timeout(500)
    stopped = step_of(page)
    page.wait_for_timeout(500)
    assert step_of(page) == stopped
    page.click("#rewind")
    shows_step(page, 0)
    assert page.locator(".numbers").inner_text() == first
    page.select_option("#speed", "1")
    page.click("#play")
    plays_to(page, 2)
    assert step_of(page) < 50


def test_every_setting_trains_another_pack_and_stays_in_the_address(opened: Open) -> None:
    """Each list and input changes the address; a page opened with it shows the same."""
    page = begun(opened(SMALL))
    choices = {"architecture": "maxout_mlp", "activation": "leaky_relu", "init": "glorot", "bias": "small_positive"}
    choices |= {"norm": "layer", "loss": "softmax_nll", "optimizer": "adam", "data": "annuli"}
    for group, name in choices.items():
        page.select_option(f"[id='set-{group}']", name)
        begun(page)
        assert f"{group}={name}" in page.url
    written = {"architecture.hidden": "4,4", "activation.slope": "0.2", "optimizer.lr": "0.02"}
    for key, text in (written | {"train.batch_size": "16", "data.points": "80", "seeds": "5"}).items():
        page.fill(f"[id='set-{key}']", text)
        page.press(f"[id='set-{key}']", "Enter")
        begun(page)
        assert f"{key}={text.replace(',', '%2C')}" in page.url
    page.select_option("[id='set-data.coordinates']", "polar")
    page.select_option("#seed", "3")
    page.select_option("#speed", "100")
    page.wait_for_timeout(500)
    assert page.locator("#refused").inner_text() == ""
    other = begun(opened(page.url.partition("#")[2]))
    assert other.locator("#seed").input_value() == "3"
    for selector in ("#settings input", "#settings select", "#transport select"):
        values = [box.locator(selector).evaluate_all("all => all.map(one => one.value)") for box in (page, other)]
        assert values[0] == values[1]
    assert page.locator(".numbers").inner_text() == other.locator(".numbers").inner_text()


def test_a_refusal_is_the_command_lines_and_goes_when_it_is_mended(opened: Open) -> None:
    """Its sentence is on the page, and nothing can be played meanwhile."""
    page = begun(opened(SMALL))
    page.select_option("#set-init", "constant")
    page.wait_for_selector("#refused:not(:empty)")
    assert "write init.value=..." in page.locator("#refused").inner_text()
    assert page.locator("#play").is_disabled()
    page.fill("[id='set-init.value']", "0.5")
    page.press("[id='set-init.value']", "Enter")
    begun(page)
    assert page.locator("#refused").inner_text() == ""


def test_two_packs_take_the_same_steps_on_the_same_seeds(opened: Open) -> None:
    """B begins as A's copy, with the same numbers; changed, it begins again together with A; dropped, A stays."""
    page = begun(opened(SMALL))
    page.click("#compare")
    waits(page, "document.querySelectorAll('.side .numbers b').length === 12")
    assert number(page, 0, "loss") == number(page, 1, "loss")
    page.select_option("#set-bias", "small_positive")
    begun(page)
    page.click("#play")
    plays_to(page, 50)
    page.click("#play")
    page.wait_for_timeout(500)
    assert number(page, 0, "step") == number(page, 1, "step")
    assert number(page, 0, "loss") != number(page, 1, "loss")
    assert page.locator(".what").all_inner_texts() == ["bias=zero", "bias=small_positive"]
    page.check("#side-a")
    assert page.locator("#set-bias").input_value() == "zero"
    page.click("#compare")
    waits(page, "document.querySelectorAll('.side').length === 1")
    assert "b." not in page.url


def test_points_are_drawn_by_mouse_and_by_keyboard(opened: Open, running: Running) -> None:
    """They appear on the map, train, and can be removed."""
    page = opened("data=points&loss=binary_nll&architecture.hidden=4&activation=tanh&seeds=2")
    page.wait_for_selector("#refused:not(:empty)")
    for label, x in ((0, 0.25), (1, 0.75)):
        page.check(f"#class-{label}")
        box = page.locator(".board").first.bounding_box()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.1 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.9 * box["height"], steps=30)
        page.mouse.up()
    begun(page)
    (session,) = [opened.session for opened in running.server.opened.values()]
    x = session.trainings[0].trainer.pack.data.train.x
    assert x[..., 0].abs().sub(0.5).abs().max() < 0.02
    before = page.url.count("%3B")
    page.fill("#point-x", "0.5")
    page.focus("#point-add")
    page.keyboard.press("Enter")
    begun(page)
    assert page.url.count("%3B") == before + 1
    page.click("#point-remove")
    assert page.url.count("%3B") == before
    page.click("#point-clear")
    page.wait_for_selector("#refused:not(:empty)")


def test_the_keyboard_reaches_every_control(opened: Open) -> None:
    """Tab visits each control, in order; Enter plays, and arrows choose."""
    page = begun(opened(f"{SMALL}&b=&b.activation=relu"))
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, select, input, summary')].filter(one => one.checkVisibility() && "
        "!(one.type === 'radio' && !one.checked)).map(one => one.id || one.tagName)"
    )
    seen: list[str] = []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert set(wanted) <= set(seen)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.focus("#play")
    page.keyboard.press("Enter")
    plays_to(page, 20)
    page.focus("#seed")
    page.keyboard.press("ArrowDown")
    waits(page, "location.hash.includes('seed=1')")
    page.focus("#side-a")
    page.keyboard.press("ArrowRight")
    assert page.locator("#side-b").is_checked()


def test_training_ends_with_its_page_and_two_tabs_are_apart(opened: Open, running: Running) -> None:
    """One page plays and the other does not; a closed page's thread ends."""
    one, two = begun(opened(SMALL)), begun(opened(SMALL))
    until(lambda: len(running.server.opened) == 2)
    sessions = [opened.session for opened in running.server.opened.values()]
    one.click("#play")
    plays_to(one, 50)
    assert step_of(two) == 0
    one.close()
    until(lambda: len(running.server.opened) == 1)
    assert [session.is_running for session in sessions] == [False, True]
    two.click("#play")
    plays_to(two, 20)


def test_lessons_are_chosen_and_explained(opened: Open) -> None:
    """Each lesson shows its question, trains, and its answer opens; the address names it."""
    page = begun(opened())
    names = page.locator("#lesson option").evaluate_all("all => all.map(one => one.value)")
    for name in filter(None, names):
        page.select_option("#lesson", name)
        begun(page)
        assert f"lesson={name}" in page.url
        assert page.locator("#question").inner_text().count("?") == 1
        page.click("#step")
        shows_step(page, 1)
        page.click("#answer summary")
        assert len(page.locator("#answer p").inner_text()) > 50
        assert page.locator("#refused").inner_text() == ""


def test_a_student_kills_a_net_revives_it_and_keeps_both(opened: Open, store: Any) -> None:
    """Dead ReLU nets, fewer of them with bias 0.1 on the same seeds, and both packs as sweeps in MLflow."""
    page = begun(opened())
    page.select_option("#lesson", "dying")
    begun(page)
    page.click("#play")
    plays_to(page, 60)
    page.click("#play")
    assert int(number(page, 0, "dead nets").split(" of ")[0]) >= 8
    page.click("#compare")
    waits(page, "document.querySelectorAll('.side').length === 2")
    page.select_option("#set-bias", "small_positive")
    begun(page)
    page.click("#play")
    plays_to(page, 60)
    page.click("#play")
    page.wait_for_timeout(500)
    dead, revived = (int(number(page, side, "dead nets").split(" of ")[0]) for side in (0, 1))
    assert revived < dead
    for letter, side in (("A", 0), ("B", 1)):
        page.click(f"#keep-{letter}")
        page.locator(".kept pre").nth(2 * side).wait_for()
    told = page.locator(".kept").all_inner_texts()
    arms = []
    for text in told:
        kept = re.search(r"Kept as sweep (\S+)\. This command repeats it:\s+(workbench train -m .*)", text)
        assert kept, text
        sweep = Sweep.find(kept[1], uri=store.uri)
        assert len(sweep) == 16
        arms.append(sweep.runs[0].params["bias.value"])
        assert set(sweep.frame()["outcome"]) == {"finished"}
        assert "seed=range(16)" in kept[2].replace("'", "")
    assert arms == ["0.0", "0.1"]


def test_a_stopped_server_ends_training_and_tells_the_page(opened: Open, tmp_path: Path) -> None:
    """Ctrl-C ends the command, though a page trains; nothing is left running, and the page says so."""
    with served(tmp_path) as (process, address):
        page = begun(opened(SMALL, address=address))
        page.click("#play")
        plays_to(page, 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    page.wait_for_selector("#refused:not(:empty)")
    assert "ended" in page.locator("#refused").inner_text()
    assert page.locator("#play").is_disabled()
    assert list(tmp_path.iterdir()) == []
