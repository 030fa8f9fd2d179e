"""Runs of arms: mean and interval of a sweep's runs by step, in MLflow beside them and counted as no runs."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run

from tests.outer import SMALL, all_runs, client_of, runs_of, trained
from tests.servers import mlflow_server
from workbench.config.arms import PALETTE, color_of
from workbench.core.errors import TrackingError
from workbench.core.stats import mean_interval, mean_intervals
from workbench.inspect.comparison import ComparisonRequest, compared
from workbench.tracking.arm_runs import POINTS, at_same_steps
from workbench.tracking.base import Outcome, RunInfo
from workbench.tracking.find_run import find_run
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import read_sweep, reusable_runs
from workbench.tracking.store import Store, runs_view

pytest_plugins = ["tests.outer_fixtures"]
CURVES = {  # (arm, seed) -> training loss after steps 0, 1, 2
    ("relu", 0): (1.0, 0.5, 0.25),
    ("relu", 1): (3.0, 1.5, 0.75),
    ("tanh", 0): (2.0, 2.0, 2.0),
}


def run_of(sink: MlflowSink, arm: str, seed: int, values: tuple[float, ...], outcome: Outcome) -> str:
    """Train a run of the sweep "s" on paper: one row after each step."""
    params = {"activation": arm, "seed": str(seed), "optimizer.lr": "0.1"}
    tags = {"kind": "run", "in.s": "run", "key": f"{arm}{seed}", "steps_per_epoch": "1", "number": str(seed)}
    (run,) = sink.open([RunInfo(f"{arm} seed={seed}", params, tags, "", {}, None)])
    for step, value in enumerate(values):
        sink.write(run, step, 1000 + step, {"train/loss": value})
    sink.close(run, outcome)
    return run


def sweep_on_paper(store: Store) -> MlflowSink:
    """A sweep "s" with the runs of CURVES, and one of relu that failed, whose page is saved."""
    sink = MlflowSink(store, "e")
    sink.open([RunInfo("sweep", {}, {"kind": "sweep", "sweep": "s"}, "", {}, None)])
    for (arm, seed), values in CURVES.items():
        run_of(sink, arm, seed, values, Outcome.finished)
    run_of(sink, "relu", 7, (9.0,), Outcome.failed)
    save(sink)
    return sink


def save(sink: MlflowSink) -> None:
    """Save the page of the sweep "s"."""
    (own,) = runs_of(sink.store, "sweep")
    assert sink.save_view(own.info.run_id, "s", {"train/loss"})


def arms(store: Store) -> dict[str, Run]:
    """Runs of arms by name, in the order in which MLflow lists them."""
    return {run.info.run_name: run for run in all_runs(store) if run.data.tags["kind"] == "arm"}


def curve(store: Store, run: Run, metric: str) -> list[tuple[int, float]]:
    """Rows of a metric of a run."""
    return [(row.step, row.value) for row in client_of(store).get_metric_history(run.info.run_id, metric)]


def test_intervals_of_columns_are_those_of_each() -> None:
    """Mean and ends for many columns at once are `mean_interval` of each; of one value there is no interval."""
    values = np.random.default_rng(5).normal(size=(6, 4))
    columns = [mean_interval(column.tolist())[:3] for column in values.T]
    assert np.allclose(np.transpose(mean_intervals(values)), columns, rtol=1e-14)
    mean, low, high = mean_intervals(values[:1])
    assert (mean == values[0]).all()
    assert np.isnan([low, high]).all()


def test_values_hold_until_the_next_and_last_ones_to_the_end() -> None:
    """Runs at other steps, one that begins late, one that stops early: worked by hand."""
    steps, values = at_same_steps([[(0, 1.0), (4, 2.0)], [(2, 5.0), (3, 6.0), (9, 7.0)]])
    assert steps.tolist() == [2, 3, 4, 9]
    assert values.tolist() == [[1.0, 1.0, 2.0, 2.0], [5.0, 6.0, 6.0, 7.0]]
    steps, values = at_same_steps([[(step, float(step)) for step in range(1000)]])
    assert (len(steps), steps[0], steps[-1]) == (POINTS, 0, 999)
    assert (values[0] == steps).all()
    assert max(after - before for before, after in pairwise(steps.tolist())) <= 21
    assert at_same_steps([])[1].shape == (0, 0)


def test_an_arm_has_the_mean_of_its_finished_runs(store: Store) -> None:
    """Mean, low and high by step are the t interval of the finished runs; arms come in their order and colors."""
    sweep_on_paper(store)
    found = arms(store)
    assert list(found) == ["relu", "tanh"]
    relu, tanh = found.values()
    for step in range(3):
        interval = mean_interval([CURVES["relu", seed][step] for seed in (0, 1)])
        for suffix, number in zip(("", ".low", ".high"), interval[:3], strict=True):
            assert dict(curve(store, relu, f"train/loss{suffix}"))[step] == pytest.approx(number, rel=1e-14)
    assert curve(store, tanh, "train/loss") == [(0, 2.0), (1, 2.0), (2, 2.0)]
    assert "train/loss.low" not in tanh.data.metrics
    assert [run.data.tags["mlflow.runColor"] for run in (relu, tanh)] == [color_of(0), color_of(1)]
    assert (relu.data.tags["seeds"], relu.data.tags["unfinished"]) == ("2", "1")
    assert relu.data.params == {"activation": "relu", "optimizer.lr": "0.1"}
    note = relu.data.tags["mlflow.note.content"]
    members = [run.info.run_id for run in runs_of(store) if run.data.params["activation"] == "relu"]
    assert all(f"/runs/{run})" in note for run in members)
    assert f"viewStateShareKey={runs_view('s')}" in note


def test_the_last_mean_is_that_of_compare(store: Store) -> None:
    """The table of `compare` has the numbers that the arms' runs end with."""
    sweep_on_paper(store)
    table = compared([read_sweep(store, "s", histories=False)], ComparisonRequest()).numbers
    rows = {row["arm"]: row for row in table.to_dict("records") if row["metric"] == "train/loss"}
    for arm, run in arms(store).items():
        assert run.data.metrics["train/loss"] == pytest.approx(rows[arm]["mean"], rel=1e-14)
    for suffix in ("low", "high"):
        assert arms(store)["relu"].data.metrics[f"train/loss.{suffix}"] == pytest.approx(
            rows["relu"][suffix], rel=1e-14
        )


def test_arms_follow_their_sweep(store: Store) -> None:
    """Saving again changes nothing; a further run makes the arms anew, once each, and what is out of date goes."""
    sink = sweep_on_paper(store)
    before = {name: run.info.run_id for name, run in arms(store).items()}
    save(sink)
    assert {name: run.info.run_id for name, run in arms(store).items()} == before
    run_of(sink, "tanh", 1, (4.0, 4.0, 4.0), Outcome.finished)
    run_of(sink, "elu", 0, (1.0,), Outcome.finished)
    save(sink)
    found = arms(store)
    assert list(found) == ["relu", "tanh", "elu"]
    assert [run.data.tags["kind"] for run in all_runs(store)].count("arm") == 3
    assert curve(store, found["tanh"], "train/loss") == [(0, 3.0), (1, 3.0), (2, 3.0)]


def test_a_half_written_arm_is_written_again(store: Store) -> None:
    """An arm whose writing was cut off, as a server can leave it, is replaced as a whole."""
    sink = sweep_on_paper(store)
    cut = arms(store)["relu"].info.run_id
    client_of(store).update_run(cut, status="RUNNING")
    save(sink)
    assert [run.info.status for run in arms(store).values()] == ["FINISHED", "FINISHED"]
    assert cut not in {run.info.run_id for run in all_runs(store)}


def test_arms_are_no_runs(store: Store) -> None:
    """Reading by sweep, by key, the newest run and runs by name find no arm; asking for one is refused with the way."""
    sink = sweep_on_paper(store)
    assert len(read_sweep(store, "s").runs) == 4
    assert len(reusable_runs(store, "e")) == 4
    assert len(sink.done()) == 3
    assert find_run(store, None).run.id in {run.info.run_id for run in runs_of(store)}
    arm = arms(store)["relu"].info.run_id
    with pytest.raises(TrackingError, match="is the mean of an arm, not a run; its runs: workbench compare s"):
        find_run(store, arm)


def test_single_runs_are_no_arms(store: Store) -> None:
    """A sweep of one run per arm has no runs of arms: they would say the same twice."""
    sink = MlflowSink(store, "e")
    sink.open([RunInfo("sweep", {}, {"kind": "sweep", "sweep": "s"}, "", {}, None)])
    for arm in ("relu", "tanh"):
        run_of(sink, arm, 0, CURVES[arm, 0], Outcome.finished)
    save(sink)
    assert not arms(store)


def test_sixteen_arms_have_colors_of_their_own() -> None:
    """The palette, then each of its colors halfway to white."""
    colors = [color_of(number) for number in range(16)]
    assert colors[:8] == list(PALETTE)
    assert len(set(colors)) == 16
    assert color_of(15) == "#808080"
    assert color_of(16) == color_of(0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of MLflow's own, ended with the module."""
    folder: Path = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as begun:
        begun.wait()
        yield Store(begun.uri)


@pytest.mark.slow
def test_a_server_has_the_same_arms(store: Store, server: Store) -> None:
    """Call by call over HTTP: the same rows, params and tags, written once, also when saved again and extended."""
    sinks = [sweep_on_paper(store), sweep_on_paper(server)]
    for _ in range(2):
        local, remote = arms(store), arms(server)
        assert list(local) == list(remote)
        for one, other in zip(local.values(), remote.values(), strict=True):
            assert one.data.params == other.data.params
            assert one.data.tags["seeds"] == other.data.tags["seeds"]
            for metric in ("train/loss", "train/loss.low", "train/loss.high"):
                assert curve(store, one, metric) == curve(server, other, metric)
        for sink in sinks:
            run_of(sink, "tanh", 1, (4.0, 5.0, 6.0), Outcome.finished)
            save(sink)
            save(sink)


@pytest.mark.slow
def test_arms_of_a_resumed_sweep(store: Store) -> None:
    """A sweep given twice and then extended: arms once, with the means of all its runs."""
    for seeds in ("seed=0,1", "seed=0,1", "seed=0,1,2"):
        finished = trained("-m", *SMALL, "activation=relu,tanh", seeds)
    runs = read_sweep(store, finished.sweep, histories=False).runs
    of_sweep = [run for run in arms(store).values() if f"in.{finished.sweep}" in run.data.tags]
    assert [run.data.tags["seeds"] for run in of_sweep] == ["3", "3"]
    for arm in of_sweep:
        last = [run.metrics["test/loss"] for run in runs if run.arm == arm.info.run_name]
        assert arm.data.metrics["test/loss"] == pytest.approx(np.mean(last), rel=1e-12)
    assert len(runs_of(store, "arm")) == 4  # two of each sweep
