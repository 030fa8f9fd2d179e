"""Evaluation in chunks against the whole part at once, in plain torch."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import r2_score

from tests.reference import LOSS_TWINS, Twin, blobs, build, make_pack, stems
from workbench.data.batches import PARTS
from workbench.diagnostics.units import SATURATED_BELOW
from workbench.engine import evaluate as module
from workbench.engine.evaluate import evaluate
from workbench.nn.activations import relu
from workbench.nn.builders import mlp
from workbench.nn.layers.batch_norm import batch_norm
from workbench.nn.losses import squared_error


@pytest.mark.parametrize("numbers", [1, 2000, 2**20])
@pytest.mark.parametrize("part", PARTS)
def test_chunks_do_not_change_the_numbers(numbers: int, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, accuracy and unit rates equal torch's on the whole part for chunks of one, several or all examples."""
    pack = make_pack(blobs(100, 5, 3), [0, 1, 2], activation="relu", hidden=[6, 4], split_seeds=[1, 0, 1])
    params = pack.initial_params()
    monkeypatch.setattr(module, "CHUNK_NUMBERS", numbers)
    data: Any = getattr(pack.data, part)
    metrics = evaluate(pack.objective, params, pack.data, data, units=True)
    assert list(metrics) == ["loss", "accuracy", "dead_rate/l1", "saturation/l1", "dead_rate/l2", "saturation/l2"]
    for r, own in enumerate([1, 0, 1]):
        twin, x, y = Twin(params, r, "relu"), data.x[own], data.y[own]
        z1 = twin.linears[0](x)
        slope1 = (z1 > 0).double()
        slope2 = (twin.linears[1](z1.relu()) > 0).double()
        z = twin(x)
        expected = {
            "loss": LOSS_TWINS["softmax_nll"](z, y),
            "accuracy": (z.argmax(1) == y.argmax(1)).double().mean(),
            "dead_rate/l1": (slope1 == 0).all(0).double().mean(),
            "saturation/l1": (slope1 < SATURATED_BELOW).double().mean(),
            "dead_rate/l2": (slope2 == 0).all(0).double().mean(),
            "saturation/l2": (slope2 < SATURATED_BELOW).double().mean(),
        }
        for name, value in expected.items():
            assert float(metrics[name][r]) == pytest.approx(float(value.detach()), rel=1e-10), name


def test_unit_rates_are_left_out_unless_asked_for() -> None:
    """Validation and test parts measure loss and score alone."""
    pack = make_pack(blobs(100, 5, 3), [0])
    assert list(evaluate(pack.objective, pack.initial_params(), pack.data, pack.data.valid)) == ["loss", "accuracy"]


def test_r2_is_measured_against_the_parts_own_mean() -> None:
    """Predicting a part's mean scores 0 there: the zero net on standardized targets scores just below 0 elsewhere."""
    pack = make_pack(build("data", "diabetes"), [0], loss="squared_error", hidden=[])
    params = pack.initial_params()
    params.flat.zero_()
    train, test = (evaluate(pack.objective, params, pack.data, part) for part in (pack.data.train, pack.data.test))
    assert float(train["r2"]) == pytest.approx(0, abs=1e-12)
    y = pack.data.test.y[0]
    expected = 1 - float(y.square().sum() / (y - y.mean()).square().sum())
    assert expected < 0
    assert float(test["r2"]) == pytest.approx(expected, rel=1e-10)


def test_r2_of_each_replica_is_measured_on_its_own_split() -> None:
    """Replicas with other splits have other test targets, whose spread is their own; packing changes no score."""
    dataset, splits = build("data", "diabetes"), [2, 1, 2]
    pack = make_pack(dataset, [0, 0, 1], loss="squared_error", hidden=[4], split_seeds=splits)
    packed = evaluate(pack.objective, pack.initial_params(), pack.data, pack.data.test)["r2"]
    for r, (seed, own) in enumerate(zip(pack.seeds, splits, strict=True)):
        alone = make_pack(dataset, [seed], loss="squared_error", hidden=[4], split_seeds=[own])
        expected = evaluate(alone.objective, alone.initial_params(), alone.data, alone.data.test)["r2"]
        assert float(packed[r]) == pytest.approx(float(expected), rel=1e-10)
    assert float(packed[0]) != float(packed[1])


@pytest.mark.parametrize("loss", stems("loss"))
def test_evaluation_leaves_parameters_alone(loss: str) -> None:
    """Evaluation does not change the parameters."""
    name = {"squared_error": "diabetes", "binary_nll": "breast_cancer", "perceptron": "breast_cancer"}.get(loss, "wine")
    pack = make_pack(build("data", name), [0], loss=loss, hidden=[4])
    params = pack.initial_params()
    before = params.flat.clone()
    evaluate(pack.objective, params, pack.data, pack.data.train, units=True)
    assert torch.equal(params.flat, before)


def test_r2_is_that_of_the_output_not_of_the_logits() -> None:
    """R² with a tanh output is computed from the residuals of tanh(z)."""
    pack = make_pack(build("data", "diabetes"), [0], loss="squared_error", hidden=[])
    bent = replace(pack.objective, loss=squared_error(build("activation", "tanh")))
    params = pack.initial_params()
    x, y = pack.data.test.x[0], pack.data.test.y[0]
    a = torch.tanh(x @ params["l1.W"][0].T + params["l1.b"][0])
    expected = 1 - float((a - y).square().sum() / (y - y.mean()).square().sum())
    assert float(evaluate(bent, params, pack.data, pack.data.test)["r2"]) == pytest.approx(expected, rel=1e-10)


def test_running_statistics_serve_evaluation() -> None:
    """Evaluation with batch norm and dropout uses the running statistics and leaves them unchanged."""
    pack = make_pack(
        blobs(100, 5, 3),
        [0, 1],
        architecture=lambda n_in, n_out: mlp([6], n_in, n_out, relu(), batch_norm(), dropout=0.5),
    )
    params = pack.initial_params()
    params["l1.running_mean"].add_(torch.rand(2, 6, generator=torch.Generator().manual_seed(0)))
    before = params.flat.clone()
    metrics = evaluate(pack.objective, params, pack.data, pack.data.train)
    z = pack.data.train.x @ params["l1.W"].transpose(1, 2) + (params["l1.b"] - params["l1.running_mean"])[:, None]
    a = (z / (1 + 1e-5) ** 0.5).relu()
    logits = a @ params["l2.W"].transpose(1, 2) + params["l2.b"][:, None]
    for r in range(2):
        expected = LOSS_TWINS["softmax_nll"](logits[r], pack.data.train.y[0])
        assert float(metrics["loss"][r]) == pytest.approx(float(expected), rel=1e-10)
    assert torch.equal(params.flat, before)


def test_accuracy_is_that_of_the_output_not_of_the_logits() -> None:
    """An output of exp(-z²) turns the order of logits round: the class is where the output is largest."""
    pack = make_pack(blobs(100, 5, 3), [0], loss="squared_error", hidden=[])
    bent = replace(pack.objective, loss=squared_error(build("activation", "bump")))
    params = pack.initial_params()
    x, y = pack.data.train.x[0], pack.data.train.y[0]
    z = x @ params["l1.W"][0].T + params["l1.b"][0]
    expected = (torch.exp(-z * z).argmax(1) == y.argmax(1)).double().mean()
    assert float(expected) != float((z.argmax(1) == y.argmax(1)).double().mean())
    accuracy = evaluate(bent, params, pack.data, pack.data.train)["accuracy"]
    assert float(accuracy) == pytest.approx(float(expected), rel=1e-12)


def test_r2_of_several_outputs_weighs_them_by_their_spread() -> None:
    """Each output's deviations are from its own mean: sklearn's variance-weighted R², of outputs with other means."""
    pack = make_pack(blobs(60, 3, 4), [0, 1], loss="squared_error", hidden=[5])
    train = replace(pack.data.train, y=pack.data.train.y * torch.arange(1, 5) + 3 * torch.arange(4))
    data, params = replace(pack.data, train=train, n_classes=None), pack.initial_params()
    z, _ = pack.objective.model.forward(params, train.x.expand(2, -1, -1))
    expected = [r2_score(train.y[0], one, multioutput="variance_weighted") for one in z]
    assert evaluate(pack.objective, params, data, train)["r2"].tolist() == pytest.approx(expected, rel=1e-9)
