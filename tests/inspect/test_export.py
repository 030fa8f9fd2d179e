"""A run as an MLflow model: raw inputs give the engine's own scores, in a process that has no workbench."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from tests.outer import SMALL, Answer, client_of, environment, trained
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.data.datasets import Array
from workbench.data.splits import split
from workbench.inspect.export import Standalone, _scaling, standalone
from workbench.inspect.rebuild import spec_of
from workbench.runs.train_pack import Job, train_pack
from workbench.tracking.base import MemorySink
from workbench.tracking.find_run import find_run
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("workbench", "hydra_plugins"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import mlflow, numpy
model = mlflow.pyfunc.load_model(sys.argv[1])
numpy.save("outputs.npy", model.predict(numpy.load("inputs.npy")))
"""


def model_of(spec: RunSpec) -> tuple[Standalone, Array, Array, dict[str, float]]:
    """The model of a run that is trained in memory, its raw test part, and its metrics."""
    done = train_pack([Job(spec, "", "")], MemorySink())
    pack = build_pack([spec])
    params = pack.initial_params()
    params.flat[0].copy_(done.final[0])
    return *standalone(spec, pack, params), done.results[0].metrics


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("norm=batch", "dtype=float64"),
        ("architecture=maxout_mlp", "architecture.hidden=[6]"),
        ("architecture=residual_mlp", "norm=layer", "activation=gelu"),
        ("data=digits", "activation=leaky_relu", "train.epochs=1"),
        ("split.standardize=false",),
    ],
)
def test_classes_of_raw_inputs(overrides: tuple[str, ...]) -> None:
    """The share of right classes is the test accuracy that the run logged."""
    module, x, y, metrics = model_of(wb.configure("data=wine", "train.epochs=2", *overrides))
    outputs = module(torch.from_numpy(x.astype("float32")))
    assert outputs.dtype == torch.float32
    assert (outputs.argmax(1).numpy() == y).mean() == pytest.approx(metrics["test/accuracy"], rel=1e-6)


def test_regression_answers_in_the_data_s_own_unit() -> None:
    """R² of raw outputs against raw targets is the one that was logged; the mean is far from 0."""
    module, x, y, metrics = model_of(wb.configure("data=diabetes", "loss=squared_error", "train.epochs=20"))
    outputs = module(torch.from_numpy(x.astype("float32"))).numpy()
    r2 = 1 - ((outputs - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert r2 == pytest.approx(metrics["test/r2"], rel=1e-4)
    assert 100 < outputs.mean() < 200


def test_autoencoder_gives_back_raw_inputs() -> None:
    """An exported autoencoder scales its outputs back as its inputs are scaled."""
    chosen = ("target=input", "architecture=autoencoder", "loss=squared_error", "train.epochs=40")
    module, x, _, metrics = model_of(wb.configure("data=wine", *chosen))
    outputs = module(torch.from_numpy(x.astype("float32"))).numpy()
    assert metrics["test/r2"] > 0.3
    assert np.corrcoef(outputs[:, 0], x[:, 0])[0, 1] > 0.3
    assert np.abs(outputs.mean(0) - x.mean(0)).max() < x.std(0).max()


def test_inputs_that_are_not_scaled_by_a_line_are_refused() -> None:
    """A step function of a feature has no shift and scale."""
    raw = np.array([[0.0], [1.0], [2.0], [3.0]])
    with pytest.raises(ConfigError, match="export: inputs must be scaled by a line each"):
        _scaling(raw, (raw > 1) * 1.0)
    constant = _scaling(np.full((3, 1), 5.0), np.zeros((3, 1)))
    assert (constant.shift.tolist(), constant.scale.tolist()) == ([5.0], [1.0])


@pytest.mark.slow
def test_model_loads_where_there_is_no_workbench(cli: Cli, store: Store, folder: Path) -> None:
    """Exports load without workbench from a folder and from MLflow: same outputs, a signature, no pickled code."""
    trained("-m", *SMALL, "activation=tanh", "seed=1,2")
    written = cli("export", "seed=1", "-o", "here")
    assert (written.code, written.err) == (0, "")
    assert "weights: trained again, to the same bits" in written.out
    logged = cli("export", "seed=1", "--log")
    assert (logged.code, logged.err) == (0, "")
    kept = find_run(store, "seed=1")
    client = client_of(store)
    assert client.get_run(kept.run.id).info.status == "FINISHED"
    (model,) = client.search_logged_models([kept.experiment_id])
    assert model.source_run_id == kept.run.id
    assert f"model: models:/{model.model_id}, raw inputs [n, 13] -> outputs [n, 3]" in logged.out
    signature = (folder / "here" / "MLmodel").read_text()
    assert '"shape": [-1, 13]' in signature
    assert list((folder / "here" / "data").iterdir()) == [folder / "here" / "data" / "model.pt2"]
    module, x, _, _ = model_of(spec_of(kept))
    inputs = x.astype("float32")
    np.save(folder / "inputs.npy", inputs)
    for place in ("here", f"models:/{model.model_id}"):
        alone = {**environment(MLFLOW_TRACKING_URI=store.uri), "PYTHONPATH": ""}
        done_alone = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ALONE, place], env=alone, capture_output=True, text=True
        )
        assert done_alone.returncode == 0, done_alone.stderr
        np.testing.assert_allclose(
            np.load(folder / "outputs.npy"), module(torch.from_numpy(inputs)).numpy(), rtol=1e-5, atol=1e-6
        )
    shutil.rmtree(folder / "here")
    (folder / "here").mkdir()
    taken = cli("export", "seed=1", "-o", "here")
    assert taken.code == 2
    assert taken.err == "workbench: export: here must be a new folder; name another with -o, or remove it\n"


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["mean", "median"])
def test_blanks_are_filled_as_in_training(tmp_path: Path, missing: str) -> None:
    """NaN among raw inputs gives the outputs of the training part's statistic in its place, worked here by hand."""
    stream = np.random.default_rng(0)
    rows = [
        f"{'' if i % 5 == 0 else f'{x:.3f}'},{z:.3f},{'ab'[i % 2]}"
        for i, (x, z) in enumerate(stream.normal(size=(60, 2)))
    ]
    (tmp_path / "own.csv").write_text("\n".join(["x,z,y", *rows]) + "\n")
    run = ["data=table", f"data.path={tmp_path / 'own.csv'}", "data.target=y", f"data.missing={missing}"]
    spec = wb.configure(*run, "architecture.hidden=[3]", "train.epochs=1")
    module, test, _, _ = model_of(spec)
    raw = prepare(spec).dataset.x
    counted = replace(prepare(spec).dataset, x=np.arange(60.0)[:, None], fill="")
    known = raw[split(counted, 0, 0.1, 0.1, False).train.x[:, 0].astype(int), 0]
    fill = {"mean": np.nanmean, "median": np.nanmedian}[missing](known)
    blank, filled = (torch.tensor([[value, 0.5]], dtype=torch.float32) for value in (np.nan, fill))
    assert torch.allclose(module(blank), module(filled), atol=1e-6)
    assert np.isfinite(test).all()
    exported = torch.export.export(module, (torch.from_numpy(test[:4]).float(),))
    assert torch.isfinite(exported.module()(torch.full((4, 2), torch.nan))).all()
