"""Runs that are in several sweeps: each command says of a run what it is in the sweep that is read."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.outer import SMALL, Answer, client_of, runs_of, trained
from workbench.claims.comparison_figures import curve_panels
from workbench.config.arms import PALETTE
from workbench.tracking.reader import ReadSweep, read_sweep
from workbench.tracking.saved_view import TAG
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]


def sweep(*overrides: str) -> str:
    """Train a small sweep; its id."""
    finished = trained("-m", *SMALL, *overrides)
    assert finished is not None
    return finished.sweep


def arms(found: ReadSweep) -> dict[str, list[int | None]]:
    """The seeds of each arm."""
    names = dict.fromkeys(run.arm for run in found.runs)
    return {arm: sorted(run.seed or 0 for run in found.runs if run.arm == arm) for arm in names}


@pytest.mark.slow
def test_a_run_that_was_trained_alone_is_of_the_arm_that_it_agrees_with(cli: Cli, store: Store, folder: Path) -> None:
    """Alone, named for all that was asked; then a seed of one of two arms, in all that reads the sweep."""
    alone = trained(*SMALL, "activation=relu", "seed=0")
    assert alone is not None
    both = sweep("activation=relu,tanh", "seed=range(3)")
    found = read_sweep(store, both)
    assert arms(found) == {"relu": [0, 1, 2], "tanh": [0, 1, 2]}
    reused = next(run for run in found.runs if run.id == alone.results[0].run)
    assert reused.name == f"relu seed=0 ({reused.id[:8]})"  # its own name is that of another command
    assert f"{both}, arm relu " in cli("show", reused.id[:8]).out
    lines = [line.split(",") for line in cli("compare", "--format", "csv").out.splitlines()[1:]]
    assert {(line[0], line[5]) for line in lines} == {("relu", "3"), ("tanh", "3")}
    said = cli("diagnose", both).out
    assert [said.count(f"\n{arm}:") for arm in ("relu", "tanh")] == [1, 1]
    assert cli("compare", "--out", "out").code == 0
    assert list(pd.read_csv(folder / "out" / "arms.csv")["arm"].unique()) == ["relu", "tanh"]


@pytest.mark.slow
def test_the_same_runs_are_other_arms_in_other_sweeps(cli: Cli, store: Store) -> None:
    """Seeds of one net; then its learning rate beside another; then its activation beside another."""
    seeds = sweep("seed=0,1")
    rates = sweep("optimizer.lr=0.02,0.1", "seed=0,1")
    units = sweep("activation=tanh,relu", "optimizer.lr=0.02,0.1", "seed=0,1")
    assert arms(read_sweep(store, seeds)) == {"relu": [0, 1]}
    assert arms(read_sweep(store, rates)) == {"lr=0.02": [0, 1], "lr=0.1": [0, 1]}
    names = [f"{unit} lr={rate}" for unit in ("relu", "tanh") for rate in ("0.02", "0.1")]
    assert arms(read_sweep(store, units)) == {name: [0, 1] for name in names}
    compared = cli("compare", seeds, units, "--metric", "test/loss", "--format", "csv")
    assert compared.code == 0
    rows = [line.split(",") for line in compared.out.splitlines()[1:]]
    assert [(row[0], row[1], row[7], row[8]) for row in rows] == [("relu lr=0.1", "test/loss", "2", "True")]
    assert float(rows[0][4]) == 0  # the same runs
    newest = read_sweep(store, None)
    assert newest.id == units
    assert len({run.id for run in newest.runs}) == len(runs_of(store)) == 8


@pytest.mark.slow
def test_one_sweep_beside_another_that_differs_in_what_neither_varies(cli: Cli, store: Store) -> None:
    """Arms are alike in what both vary; what differs between the sweeps is what the second changes."""
    first, second = sweep("seed=0,1"), sweep("optimizer.lr=0.02", "seed=0,1")
    rows = cli("compare", first, second, "--metric", "test/loss", "--format", "csv").out.splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["relu"]


@pytest.mark.slow
def test_charts_group_runs_by_what_differs(store: Store) -> None:
    """The saved view of a sweep names params, which are the run's own, and no tag, which is of one sweep."""
    trained(*SMALL, "activation=relu", "seed=0")
    both = sweep("activation=relu,tanh", "optimizer.lr=0.02,0.1", "seed=0,1")
    experiment = client_of(store).get_experiment_by_name("workbench")
    packed = json.loads(experiment.tags[f"{TAG}{both}"])["state"].partition(";")[2]
    columns = json.loads(zlib.decompress(base64.b64decode(packed)))["selectedColumns"]
    assert columns[-4:-2] == ["params.`activation`", "params.`optimizer.lr`"]
    assert not any("arm" in run.data.tags for run in runs_of(store))


@pytest.mark.slow
def test_each_arm_has_a_color_of_its_own(store: Store) -> None:
    """Each arm of a sweep has a color of its own in figures, and its reused runs get that color in MLflow, too."""
    sweep("activation=relu", "seed=0,1")
    sweep("activation=tanh", "seed=0,1")
    both = sweep("activation=relu,tanh", "seed=0,1")
    found = read_sweep(store, both)
    assert [run.tags["mlflow.runColor"] for run in found.runs] == [PALETTE[0], PALETTE[0], PALETTE[1], PALETTE[1]]
    figure = curve_panels(found.runs, ["valid/loss"], ["loss"], "")
    assert [line.get_color() for line in figure.axes[0].lines] == [PALETTE[0], PALETTE[1]]


@pytest.mark.slow
@pytest.mark.parametrize("sweeper", ["zip", "listed"])
def test_rows_of_a_list_are_arms(store: Store, folder: Path, sweeper: str) -> None:
    """Pairs of values become arms with every seed, though a run of them was trained alone before."""
    trained(*SMALL, "activation=tanh", "init=glorot", "seed=1")
    if sweeper == "zip":
        given = ["hydra/sweeper=zip", "activation=relu,tanh", "init=he,glorot"]
    else:
        rows = "- {activation: relu, init: he}\n- {activation: tanh, init: glorot}\n"
        (folder / "rows.yaml").write_text(rows, encoding="utf-8")
        given = ["hydra/sweeper=listed", "hydra.sweeper.file=rows.yaml"]
    assert arms(read_sweep(store, sweep(*given, "seed=0,1"))) == {"relu he": [0, 1], "tanh glorot": [0, 1]}
