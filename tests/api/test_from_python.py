"""Runs and sweeps from Python: one way to say a configuration, tables that hold what the store has, figures."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import workbench as wb
from tests.outer import SMALL, Trained, client_of, runs_of
from workbench.config.keywords import overrides_of
from workbench.core.errors import ConfigError, UnknownNameError

pytest_plugins = ["tests.outer_fixtures"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sweep(swept: Trained) -> wb.Sweep:
    """The sweep that other tests read: two activations, two learning rates, two seeds."""
    return wb.Sweep.find(swept.finished.sweep[:12], swept.store.uri)


@pytest.mark.parametrize(
    ("keywords", "lines"),
    [
        ({"activation": "relu", "seed": 3}, ["activation=relu", "seed=3"]),
        ({"optimizer": {"lr": 0.1, "nesterov": True}}, ["optimizer.lr=0.1", "optimizer.nesterov=true"]),
        ({"optimizer": wb.option("adam", lr=0.01)}, ["optimizer=adam", "optimizer.lr=0.01"]),
        ({"architecture": {"hidden": (64, 64)}}, ["architecture.hidden=[64,64]"]),
        ({"architecture": {"hidden": [8, 4]}}, ["architecture.hidden=[8,4]"]),
        ({"train": {"clip_norm": None}, "seed": np.int64(2)}, ["train.clip_norm=null", "seed=2"]),
        ({"data": wb.option("table", path=Path("a b.csv"))}, ["data=table", 'data.path="a b.csv"']),
    ],
)
def test_keywords_are_overrides(keywords: dict[str, Any], lines: list[str]) -> None:
    """Each value is written as the command line takes it, quoted where Hydra needs that."""
    assert overrides_of([], keywords) == lines
    assert overrides_of(["seed=1"], keywords) == ["seed=1", *lines]


@pytest.mark.parametrize(
    ("keywords", "lines"),
    [
        ({"activation": ["relu", "tanh"]}, ["activation=relu,tanh"]),
        ({"seed": range(3)}, ["seed=0,1,2"]),
        ({"optimizer": {"lr": np.array([0.1, 0.5])}}, ["optimizer.lr=0.1,0.5"]),
        ({"architecture": {"hidden": [(8,), (8, 4)]}}, ["architecture.hidden=[8],[8,4]"]),
        ({"architecture": {"hidden": (8, 4)}}, ["architecture.hidden=[8,4]"]),
        ({"data": {"path": ["a,b", "c"]}}, ['data.path="a,b",c']),
    ],
)
def test_lists_are_alternatives_in_a_sweep(keywords: dict[str, Any], lines: list[str]) -> None:
    """A list, a range or an array holds several values, a tuple is one."""
    assert overrides_of([], keywords, alternatives=True) == lines


@pytest.mark.parametrize(
    ("overrides", "keywords", "said"),
    [
        (["-m"], {}, "'-m': must be an override; write for example 'seed=3', or the keyword seed=3"),
        ([], {"actvation": "relu"}, "actvation: unknown key; did you mean activation? keys of a run: "),
        ([], {"optimizer": {"rate": 1}}, "optimizer.rate: unknown key; keys of optimizer: "),
        ([], {"activation": "rlu"}, "activation: unknown name 'rlu'; did you mean 'relu'? options: "),
        ([], {"activation": abs}, "activation: must be a finite number, a text, None, or a tuple of them, got "),
        ([], {"optimizer": {"lr": float("nan")}}, "optimizer.lr: must be a finite number, a text, None, or a tuple"),
    ],
)
def test_a_wrong_configuration_is_refused_as_on_the_command_line(
    overrides: list[str], keywords: dict[str, Any], said: str
) -> None:
    """Keywords get the errors of overrides, and what no configuration can hold gets one of its own."""
    for call in (wb.configure, wb.train, wb.check, wb.explain):
        with pytest.raises(ConfigError) as caught:
            call(*overrides, **keywords)
        assert str(caught.value).startswith(said)


def test_a_sweep_over_nothing_is_refused() -> None:
    """An empty list has no value to take."""
    with pytest.raises(ConfigError, match=r"^seed: must have one value or more, got none; write for example seed=\[0"):
        wb.sweep(seed=[])


def test_an_explanation_is_that_of_the_command() -> None:
    """Text, Markdown and HTML of one step of a small net on XOR, unless told otherwise."""
    page = wb.explain(activation="tanh", example=3)
    assert repr(page).startswith("One training step of a 2-2-1 net on example 3 of 4 of xor\n")
    assert "f = tanh" in page.text
    assert page.html.startswith("<!")


@pytest.mark.slow
def test_sweep_as_a_table(sweep: wb.Sweep, swept: Trained) -> None:
    """The frame has a row for each run with what the store has: params that differ as numbers, last metrics."""
    table = sweep.frame()
    stored = {run.info.run_id: run for run in runs_of(swept.store)}
    assert {*table.index} == {*stored}
    assert [*table.columns[:5]] == ["arm", "seed", "outcome", "activation", "optimizer.lr"]
    for identity, row in table.iterrows():
        data = stored[str(identity)].data
        assert (row["activation"], row["seed"]) == (data.params["activation"], int(data.params["seed"]))
        assert row["optimizer.lr"] == float(data.params["optimizer.lr"])
        assert row["test/loss"] == data.metrics["test/loss"]
    assert sweep.arms == ["relu lr=0.02", "relu lr=0.1", "tanh lr=0.02", "tanh lr=0.1"]


def test_sweep_history_is_the_stored_series(sweep: wb.Sweep, swept: Trained) -> None:
    """Rows are runs and steps, columns the metrics that match, values those of MLflow."""
    table = sweep.history("valid/*")
    assert {*table.columns} == {"run", "arm", "seed", "step", "epoch", "valid/loss", "valid/accuracy"}
    client = client_of(swept.store)
    for identity, rows in table.groupby("run"):
        stored = client.get_metric_history(str(identity), "valid/loss")
        assert dict(zip(rows["step"], rows["valid/loss"], strict=True)) == {row.step: row.value for row in stored}
        assert rows["epoch"].tolist() == [0, 1, 2]
    assert sweep.history("no such metric").empty


def test_best_compare_and_plot(sweep: wb.Sweep) -> None:
    """The best run has the extreme value; the comparison has the means of arms; a plot has a line for each arm."""
    table = sweep.frame()
    assert sweep.best().id == table["valid/loss"].idxmin()
    assert sweep.best("test/accuracy").metrics["test/accuracy"] == table["test/accuracy"].max()
    means = sweep.compare(by="activation", metrics="test/loss").set_index("arm")["mean"]
    expected = table.groupby("activation")["test/loss"].mean()
    assert means.to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)
    assert wb.compare(sweep).equals(sweep.compare())
    assert {*wb.compare(sweep, sweep)["difference"]} == {0.0}
    figure = sweep.plot("valid/loss", by="activation")
    assert isinstance(figure, Figure)
    assert [line.get_label() for line in figure.axes[0].lines] == ["relu", "tanh"]
    for call in (sweep.plot, sweep.best):
        with pytest.raises(UnknownNameError, match="unknown name 'valid/los'; did you mean 'valid/loss'"):
            call("valid/los")


def test_sweeps_and_runs_show_themselves_briefly(sweep: wb.Sweep) -> None:
    """A short text in a console, a table in a notebook, and never a dump of what they hold."""
    assert repr(sweep) == (
        f"<Sweep {sweep.id}: 8 runs of 4 arms: relu lr=0.02, relu lr=0.1, tanh lr=0.02, tanh lr=0.1>"
    )
    assert sweep._repr_html_().count("<tr>") == 4
    run = sweep.best()
    assert repr(run).startswith(f"<Run {run.name} ({run.id[:8]}): finished, test/accuracy 0.")
    assert f"<td>test/loss</td><td>{run.metrics['test/loss']:.4g}</td>" in run._repr_html_()


@pytest.mark.slow
def test_a_run_is_trained_drawn_verified_and_exported(folder: Path, empty_database: Path) -> None:
    """A run from Python has its history, figures, a module that computes its test loss, and the bits of the command."""
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    run = wb.train(*SMALL, activation="tanh", seed=3)
    assert (run.outcome, run.params["activation"], run.params["seed"]) == ("finished", "tanh", "3")
    assert run.history()["train/loss"].dropna().iloc[-1] == run.metrics["train/loss"]
    assert isinstance(run.figure("gradient_flow"), Figure)
    with pytest.raises(UnknownNameError, match="figure: unknown name 'gradients'"):
        run.figure("gradients")
    assert run.verify().same
    assert run.diagnose().is_healthy
    assert wb.Run.find(run.id[:8]).metrics == run.metrics
    assert sum(parameter.numel() for parameter in run.model().buffers()) > 0
    same = wb.sweep(*SMALL, activation=["tanh"], seed=[3, 4])
    assert len(same) == 2
    assert same.frame().loc[lambda table: table["seed"] == 3, "test/loss"].item() == run.metrics["test/loss"]


USER = """
from typing import assert_type

import pandas as pd
from matplotlib.figure import Figure

import workbench as wb

sweep = wb.sweep(activation=["relu", "tanh"], seed=range(3), optimizer={"lr": 0.1})
assert_type(sweep, wb.Sweep)
assert_type(sweep.frame(), pd.DataFrame)
assert_type(sweep.history("grad_norm/*"), pd.DataFrame)
assert_type(sweep.plot("valid/loss", by="activation"), Figure)
assert_type(sweep.compare(), pd.DataFrame)
run = sweep.best()
assert_type(run, wb.Run)
assert_type(run.history(), pd.DataFrame)
assert_type(run.verify().same, bool)
assert_type(wb.train("seed=3", activation="relu"), wb.Run)
assert_type(wb.check(activation="softplus").agrees, bool)
assert_type(wb.explain().html, str)
assert_type(wb.reproduce("xor").verdict, str)
"""


@pytest.mark.slow
def test_a_users_file_is_typed(tmp_path: Path) -> None:
    """A strict type checker accepts a user's file: the package says its types, under the names it hands out."""
    (tmp_path / "user.py").write_text(USER)
    shared = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"))  # strict
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *shared, "user.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_public_names_exist_and_are_documented() -> None:
    """Each name of `__all__` can be had and says what it is; others are refused with the list."""
    assert [*wb.__all__] == sorted(wb.__all__)
    assert dir(wb) == [*wb.__all__]
    for name in wb.__all__:
        assert (getattr(wb, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="it has Arm, ArmScores, "):
        wb.no_such_name  # noqa: B018
