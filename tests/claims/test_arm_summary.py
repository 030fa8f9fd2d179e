"""Tables and figures by arm: numbers worked by hand, and the command on a real sweep."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, pi, sqrt, tan
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread
from rich.console import Console

from tests.outer import SMALL, Answer, Trained, client_of, runs_of, trained
from workbench.claims import comparison_figures
from workbench.claims.adaptive_svg import DARK_PAPER
from workbench.claims.arm_summary import arms_table, as_text
from workbench.claims.comparison_figures import NEAR_FLAT, ONE_SIDED, save_figures
from workbench.inspect.verify import timeless
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import read_sweep
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
T_2 = 0.95 * sqrt(2 / (1 - 0.95**2))  # two-sided 95 % point of Student's t with 2 degrees of freedom, in closed form
T_1 = tan(0.475 * pi)  # with 1 degree


@dataclass
class Made:
    """A run made up for a table."""

    arm: str
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    outcome: str = "finished"
    history: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The arm with the seed."""
        return f"{self.arm} seed={self.seed}"


RUNS = [
    Made("relu", 0, {"test/accuracy": 0.9, "test/loss": 1.0}),
    Made("relu", 1, {"test/accuracy": 0.8, "test/loss": 2.0}),
    Made("relu", 2, {"test/accuracy": 0.7, "test/loss": 6.0}),
    Made("tanh", 0, {"test/accuracy": 0.5, "test/loss": 3.0}),
    Made("tanh", 1, {"test/accuracy": 0.7}, "failed"),
    Made("tanh", 2, {}, "diverged"),
    Made("sigmoid", 0, {}, "interrupted"),
]


def test_table_by_hand() -> None:
    """Mean and t interval over the finished seeds of an arm; the others are counted, not averaged."""
    table = arms_table(RUNS).set_index(["arm", "metric"])
    row = table.loc[("relu", "test/accuracy")]
    half = T_2 * 0.1 / sqrt(3)  # the standard deviation of .7 .8 .9 is .1
    assert [row["mean"], row["low"], row["high"]] == pytest.approx([0.8, 0.8 - half, 0.8 + half], rel=1e-12)
    assert (row["n"], row["unfinished"]) == (3, 0)
    row = table.loc[("relu", "test/loss")]
    half = T_2 * sqrt((4 + 1 + 9) / 2) / sqrt(3)  # deviations from 3: -2 -1 3
    assert [row["mean"], row["low"], row["high"]] == pytest.approx([3.0, 3 - half, 3 + half], rel=1e-12)
    row = table.loc[("tanh", "test/accuracy")]
    assert (row["mean"], row["n"], row["unfinished"]) == (0.5, 1, 2)
    assert isnan(row["low"])
    assert isnan(row["high"])
    row = table.loc[("sigmoid", "")]
    assert (row["n"], row["unfinished"]) == (0, 1)
    assert isnan(row["mean"])


def test_table_of_two_seeds() -> None:
    """Two seeds have one degree of freedom: half of the interval is t times half their distance."""
    table = arms_table([Made("a", 0, {"m": 1.0}), Made("a", 1, {"m": 2.0})])
    assert table["high"][0] - table["mean"][0] == pytest.approx(T_1 * 0.5, rel=1e-12)


def test_table_as_text() -> None:
    """An arm per line, accuracies in per cent, and how many runs are not in the means."""
    out = io.StringIO()
    Console(file=out, width=120).print(as_text(arms_table(RUNS), "made up"))
    lines = [line.strip("│").split("│") for line in out.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["relu", "3", "80.00 ± 24.84", "3 ± 6.6"],
        ["tanh", "1 (+2 not finished)", "50.00", "3"],
        ["sigmoid", "0 (+1 not finished)", "-", "-"],
    ]


def figures_of(files: Sequence[Path]) -> set[str]:
    """The names of files that are whole figures: PNG with several colors, SVG that parses."""
    for file in files:
        if file.suffix == ".png":
            assert imread(file).std() > 0.01, file
        elif file.suffix == ".svg":
            assert len(list(ElementTree.parse(file).iter())) > 50, file
    return {file.name for file in files}


@pytest.mark.slow
def test_figures_of_made_up_runs(tmp_path: Path) -> None:
    """Zeros on a logarithmic axis, a single seed and an arm without rows are drawn without a warning."""
    curve = {"train/loss": [(0, 2.0), (5, 1.0), (10, 0.0)], "dead_rate/l1": [(0, 0.0), (5, 1.0)]}
    made = [
        Made("a", 0, history=curve, tags={"steps_per_epoch": "5", "mlflow.runColor": "#0072B2"}),
        Made("a", 1, history=curve, tags={"steps_per_epoch": "5", "mlflow.runColor": "#0072B2"}),
        Made("b", 0, history={"train/loss": [(0, 3.0)]}),
        Made("c", 0, outcome="failed"),
    ]
    files = save_figures(made, tmp_path / "new" / "folder", "made up")
    stems = ("learning_curves", "dead_rate_by_layer")
    assert figures_of(files) == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    svg = (tmp_path / "new" / "folder" / "learning_curves.svg").read_text().lower()
    assert "#0072b2" in svg


@pytest.fixture
def trained_here(folder: Path, swept: Trained, empty_database: Path) -> Store:
    """The current folder with two sweeps in its store: one trained, one with a failed run."""
    shutil.copy(empty_database, folder / "mlflow.db")
    trained("-m", *SMALL, "activation=relu,tanh", "seed=range(3)")
    trained("-m", *SMALL, "optimizer.lr=0.1,1e30", "seed=range(2)", "tracking.experiment=second")
    return Store(f"sqlite:///{folder}/mlflow.db")


@pytest.mark.slow
def test_compare_newest_and_by_id(cli: Cli, trained_here: Store, folder: Path) -> None:
    """The newest sweep without an id, others by id: the table, and in a folder figures and CSV, kept with its run."""
    first, second = sorted(runs_of(trained_here, "sweep"), key=lambda run: run.info.start_time)
    newest = cli("compare")
    assert (newest.code, newest.err) == (0, "")
    assert f"sweep optimizer.lr x seed ({second.data.tags['sweep']})" in newest.out
    assert "0 (+2 not finished)" in newest.out
    older = cli("compare", first.data.tags["sweep"], "--out", "here")
    assert (older.code, older.err) == (0, "")
    assert f"sweep activation x seed ({first.data.tags['sweep']})" in older.out
    assert f"/#/experiments/{first.info.experiment_id}/runs?workflowType=machine_learning" in older.out
    files = list((folder / "here").iterdir())
    kinds = ("learning_curves", "grad_norm_by_layer", "dead_rate_by_layer", "saturation_by_layer")
    assert figures_of(files) == {f"{kind}.{suffix}" for kind in kinds for suffix in ("png", "svg")} | {"arms.csv"}
    client = client_of(trained_here)
    attached = {file.path for file in client.list_artifacts(first.info.run_id, "compare")}
    assert attached == {f"compare/{file.name}" for file in files}
    assert f"figures: workbench compare {second.data.tags['sweep']} --out figures/" in newest.out
    assert not (folder / "figures").exists()
    with (folder / "here" / "arms.csv").open() as lines:
        rows = {(row["arm"], row["metric"]): row for row in csv.DictReader(lines)}
    kept = [run.data.metrics["test/loss"] for run in runs_of(trained_here) if run.data.params["activation"] == "tanh"]
    assert float(rows["tanh", "test/loss"]["mean"]) == pytest.approx(sum(kept) / 3, rel=1e-12)
    unknown = cli("compare", first.data.tags["sweep"][:-1] + "x")
    assert unknown.code == 2
    assert unknown.err.startswith("workbench: sweep: unknown name ")
    assert f"did you mean '{first.data.tags['sweep']}'? options: " in unknown.err


def test_compare_without_any_sweep(cli: Cli, store: Store) -> None:
    """A store that holds single runs only says how to make a sweep."""
    MlflowSink(store, "e")
    answer = cli("compare")
    assert answer.code == 2
    assert answer.err.endswith("mlflow.db holds no sweep; make one with: workbench train -m ...\n")


def test_sweep_is_read_as_it_was_written(swept: Trained) -> None:
    """The reader returns runs by arm, each as it was made: seed, outcome, last metrics and whole histories."""
    found = read_sweep(swept.store, swept.finished.sweep)
    assert (found.id, found.saved_view, found.keys) == (swept.finished.sweep, True, ("activation", "optimizer.lr"))
    assert [run.arm for run in found.runs[::2]] == ["relu lr=0.02", "relu lr=0.1", "tanh lr=0.02", "tanh lr=0.1"]
    results = {result.run: result for result in swept.finished.results}
    assert {run.id for run in found.runs} == results.keys()
    for run in found.runs:
        result = results[run.id]
        assert (run.id, run.name, run.arm) == (result.run, result.job.name, result.job.arm)
        assert (run.seed, run.outcome) == (result.job.spec.config.seed, "finished")
        assert timeless(run.metrics) == result.metrics
        assert timeless({name: rows[-1][1] for name, rows in run.history.items()}) == result.metrics
        assert [step for step, _ in run.history["valid/loss"]] == [0, 5, 10]


def test_an_inactive_half_is_not_called_saturated() -> None:
    """The axis gives the definition; an arm of one-sided units is marked, and the mark is explained; tanh is not."""
    tags, history = {"steps_per_epoch": "1"}, {"saturation/l1": [(1, 0.5), (2, 0.5)]}
    made = [Made(name, 0, {}, "finished", history, tags, {"activation": name}) for name in ("relu", "tanh")]
    figures = dict(comparison_figures._figures(made, "title"))
    (axes,) = figures["saturation_by_layer"].axes
    assert [line.get_label() for line in axes.lines] == ["relu*", "tanh"]
    assert axes.get_ylabel() == NEAR_FLAT
    assert figures["saturation_by_layer"].get_supxlabel() == ONE_SIDED
    alone = dict(comparison_figures._figures(made[1:], "title"))["saturation_by_layer"]
    assert alone.get_supxlabel() == ""


def test_figures_follow_their_reader_into_the_dark(tmp_path: Path) -> None:
    """The SVG beside each PNG says its colors for a dark page, too: paper, letters and each arm's."""
    made = [
        Made("a", seed, {}, "finished", {"valid/loss": [(0, 1.0), (1, 2.0)]}, {"steps_per_epoch": "1"})
        for seed in (0, 1)
    ]
    files = comparison_figures.save_figures(made, tmp_path, "title")
    assert [file.name for file in files] == ["learning_curves.png", "learning_curves.svg"]
    light, _, dark = files[1].read_text().partition("prefers-color-scheme:dark")
    assert light.count("#0072b2") == dark.count("#5db7f5".upper()) > 0
    assert {"#262626", "#ffffff"} <= {*re.findall("#[0-9a-f]{6}", light)}
    assert {"#ecece8", DARK_PAPER} <= {*re.findall("#[0-9a-f]{6}", dark)}
