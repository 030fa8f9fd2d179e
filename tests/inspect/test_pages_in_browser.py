"""MLflow's own pages in Chromium, served by ``workbench ui``: what a sweep leaves is there to be seen.

Run with ``pytest -m browser``, where `chromium` is installed and the package with its extra ``browser``. With a folder
in $SCREENSHOTS, pictures of the pages are put there.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import workbench as wb
from tests.outer import SMALL, environment, runs_of, start, trained, wait_for
from tests.servers import free_port, healthy
from workbench.sweeps.sweep import Finished
from workbench.tracking.store import Store

pytestmark = pytest.mark.browser
pytest_plugins = ["tests.outer_fixtures"]
SECONDS = 60_000  # in milliseconds: the pages are slow where cores are few
ARMS = tuple(f"{name} lr={lr}" for name in ("relu", "tanh") for lr in (0.03, 0.1))


@dataclass
class Served:
    """A sweep of four arms behind MLflow's pages at `base`, `store` is its database."""

    base: str
    sweep: Finished
    store: Store


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Served]:
    """Five seeds of each arm, compared, and served until the module's end."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    port = free_port()
    before = Path.cwd()
    os.chdir(folder)
    try:
        epochs = ("train.epochs=20", "data=digits", "architecture.hidden=[32,32]")
        sweep = trained("-m", *SMALL, *epochs, "activation=relu,tanh", "optimizer.lr=0.1,0.03", "seed=0,1,2,3,4")
        assert sweep is not None
        wb.Sweep.find(sweep.sweep).show(out="figures/all")
    finally:
        os.chdir(before)
    pages = start(["ui", "--port", str(port)], folder, **environment())
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: healthy(port))
        yield Served(base, sweep, store)
    finally:
        pages.terminate()
        pages.communicate(timeout=60)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Any]:
    """A window of a Chromium that has no other."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "chromium must be installed: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program)
        window = running.new_page(viewport={"width": 1280, "height": 800})
        window.set_default_timeout(SECONDS)
        yield window
        running.close()


def picture(page: Any, name: str) -> None:
    """Keep what the window shows, if that is asked for; MLflow's assistant is closed first."""
    close = page.locator("h2:has-text('MLflow Assistant') ~ * button, [aria-label='Close']")
    if close.count():
        close.last.click()
        page.wait_for_timeout(1000)
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_table_shows_the_arms(page: Any, served: Served) -> None:
    """The printed link, as a table: a row for each arm, with its score and what varies, and none for its runs."""
    page.goto(served.sweep.link.replace("http://127.0.0.1:5000", served.base).replace("&compareRunsMode=CHART", ""))
    for arm in ARMS:
        page.get_by_text(arm, exact=True).first.wait_for()
    page.get_by_text(f"{len(ARMS)} matching runs").wait_for()
    assert len(runs_of(served.store)) == 20
    picture(page, "mlflow_table")
    for column in ("test/accuracy", "activation", "optimizer.lr"):
        page.get_by_text(column, exact=True).first.wait_for(state="attached")


def test_an_arm_links_to_its_runs(page: Any, served: Served) -> None:
    """The note of an arm's run leads to its five runs, and to all of the sweep, in charts."""
    arm = runs_of(served.store, "arm")[0]
    page.goto(f"{served.base}/#/experiments/{served.sweep.experiment_id}/runs/{arm.info.run_id}")
    for name, count in (("Charts of its runs", 5), ("all runs", 20), ("All arms", 4)):
        link = page.get_by_role("link", name=name)
        link.click(trial=True)
        with page.expect_popup() as opened:
            link.click()
        opened.value.get_by_text(f"{count} matching runs").wait_for(timeout=SECONDS)
        opened.value.close()


def test_charts_draw_a_curve_for_each_arm(page: Any, served: Served) -> None:
    """The printed link itself: a line for each arm in the first charts."""
    page.goto(served.sweep.link.replace("http://127.0.0.1:5000", served.base))
    page.get_by_text("valid/loss vs valid/loss.low").first.wait_for()  # their intervals, too
    count = "p => p.querySelectorAll('.lines path.js-line').length"
    lines = f"Math.max(...[...document.querySelectorAll('.js-plotly-plot')].map({count}))"
    page.wait_for_function(f"document.querySelector('.js-plotly-plot') && {lines} >= {len(ARMS)}")
    picture(page, "mlflow")


def test_compare_page_draws_four_runs(page: Any, served: Served) -> None:
    """MLflow's own comparison of four runs: their names, what differs, and a plot of it."""
    runs = runs_of(served.store)[:4]
    ids, experiment = json.dumps([run.info.run_id for run in runs]), json.dumps([served.sweep.experiment_id])
    page.goto(f"{served.base}/#/compare-runs?runs={quote(ids)}&experiments={quote(experiment)}")
    page.get_by_text("Comparing 4 Runs from 1 Experiment").wait_for()
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot svg text').length > 10")
    for run in runs:
        page.get_by_text(run.info.run_name, exact=True).first.wait_for()
    picture(page, "mlflow_compare")


def test_figure_of_the_sweep_is_shown(page: Any, served: Served) -> None:
    """The learning curves that `compare` keeps with the sweep's own run are drawn as an image."""
    (own,) = runs_of(served.store, "sweep")
    place = f"runs/{own.info.run_id}/artifacts/compare/learning_curves.png"
    page.goto(f"{served.base}/#/experiments/{served.sweep.experiment_id}/{place}")
    page.wait_for_function("[...document.images].some(one => one.complete && one.naturalWidth > 1000)")
    picture(page, "mlflow_figure")
