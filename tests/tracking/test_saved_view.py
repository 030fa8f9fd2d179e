"""The saved view of a sweep: what varies becomes columns, and charts come in the order of sections."""

import base64
import json
import zlib
from typing import Any

import mlflow
import pytest

from tests.outer import client_of
from workbench.tracking.base import RunInfo
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.saved_view import SEEN_WORKING, TAG, Varying, varying
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]
METRICS = ("valid/loss", "train/loss", "test/accuracy", "update_ratio/l1", "grad_norm/l1", "act_mean/l1", "own/thing")


def sweep_of(store: Store, rows: list[dict[str, str]]) -> str:
    """An experiment with a run for each row of params, all in the sweep "s", whose view is saved."""
    sink = MlflowSink(store, "e")
    (own, *_) = sink.open(
        [RunInfo(f"{n}", row, {"kind": "run", "in.s": "run"}, "", {}, None) for n, row in enumerate(rows)]
    )
    assert sink.save_view(own, "s", METRICS) == mlflow.__version__.startswith(SEEN_WORKING)
    return str(sink.experiment_id)


def state_of(store: Store, experiment: str, view: str = "s") -> dict[str, Any]:
    """The page's state as MLflow's pages read it."""
    tag = json.loads(client_of(store).get_experiment(experiment).tags[f"{TAG}{view}"])
    kind, _, packed = tag["state"].partition(";")
    assert kind == "deflate"
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def test_what_varies_becomes_columns(store: Store) -> None:
    """Params that vary become columns, except seeds and options that a choice brings; numbers are told from names."""
    rows = [
        {
            "seed": seed,
            "split.seed": seed,
            "data": "wine",
            "activation": f,
            "activation.slope": slope,
            "optimizer.lr": lr,
        }
        for seed, f, slope, lr in (("0", "relu", "0", "0.1"), ("1", "leaky", "0.1", "1e-3"))
    ]
    experiment = sweep_of(store, rows)
    assert varying(rows) == Varying(["activation", "optimizer.lr"], ["optimizer.lr"])
    state = state_of(store, experiment)
    columns = ["metrics.`test/accuracy`", "params.`activation`", "params.`optimizer.lr`", "params.`seed`"]
    assert state["selectedColumns"] == ["attributes.`Duration`", *columns]
    assert state["groupBy"] is None
    assert "PARALLEL" not in {chart["type"] for chart in state["compareRunCharts"]}


def test_sections_and_axes(store: Store) -> None:
    """Scores first, unknown sections last; losses, gradients and steps on logarithmic axes; details closed."""
    experiment = sweep_of(store, [{"seed": "0"}])
    state = state_of(store, experiment)
    shown = {section["name"]: section["display"] for section in state["compareRunSections"]}
    assert list(shown) == ["valid", "train", "test", "grad_norm", "act_mean", "update_ratio", "own"]
    assert [name for name, opened in shown.items() if opened] == ["valid", "train", "test", "grad_norm"]
    axes = {chart["metricKey"]: chart.get("scaleType") for chart in state["compareRunCharts"]}
    logarithmic = {name for name, axis in axes.items() if axis == "log"}
    assert logarithmic == {"valid/loss", "train/loss", "grad_norm/l1", "update_ratio/l1"}
    assert axes["test/accuracy"] is None  # a bar
    sections = {section["uuid"]: section["name"] for section in state["compareRunSections"]}
    placed = {chart["metricKey"]: sections[chart["metricSectionId"]] for chart in state["compareRunCharts"]}
    assert placed == {name: name.partition("/")[0] for name in METRICS}


def test_several_numbers_get_parallel_coordinates(store: Store) -> None:
    """Two varying numbers and a score get a chart of parallel coordinates, with a line for each arm."""
    rows = [{"seed": "0", "optimizer.lr": lr, "optimizer.momentum": m} for lr, m in (("0.1", "0"), ("0.2", "0.9"))]
    experiment = sweep_of(store, rows)
    (chart,) = [chart for chart in state_of(store, experiment)["compareRunCharts"] if chart["type"] == "PARALLEL"]
    assert chart["selectedParams"] == ["optimizer.lr", "optimizer.momentum"]
    assert chart["selectedMetrics"] == ["test/accuracy"]


def test_deep_nets_have_charts_of_some_layers(store: Store) -> None:
    """Nets of 300 layers get as many charts as MLflow's tag holds, in order, first and last included."""
    experiment = sweep_of(store, [{"seed": "0"}])
    names = ("grad_norm", "dead_rate", "saturation", "act_norm", "act_mean", "act_var", "delta_norm", "delta_var")
    layers = range(1, 301)
    metrics = ["test/accuracy", *(f"{name}/l{layer}" for name in names for layer in layers)]
    sink = MlflowSink(store, "e")
    (own, *_) = sink.backend.members("in.s", "run")
    assert sink.save_view(own, "s", metrics)
    shown = [chart["metricKey"] for chart in state_of(store, experiment)["compareRunCharts"]]
    for name in names:
        of_layers = [int(key.partition("/l")[2]) for key in shown if key.startswith(f"{name}/l")]
        assert len(of_layers) > 2
        assert of_layers == sorted(of_layers)
        assert (of_layers[0], of_layers[-1]) == (1, 300)
    assert "test/accuracy" in shown
    few = [f"{name}/l{layer}" for name in names for layer in range(1, 13)]
    assert sink.save_view(own, "s", few)
    assert {chart["metricKey"] for chart in state_of(store, experiment)["compareRunCharts"]} == set(few)


def test_other_versions_save_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No view is saved for an MLflow version in which its form was not seen working."""
    monkeypatch.setattr("mlflow.__version__", "4.0.0")
    experiment = sweep_of(store, [{"seed": "0"}])
    assert f"{TAG}s" not in client_of(store).get_experiment(experiment).tags


def test_a_single_run_opens_on_loss_and_accuracy(store: Store) -> None:
    """Its own view shows it alone, with the charts of validation and training first."""
    sink = MlflowSink(store, "e")
    (run,) = sink.open([RunInfo("one", {"seed": "0"}, {"kind": "run"}, "", {}, None)])
    assert sink.save_view(run, "", METRICS)
    state = state_of(store, str(sink.experiment_id), run)
    assert state["searchFilter"] == f"attributes.run_id = '{run}'"
    assert [section["name"] for section in state["compareRunSections"]][:3] == ["valid", "train", "test"]
    assert client_of(store).get_run(run).data.tags["view"] == "saved"
