"""RMSE and MAE of the test part in the target's own unit, against scikit-learn on predictions scaled back by hand."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from workbench.config.compose import configure
from workbench.config.prepare import build_pack, prepare
from workbench.engine.evaluate import errors
from workbench.engine.train import Trainer

RUN = ["data=diabetes", "architecture.hidden=[4]", "dtype=float64", "certificate=false"]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("more", [[], ["split.limit=100", "split.label_noise=0.3", "split.binarize=0.5"]])
def test_errors_are_scikit_learns(standardize: bool, more: list[str]) -> None:
    """Two replicas with splits of their own: the last record's errors are of raw targets and predictions."""
    scale = f"split.standardize={str(standardize).lower()}"
    specs = [configure([*RUN, *more, scale, "optimizer.lr=1e-4", f"seed={seed}"]) for seed in (0, 1)]
    trainer = Trainer(build_pack(specs), 32)
    last = list(trainer.run(1))[-1].metrics
    model, data = trainer.pack.objective.model, trainer.pack.data
    for replica, spec in enumerate(specs):
        raw = prepare(configure([*spec.overrides, "split.standardize=false"])).split(
            configure([*spec.overrides, "split.standardize=false"]).config.split
        )
        mean, deviation = (raw.train.y.mean(), raw.train.y.std()) if standardize else (0.0, 1.0)
        params = trainer.params.with_flat(trainer.params.flat[[replica]])
        z, _ = model.forward(params, data.test.x[[int(data.split_of[replica])]])
        predicted = z[0].numpy() * deviation + mean
        assert last["test/rmse"][replica] == pytest.approx(root_mean_squared_error(raw.test.y, predicted), rel=1e-9)
        assert last["test/mae"][replica] == pytest.approx(mean_absolute_error(raw.test.y, predicted), rel=1e-9)


@pytest.mark.parametrize("run", [["data=wine"], ["data=wine", "target=input", "loss=squared_error"]])
def test_other_targets_have_no_unit(run: list[str]) -> None:
    """Classes, and inputs as targets, whose columns have units of their own, have neither error."""
    pack = build_pack([configure(run)])
    assert errors(pack.objective, pack.initial_params(), pack.data, pack.data.test) == {}


def test_blocks_of_replicas_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are the same where few numbers are evaluated at once."""
    pack = build_pack([configure([*RUN, f"seed={seed}"]) for seed in range(3)])
    params = pack.initial_params()
    whole = errors(pack.objective, params, pack.data, pack.data.test)
    monkeypatch.setattr("workbench.engine.evaluate.CHUNK_NUMBERS", 100)
    parts = errors(pack.objective, params, pack.data, pack.data.test)
    for name in ("rmse", "mae"):
        np.testing.assert_allclose(whole[name].numpy(), parts[name].numpy(), rtol=1e-12)
